# SPDX-License-Identifier: GPL-3.0-or-later
"""From the corpus to the embedded model's adapter, and the metrics. Never shipped in the extension."""
