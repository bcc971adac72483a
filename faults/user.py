# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gives that cannot be performed."""

from __future__ import annotations
