# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the worker process: the only part of the extension that imports torch."""

from __future__ import annotations

import os

# OpenMP's threads spin while they wait for each other, by default. Alone that is a quarter faster; beside a Blender
# that draws or another worker, on two cores, it is ten times slower. Read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
