# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import bpy
from facescript.benchmarks.timeline import bench_crowd, bench_timeline


def test_the_benchmark_measures_what_it_says_and_cleans_up() -> None:
    figures = bench_timeline(keyframes=5)
    # 52 shapes and the head's three angles, a key a beat.
    assert figures["write_linear_keys"] == 5 * 55
    assert figures["insert_calls"] == 5 * 53
    assert figures["ratio"] > 0.0
    assert not bpy.data.objects and not bpy.data.actions


def test_a_crowd_is_found_and_written_and_cleaned_up() -> None:
    figures = bench_crowd(characters=3, beats=2)
    assert set(figures) == {"find_s", "write_s"}
    assert not bpy.data.objects and not bpy.data.actions
