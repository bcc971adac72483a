# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that are like those of a captured face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def like_a_face(count: int, seed: int, rate: float = 60.0) -> Floats:
    """Moves that rise, hold and fall, with a sensor's noise: (count,) in [0, 1]."""
    random = np.random.default_rng(seed)
    times = np.arange(count) / rate
    signal = np.zeros(count)
    for _ in range(max(1, count // 80)):
        middle, width = random.uniform(0, times[-1]), random.uniform(0.05, 0.6)
        signal += random.uniform(0.1, 0.8) * np.exp(-(((times - middle) / width) ** 4))
    return np.asarray(np.clip(signal + random.normal(0.0, 0.003, count), 0.0, 1.0))
