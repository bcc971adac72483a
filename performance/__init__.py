# SPDX-License-Identifier: GPL-3.0-or-later
"""What a facial performance is: channels, poses, keyframes, and the files that hold them.

Pure Python and numpy: this package is shared by Blender's process, the worker process and training.
"""

from __future__ import annotations

from .channels import BLEND_SHAPES, CHANNELS, COUNT, HEAD_CHANNELS, INDEX, REGIONS, Channel
from .errors import FacescriptError
from .model import Beat, Brief, Keyframe, Performance
from .pose import NEUTRAL, Pose

__all__ = [
    "BLEND_SHAPES",
    "CHANNELS",
    "COUNT",
    "HEAD_CHANNELS",
    "INDEX",
    "NEUTRAL",
    "REGIONS",
    "Beat",
    "Brief",
    "Channel",
    "FacescriptError",
    "Keyframe",
    "Performance",
    "Pose",
]
