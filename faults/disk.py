# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of disks."""

from __future__ import annotations
