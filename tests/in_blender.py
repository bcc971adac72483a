# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs pytest with another Blender's Python: inside that Blender, or with its bpy module.

`python in_blender.py -- ARG ...` or `blender -b -P in_blender.py -- ARG ...`. Packages of that Python which are not in
it lie in the folders that FACESCRIPT_PACKAGES names.
"""

from __future__ import annotations

import os
import signal
import sys

# At the end: what the Blender itself brings goes first.
sys.path += [folder for folder in os.environ["FACESCRIPT_PACKAGES"].split(os.pathsep) if folder]
# For the processes that tests start with this Python.
os.environ["PYTHONPATH"] = os.environ["FACESCRIPT_PACKAGES"]

import pytest

# The tests' own servers write to connections that are gone, which must not end the Blender that they run in.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})

arguments = sys.argv[sys.argv.index("--") + 1 :]
status = int(pytest.main(arguments))
sys.stdout.flush()
sys.stderr.flush()
# Python's own way out of a Blender with a hundred files behind it takes seconds, and bpy 4.2 crashes on it.
os._exit(status)
