# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the runtime's folder."""

from __future__ import annotations
