# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of a face at frames, as the viewport shows it or as it renders, and movies of them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..performance import FacescriptError
from ..rig_mapping import blender_api, geometry
from ..rig_mapping.curves import MAX_FRAME
from ..rig_mapping.targets import Target, measure

LOOK_ITEMS = [
    ("VIEWPORT", "As in the Viewport", "What the 3D Viewport shows, fast; without a window, from the scene's camera"),
    ("RENDER", "As Rendered", "With the scene's render engine, from its camera"),
]

# A portrait lens, in millimetres on Blender's sensor of 36, and how many heights of the face the picture is high.
_LENS, _SENSOR, _ROOM = 85.0, 36.0, 1.8
_GREY = (0.05, 0.05, 0.05)
_PLAIN = {"view_transform": "Standard", "look": "None", "exposure": 0.0, "gamma": 1.0}
# Where Cycles stands in for the viewport.
_CYCLES = {"device": "CPU", "samples": 4, "use_denoising": False, "max_bounces": 1}
# Engines that draw by the graphics card, or by what stands in for it.
_DRAWN = ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT", "BLENDER_WORKBENCH")
_SIZE = ("resolution_x", "resolution_y", "pixel_aspect_x", "pixel_aspect_y")


def stills(
    context: bpy.types.Context, target: Target, frames: Sequence[int], size: int, look: str, square: bool, folder: Path
) -> Iterator[Path]:
    """Save a PNG of each of the `frames` into `folder`; its path as soon as it is there.

    `size` is the shorter side in pixels; with `square`, the longer one too, or a square in the middle is meant.
    Where there is no camera, one before the face is used. Between two pictures only the current frame is another
    than it was; afterwards, also when the generator is closed early, nothing is. Raises FacescriptError
    (`no_file`, `no_render`).
    """
    scene = context.scene
    now = scene.frame_current, scene.frame_subframe
    images = set(bpy.data.images)
    view = _view(context) if look == "VIEWPORT" and not bpy.app.background else None
    try:
        for number, frame in enumerate(frames):
            path = folder / f"{number:06d}.png"
            scene.frame_set(frame)
            with _png(scene, path):
                _shoot(context, target, size, look, square, view)
            if not path.is_file():
                what = f"Frame {frame} was not rendered."
                raise FacescriptError("no_render", what, "The system console may say why.")
            yield path
    finally:
        scene.frame_set(now[0], subframe=now[1])
        for image in set(bpy.data.images) - images:
            if image.type == "RENDER_RESULT":
                bpy.data.images.remove(image)


def encode(pictures: Sequence[Path], path: Path, fps: float) -> None:
    """Write an MP4 of pictures of one size, in one folder, whole or not at all. Raises FacescriptError (`no_file`)."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        _encode(pictures, partial, fps)
        if not partial.is_file():
            raise FacescriptError("no_file", f"{path} was not written.", "Choose another folder.")
        # Blender says nothing of a disk that was full in the middle.
        if not _is_whole(partial):
            raise FacescriptError("no_file", f"Cannot write {path}: the disk is full.", "Choose another folder.")
        os.replace(partial, path)
    except OSError as error:
        raise FacescriptError("no_file", f"Cannot write {path}: {error.strerror}.", "Choose another folder.") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _is_whole(path: Path) -> bool:
    """Whether the boxes of an MP4 fill its file, with the index among them (ISO/IEC 14496-12, 4.2)."""
    left, kinds = path.stat().st_size, set()
    with path.open("rb") as stream:
        while left >= 8:
            size, kind = struct.unpack(">I4s", stream.read(8))
            read = 8
            if size == 1:
                (size,), read = struct.unpack(">Q", stream.read(8)), 16
            if not read <= size <= left:
                return False
            stream.seek(size - read, os.SEEK_CUR)
            left -= size
            kinds.add(kind)
    return left == 0 and b"moov" in kinds


def _encode(pictures: Sequence[Path], path: Path, fps: float) -> None:
    image = bpy.data.images.load(str(pictures[0]))
    width, height = image.size
    bpy.data.images.remove(image)
    images = set(bpy.data.images)
    scene: Any = bpy.data.scenes.new("Preview")
    try:
        render = scene.render
        for name, value in _rate(fps).items():
            setattr(render, name, value)
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
        render.filepath, render.use_file_extension = str(path), False
        # The pictures have their view transform applied already.
        scene.view_settings.view_transform = "Standard"
        scene.frame_start, scene.frame_end = 1, len(pictures)
        blender_api.use_mp4(render)
        blender_api.add_image_strip(scene, pictures)
        _render(scene, animation=True)
    finally:
        bpy.data.scenes.remove(scene)
        for made in set(bpy.data.images) - images:
            bpy.data.images.remove(made)


def play(path: Path, scene: bpy.types.Scene, fps: float) -> None:
    """Play a movie in the player that the preferences name, Blender's own by default. Only where there is a window."""
    render: Any = scene.render
    image = blender_api.image_settings(render)
    with _changed(render, filepath=str(path), use_file_extension=False, **_rate(fps)):
        blender_api.use_mp4(render)
        try:
            bpy.ops.render.play_rendered_anim()
        finally:
            blender_api.restore_image_settings(render, image)


def _rate(fps: float) -> dict[str, Any]:
    """A frame rate as Blender has it: a whole number over a base."""
    return {"fps": max(1, round(fps)), "fps_base": max(1, round(fps)) / fps}


def _shoot(context: Any, target: Target, size: int, look: str, square: bool, view: Any) -> None:
    scene = context.scene
    render = scene.render
    if view is not None:
        window, area, region = view
        _set_size(render, size, region.width / region.height)
        space = area.spaces.active
        # Solid colours are shown by the Standard transform, whatever the scene's is; a look goes with its transform.
        plain = _PLAIN if space.shading.type in ("SOLID", "WIREFRAME") else {}
        with (
            context.temp_override(window=window, area=area, region=region),
            _changed(scene.view_settings, **plain),
            _changed(space.overlay, show_overlays=False),
            _changed(space, show_gizmo=False),
        ):
            bpy.ops.render.opengl(write_still=True, view_context=True)
        return
    with ExitStack() as stack:
        if scene.camera is None:
            square = True
            stack.enter_context(_camera(scene, target))
        x, y = (1.0, 1.0) if square else (render.resolution_x, render.resolution_y)
        _set_size(render, size, x * render.pixel_aspect_x / (y * render.pixel_aspect_y))
        if look == "VIEWPORT":
            stack.enter_context(_quick(scene))
        elif render.engine in _DRAWN and not blender_api.can_draw():
            raise FacescriptError(
                "no_render",
                "Without a window, this Blender can render by Cycles only: the library EGL is not installed.",
                "Install it (libegl1), choose Cycles in the scene, or the look of the viewport.",
            )
        _render(scene)


def _set_size(render: Any, size: int, aspect: float) -> None:
    # Movies take even sizes only.
    longer = round(size * max(aspect, 1.0 / aspect) / 2) * 2
    render.resolution_x, render.resolution_y = (longer, size) if aspect >= 1.0 else (size, longer)
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0


def _render(scene: Any, animation: bool = False) -> None:
    try:
        bpy.ops.render.render(animation=animation, write_still=not animation, scene=scene.name)
    except RuntimeError as error:
        what = str(error).strip().splitlines()[0].removeprefix("Error: ")
        raise FacescriptError("no_render", f"Blender cannot render this: {what}.", "Try F12.") from error


def _view(context: Any) -> tuple[Any, Any, Any] | None:
    """The 3D Viewport that is meant: window, area, region. The one under the pointer, else the largest."""
    window = context.window or context.window_manager.windows[0]
    areas = [area for area in window.screen.areas if area.type == "VIEW_3D"]
    area = max(areas, key=lambda a: (a == context.area, a.width * a.height), default=None)
    if area is None:
        return None
    return window, area, next(region for region in area.regions if region.type == "WINDOW")


@contextmanager
def _png(scene: Any, path: Path) -> Iterator[None]:
    """Have the scene make one PNG of what the camera sees, of a size to be set, and put all back afterwards."""
    render = scene.render
    image = blender_api.image_settings(render)
    size = {name: getattr(render, name) for name in _SIZE}
    plain = {"use_border": False, "use_sequencer": False, "use_stamp": False, "resolution_percentage": 100}
    with _changed(render, filepath=str(path), use_file_extension=True, **plain, **size):
        blender_api.use_png(render)
        try:
            yield
        finally:
            blender_api.restore_image_settings(render, image)


@contextmanager
def _quick(scene: Any) -> Iterator[None]:
    """The viewport's solid shading; where nothing can draw it, a few samples of Cycles on the processor."""
    world = blender_api.new_world("Facescript Preview")
    world.color = _GREY
    world.node_tree.nodes["Background"].inputs[0].default_value = (*_GREY, 1.0)
    engine = "BLENDER_WORKBENCH" if blender_api.can_draw() else "CYCLES"
    try:
        with (
            _changed(scene.view_settings, **_PLAIN),
            _changed(scene.render, engine=engine, use_compositing=False),
            _changed(scene, world=world),
            _changed(getattr(scene, "cycles", None), **(_CYCLES if engine == "CYCLES" else {})),
        ):
            yield
    finally:
        bpy.data.worlds.remove(world)


@contextmanager
def _changed(owner: Any, **values: Any) -> Iterator[None]:
    """Set properties, in order, and give them their values back afterwards."""
    kept = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(owner, name, value)


@contextmanager
def _camera(scene: Any, target: Target) -> Iterator[None]:
    """Have the scene look at the face from the front, with a light if it has none of its own."""
    lens = bpy.data.cameras.new("Facescript Preview")
    made: list[Callable[[], None]] = [lambda: bpy.data.cameras.remove(lens)]
    try:
        lens.lens, lens.sensor_width = _LENS, _SENSOR
        place, height = _before_the_face(target)
        lens.clip_start, lens.clip_end = 0.01 * height, 100.0 * height
        scene.camera = _add(scene, lens, place)
        if not any(obj.type == "LIGHT" for obj in scene.objects):
            sun: Any = bpy.data.lights.new("Facescript Preview", "SUN")
            made.append(lambda: bpy.data.lights.remove(sun))
            sun.energy = 3.0
            # From above the camera's shoulder.
            _add(scene, sun, place @ Matrix.Rotation(-0.6, 4, "X") @ Matrix.Rotation(0.5, 4, "Y"))
        yield
    finally:
        # With its data goes the object.
        scene.camera = None
        for remove in reversed(made):
            remove()


def _add(scene: Any, data: Any, place: Matrix) -> Any:
    obj = bpy.data.objects.new(data.name, data)
    scene.collection.objects.link(obj)
    obj.matrix_world = place
    return obj


def _before_the_face(target: Target) -> tuple[Matrix, float]:
    """Where a camera sees the whole face from the front, and the face's height in metres."""
    face = measure(target)
    # Where the face does not tell: it looks along -Y, as Blender's front view has it.
    axes = geometry.snap(geometry.world_axes(face, np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=float)))
    up, forward = axes[:, 1], axes[:, 2]
    height = float(np.ptp(face.points @ up)) or 1.0
    distance = _ROOM * height * _LENS / _SENSOR
    place = np.eye(4)
    # A camera looks along its own -Z, with Y up; the character's left is on its right.
    place[:3, 0], place[:3, 1], place[:3, 2] = np.cross(up, forward), up, forward
    place[:3, 3] = (face.low + face.high) / 2.0 + forward * distance
    return Matrix(place.tolist()), height


def frame_range(face: Any, fps: float) -> range:
    """The frames of a face's performance, with a second in which the last beat is held. `face` has beats."""
    last = min(face.beats[-1].frame + round(fps), MAX_FRAME)
    return range(face.beats[0].frame, last + 1)
