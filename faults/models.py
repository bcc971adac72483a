# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of folders of local models."""

from __future__ import annotations
