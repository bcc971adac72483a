# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that the user names: addresses and keys, one bounded exchange over HTTP, the OpenAI form over it."""
