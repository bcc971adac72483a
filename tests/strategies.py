# SPDX-License-Identifier: GPL-3.0-or-later
"""What hypothesis draws from, shared by the tests."""

from __future__ import annotations

from facescript.performance import CHANNELS, Pose
from hypothesis import strategies as st

_coefficient = st.sampled_from(CHANNELS).flatmap(lambda c: st.tuples(st.just(c.name), st.floats(c.low, c.high)))

# A few channels move and the others rest, as on a face.
any_pose = st.lists(_coefficient, max_size=8).map(lambda pairs: Pose.from_dict(dict(pairs)))
