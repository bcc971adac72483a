# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest
from facescript.performance import timecodes
from facescript.performance.timecodes import Timecode
from hypothesis import given
from hypothesis import strategies as st


def _codes(texts: list[str]) -> list[Timecode]:
    return [code for code in map(timecodes.parse, texts) if code is not None]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("13:13:04:31.652", (47584, 31.652, False)),
        ("00:00:59;28", (59, 28.0, True)),
        (" 01:00:00:00.000 ", (3600, 0.0, False)),
        ("1:2:3:4", (3723, 4.0, False)),
        ("00:61:00:00", None),
        ("00:00:00", None),
        ("soon", None),
        ("00:00:00:0x", None),
    ],
)
def test_timecodes_are_read(text: str, code: tuple[int, float, bool] | None) -> None:
    assert timecodes.parse(text) == code


@pytest.mark.parametrize(
    ("texts", "rate"),
    [
        # As the app records: 30 frames a second, counted in sixtieths.
        (["00:00:04:57.651", "00:00:04:59.651", "00:00:05:01.650", "00:00:05:03.650"], 60),
        (["00:00:00:22.0", "00:00:00:23.0", "00:00:01:00.0", "00:00:01:01.0"], 24),
        (["00:00:00:23.0", "00:00:00:24.0", "00:00:01:00.0", "00:00:01:01.0"], 25),
        (["00:00:00:28.0", "00:00:00:29.0", "00:00:01:00.0", "00:00:01:01.0"], 30),
        (["00:00:00:58.0", "00:00:00:59.0", "00:00:01:00.0", "00:00:01:01.0"], 60),
        # The frame before the second was dropped, three times it was not.
        (["0:0:0:22", "0:0:0:23", "0:0:1:0", "0:0:1:22", "0:0:1:23", "0:0:2:0", "0:0:2:21", "0:0:2:22", "0:0:3:0"], 24),
    ],
)
def test_the_rate_is_read_from_where_a_second_ends(texts: list[str], rate: int) -> None:
    assert timecodes.counted_rate(_codes(texts)) == (rate, True)


def test_a_recording_within_a_second_leaves_the_rate_open() -> None:
    assert timecodes.counted_rate(_codes(["00:00:00:02.500", "00:00:00:04.500"])) == (60, False)
    assert timecodes.counted_rate(_codes(["00:00:00:26", "00:00:00:27"])) == (30, False)
    # One keyframe a second, on the second: the rate makes no difference.
    assert timecodes.counted_rate(_codes(["00:00:00:00", "00:00:01:00"])) == (24, True)


def test_drop_frame_keeps_to_the_clock() -> None:
    # SMPTE ST 12-1: after 00:00:59;29 comes 00:01:00;02, and ten minutes are 17982 frames.
    fps = timecodes.exact_rate(30.0, True)
    assert fps == pytest.approx(30000 / 1001)
    times = timecodes.seconds(_codes(["00:00:59;29", "00:01:00;02", "00:10:00;00"]), fps)
    np.testing.assert_allclose(times * fps, [1799, 1800, 17982], atol=1e-6)
    at_60 = timecodes.exact_rate(60.0, True)
    times = timecodes.seconds(_codes(["00:00:59;59", "00:01:00;04", "00:10:00;00"]), at_60)
    np.testing.assert_allclose(times * at_60, [3599, 3600, 35964], atol=1e-6)


def test_without_drop_frame_a_second_by_timecode_is_longer_at_29_97() -> None:
    fps = timecodes.exact_rate(29.97, False)
    times = timecodes.seconds(_codes(["00:00:00:00", "00:00:01:00", "00:01:00:00"]), fps)
    np.testing.assert_allclose(times, [0.0, 1.001, 60.06], atol=1e-9)


@pytest.mark.parametrize(
    ("given_rate", "meant"),
    [(29.97, 30000 / 1001), (23.976, 24000 / 1001), (59.94, 60000 / 1001), (30.0, 30.0), (24.0, 24.0), (12.5, 12.5)],
)
def test_short_forms_of_frame_rates_are_understood(given_rate: float, meant: float) -> None:
    assert timecodes.exact_rate(given_rate, False) == pytest.approx(meant, abs=1e-12)


def test_times_go_on_past_midnight() -> None:
    times = timecodes.seconds(_codes(["23:59:59:12", "00:00:00:00", "00:00:00:12"]), 24.0)
    np.testing.assert_allclose(times - times[0], [0.0, 0.5, 1.0])


@given(frame=st.integers(0, 24 * 3600 * 24 - 1), rate=st.sampled_from([24.0, 25.0, 29.97, 30.0, 59.94, 60.0]))
def test_written_timecodes_are_read_again(frame: int, rate: float) -> None:
    code = timecodes.parse(timecodes.text(frame, rate))
    assert code is not None
    assert timecodes.seconds([code], rate)[0] * rate == pytest.approx(frame, abs=1e-6)


def test_parts_of_frames_are_written() -> None:
    assert timecodes.text(71.6517, 60.0) == "00:00:01:11.652"
    assert timecodes.text(59.9999, 60.0) == "00:00:01:00.000"
