# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a server that is asked."""

from __future__ import annotations
