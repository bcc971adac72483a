# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast faces are found and keys are written: `rig_mapping.timeline.write` against `keyframe_insert` in a loop, on
the same rig; and crowds, whose time should grow with the characters and with the beats, and no faster."""

from __future__ import annotations

import time
from typing import Any

import bpy
import numpy as np

from ..performance import BLEND_SHAPES, COUNT, Brief, Keyframe, Performance, Pose
from ..performance.channels import HIGH, LOW
from ..rig_mapping import timeline
from ..rig_mapping.targets import find_target

KEYFRAMES = 1000
FPS = 24
# (characters, beats): a third of the largest crowd, half of it, and all of it with half of the beats.
CROWDS = ((25, 50), (50, 50), (100, 25), (100, 50))
# Metres from one character to the next.
_APART = 1.0


def _rig() -> Any:
    """A small mesh with the 52 shape keys, whose object turns as the head; what moves does not matter here."""
    mesh = bpy.data.meshes.new("Benchmark")
    mesh.from_pydata([(x, y, z) for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)], [], [])
    obj = bpy.data.objects.new("Benchmark", mesh)
    scene: Any = bpy.context.scene
    scene.collection.objects.link(obj)
    obj.shape_key_add(name="Basis", from_mix=False)
    for name in BLEND_SHAPES:
        block = obj.shape_key_add(name=name, from_mix=False)
        block.value = 0.0
        points: Any = block.data
        for point in points:
            point.co.z *= 1.1
    return obj


def _performance(keyframes: int) -> Performance:
    """A beat a second on which every channel has another value than on the one before."""
    poses = np.random.default_rng(1).uniform(LOW, HIGH, size=(keyframes, COUNT))
    return Performance(
        Brief("Benchmark"), tuple(Keyframe(float(i), "moves", Pose(pose)) for i, pose in enumerate(poses))
    )


def _insert_loop(obj: Any, performance: Performance) -> int:
    """What a script does without care: a value and `keyframe_insert` for each channel of each beat; the calls."""
    blocks = obj.data.shape_keys.key_blocks
    calls = 0
    for frame, pose in zip(timeline.beat_frames(performance, FPS, 1), performance.poses, strict=True):
        for name, value in zip(BLEND_SHAPES, pose, strict=False):
            # The first 52 values of a pose are the blend shapes, in their order.
            block = blocks[name]
            block.value = value
            block.keyframe_insert("value", frame=int(frame))
        obj.delta_rotation_euler = pose[52:55]
        obj.keyframe_insert("delta_rotation_euler", frame=int(frame))
        calls += len(BLEND_SHAPES) + 1
    return calls


def _remove(obj: Any) -> None:
    """Remove the rig and its actions: the next one is at the same place, and must not be taken for a part of it."""
    animations = (obj.animation_data, obj.data.shape_keys.animation_data)
    # From 4.4 on, keyframe_insert puts both into one action.
    actions = {a.action.name for a in animations if a is not None and a.action is not None}
    bpy.data.meshes.remove(obj.data)
    for name in actions:
        bpy.data.actions.remove(bpy.data.actions[name])


def bench_timeline(keyframes: int = KEYFRAMES) -> dict[str, float]:
    """Write `keyframes` beats of all channels both ways, in the open file, and remove the rigs again.

    Both in full and one after the other in one process. Of the 61 channels, the 52 shapes and the head's 3 are
    keyed; the eyes' 6 angles are the same as the eyeLook shapes. Seconds, counts and `ratio` (loop / write).
    """
    performance = _performance(keyframes)
    results: dict[str, float] = {"keyframes": float(keyframes), "channels": float(COUNT)}
    for name in ("linear", "natural"):
        obj = _rig()
        target = find_target(obj)
        started = time.perf_counter()
        report = timeline.write(target, performance, start_frame=1, style=name, fps=FPS)
        results[f"write_{name}_s"] = time.perf_counter() - started
        results[f"write_{name}_keys"] = float(report.keys)
        _remove(obj)
    obj = _rig()
    started = time.perf_counter()
    results["insert_calls"] = float(_insert_loop(obj, performance))
    results["insert_loop_s"] = time.perf_counter() - started
    results["ratio_linear"] = results["insert_loop_s"] / results["write_linear_s"]
    results["ratio"] = results["insert_loop_s"] / results["write_natural_s"]
    _remove(obj)
    return results


def bench_crowd(characters: int, beats: int) -> dict[str, float]:
    """Find and write so many characters in one scene, each by itself as a user would, and remove them again.

    Each has the 52 shapes, all of which move on every beat, and a head. Seconds: `find_s`, `write_s`.
    """
    performance = _performance(beats)
    crowd = [_rig() for _ in range(characters)]
    for i, obj in enumerate(crowd):
        obj.location = (_APART * (i % 10), _APART * (i // 10), 0.0)
    started = time.perf_counter()
    targets = [find_target(obj) for obj in crowd]
    found = time.perf_counter()
    for target in targets:
        timeline.write(target, performance, start_frame=1, fps=FPS)
    written = time.perf_counter()
    for obj in crowd:
        _remove(obj)
    return {"find_s": found - started, "write_s": written - found}


def run() -> list[str]:
    """Run the benchmark and print its lines."""
    r = bench_timeline()
    bench_crowd(2, 2)  # what is read once, such as the profiles, is not the crowd's
    crowds = {crowd: bench_crowd(*crowd) for crowd in CROWDS}
    lines = [
        f"timeline: {r['keyframes']:.0f} keyframes x {r['channels']:.0f} channels, Blender {bpy.app.version_string}",
        f"  timeline.write, linear     {r['write_linear_s']:8.3f} s  {r['write_linear_keys']:8.0f} keys",
        f"  timeline.write, natural    {r['write_natural_s']:8.3f} s  {r['write_natural_keys']:8.0f} keys",
        f"  keyframe_insert in a loop  {r['insert_loop_s']:8.3f} s  {r['insert_calls']:8.0f} calls",
        f"  {r['ratio']:.1f} times as fast (linear, as many keys as the loop: {r['ratio_linear']:.1f} times)",
    ]
    for (characters, beats), c in crowds.items():
        total = c["find_s"] + c["write_s"]
        lines.append(
            f"  {characters:3d} characters x {beats} beats {total:8.3f} s  (found in {c['find_s']:.3f} s, written in "
            f"{c['write_s']:.3f} s; {1000 * total / characters:.1f} ms a character)"
        )
    print("\n".join(lines))
    return lines
