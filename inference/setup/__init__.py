# SPDX-License-Identifier: GPL-3.0-or-later
"""The private runtime: its folder, its locked packages, and setting it up so that it always ends whole."""
