# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser of the border under mutated files: none may crash, hang, or let a value through that is out of range."""
