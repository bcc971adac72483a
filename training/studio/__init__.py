# SPDX-License-Identifier: GPL-3.0-or-later
"""A studio's own performances become an adapter: for the embedded model, or a LoRA for any model in a folder."""
