# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the worker process: the only part of the extension that imports torch."""

from __future__ import annotations
