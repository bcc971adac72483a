# SPDX-License-Identifier: GPL-3.0-or-later
"""Language models on this machine: what there is, whether it fits, and downloads from the Hugging Face hub."""
