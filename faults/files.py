# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of files that are read."""

from __future__ import annotations
