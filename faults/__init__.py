# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, injected for real into an installed extension: `run.py faults`. None of it is shipped in the extension."""

from __future__ import annotations
