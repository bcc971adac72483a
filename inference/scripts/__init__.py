# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a script: its text and marks, its moments, their beats and their times."""
