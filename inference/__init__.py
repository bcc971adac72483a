# SPDX-License-Identifier: GPL-3.0-or-later
"""From a script to a performance.

The modules of this package run inside Blender's process or on the command line with nothing but the standard
library, numpy and requests; `worker` holds what runs in the worker process, with torch.
"""

from __future__ import annotations
