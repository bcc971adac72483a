# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults while the runtime is set up."""

from __future__ import annotations
