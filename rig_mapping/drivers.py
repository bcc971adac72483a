# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape keys that a control rig drives: which number of which control shows a key, and how far it has to go.

A driver is read where it is plain: a bone's or an object's own transforms, properties, arithmetic, a curve, and
properties that are driven in turn. Where it is not, its controls are moved for a moment and the key is looked at, which
obeys Blender's own rule on whether a file's scripts may run.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import bpy

from .expressions import simple
from .journal import get_property, set_property
from .references import default_of, editable, key_path, split_custom

# A key counts as shown by a control if that alone takes it this far.
_LEAST = 0.25
# How far a control is moved in search of a response, in its own unit, and up to which part of it that is exact.
_STEPS = tuple(2.0**k for k in range(-14, 11))
_COARSE = tuple(8.0**k for k in range(-4, 4))
_EXACT = 1e-4
# Chains of driven properties longer than this are rings.
_DEEPEST = 8

_INDEXED = re.compile(r"(.*)\[(\d+)\]")
_LETTER = re.compile(r"(.*)\.([wxyz])")
_BONE = re.compile(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]\.(.*)')
_TRANSFORM = re.compile(r"(LOC|ROT|SCALE)_([XYZ])")
_PROPERTIES = {"LOC": "location", "ROT": "rotation_euler", "SCALE": "scale"}
_JOINED: Mapping[str, Callable[[list[float]], float]] = {
    "AVERAGE": lambda values: sum(values) / len(values),
    "SUM": sum,
    "MIN": min,
    "MAX": max,
}
# Constraints that only keep a control within its range.
_LIMITS = ("LIMIT_LOCATION", "LIMIT_ROTATION", "LIMIT_SCALE", "LIMIT_DISTANCE")


@dataclass(frozen=True)
class Leaf:
    """A number at the end of a chain of drivers: on an ID, at a data path, at an index. IDs are known by `uid`."""

    uid: int
    path: str
    index: int
    datablock: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Control:
    """What shows a driven key: `object`'s number at data path `name`, `index`.

    It stands at `rest` when the key is not shown, and at `rest + gain` when it is shown as far as it was asked for;
    `low` and `high` are its own limits.
    """

    object: Any
    name: str
    index: int
    rest: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Wanted:
    """A driven shape key of a mesh object, and the value that it takes when it is shown in full."""

    object: Any
    key: str
    full: float


Values = Mapping[Leaf, float]
Response = Callable[[Values], float]


class _NotPlain(Exception):
    """A driver that has to be measured."""


class Drivers:
    """The drivers of a scene's shape keys, each datablock's read once; `objects` are the scene's.

    Found during one call and not kept.
    """

    def __init__(self, objects: Sequence[Any]) -> None:
        self._objects = objects
        self._tables: dict[int, dict[tuple[str, int], Any]] = {}

    def follow(self, wanted: Sequence[Wanted]) -> dict[Wanted, Control]:
        """The controls of those of the driven keys that have one.

        Nothing is changed, but for the moment of measuring: then numbers are set, the view layer is updated, and all is
        put back.
        """
        leaves = {one: [leaf for leaf in self._leaves(one) if self._keyable(leaf)] for one in dict.fromkeys(wanted)}
        answers: dict[Wanted, dict[Leaf, tuple[float, float]]] = {}
        unclear = []
        for one in (one for one in leaves if leaves[one]):
            try:
                response = _clamped(one, self._compile(self._driver(one.object.data.shape_keys, key_path(one.key)), 0))
            except _NotPlain:
                unclear.append(one)
                continue
            answers[one] = {leaf: answer for leaf in leaves[one] if (answer := _answer(response, leaf, one.full))}
        answers.update(_measure(unclear, leaves))
        # The control that shows fewest keys is the one that was made for this one.
        busy = Counter((leaf, gain > 0.0) for found in answers.values() for leaf, (_, gain) in found.items())
        chosen = {}
        for one, by_leaf in answers.items():
            for leaf, (start, gain) in sorted(by_leaf.items(), key=lambda item: busy[item[0], item[1][1] > 0.0]):
                owner = self._owner(leaf)
                if owner is not None:
                    name = leaf.path if owner == leaf.datablock else _below_data(leaf.path)
                    chosen[one] = Control(owner, name, leaf.index, start, gain, *_range(leaf))
                    break
        return chosen

    def sources(self, obj: Any, key: str) -> list[tuple[Any, str]]:
        """The datablocks and data paths of all numbers that a mesh object's driven key depends on."""
        return [(leaf.datablock, leaf.path) for leaf in self._leaves(Wanted(obj, key, 1.0))]

    def _driver(self, datablock: Any, path: str, index: int = 0) -> Any:
        """The F-curve with a number's driver, or None."""
        uid = datablock.session_uid
        if uid not in self._tables:
            animation = datablock.animation_data
            curves = animation.drivers if animation is not None else ()
            # Blender counts a lone number's index as 0.
            self._tables[uid] = {(c.data_path, c.array_index): c for c in curves if not c.mute}
        return self._tables[uid].get((path, index))

    def _leaves(self, one: Wanted) -> list[Leaf]:
        """All numbers that a key depends on."""
        found: dict[Leaf, None] = {}
        curve = self._driver(one.object.data.shape_keys, key_path(one.key))
        if curve is not None:
            self._collect(curve, found, 0)
        return list(found)

    def _collect(self, curve: Any, found: dict[Leaf, None], depth: int) -> None:
        """All numbers that a driver depends on, by way of other drivers as well."""
        for variable in curve.driver.variables if depth < _DEEPEST else ():
            leaf = _target_leaf(variable)
            inner = self._driver(leaf.datablock, leaf.path, leaf.index) if leaf is not None else None
            if inner is not None:
                self._collect(inner, found, depth + 1)
            else:
                found.update(dict.fromkeys(_differences(variable) if leaf is None else [leaf]))

    def _owner(self, leaf: Leaf) -> Any:
        """The object from which a leaf's data path starts, itself or by its data; None if there is none."""
        if leaf.datablock.id_type == "OBJECT":
            return leaf.datablock
        return next((obj for obj in self._objects if obj.data == leaf.datablock and editable(obj)), None)

    def _keyable(self, leaf: Leaf) -> bool:
        """Whether a number is an animator's control: of this file, free to be keyed, and no shape key, whose own
        channel it would move."""
        if leaf.datablock.id_type == "KEY" or not editable(leaf.datablock):
            return False
        bone = _BONE.fullmatch(leaf.path)
        if bone:
            pose = leaf.datablock.pose.bones.get(bpy.utils.unescape_identifier(bone[1]))
            if pose is None or _held(pose, bone[2]):
                return False
            if bone[2] == "location" and pose.bone.use_connect and pose.parent is not None:
                return False
        return self._driver(leaf.datablock, leaf.path, leaf.index) is None

    def _compile(self, curve: Any, depth: int) -> Response:
        """A driver as a function of its leaves. Raises `_NotPlain`."""
        if curve is None or depth >= _DEEPEST:
            raise _NotPlain
        driver = curve.driver
        parts = {variable.name: self._variable(variable, depth) for variable in driver.variables}
        if driver.type == "SCRIPTED":
            function = simple(driver.expression, frozenset(parts)) if driver.is_simple_expression else None
            if function is None:
                raise _NotPlain
            made = function

            def combined(values: Values) -> float:
                return made({name: part(values) for name, part in parts.items()})

        elif parts:
            how = _JOINED[driver.type]

            def combined(values: Values) -> float:
                return how([part(values) for part in parts.values()])

        else:
            raise _NotPlain
        modifiers = [modifier for modifier in curve.modifiers if not modifier.mute]
        if not modifiers and not len(curve.keyframe_points):
            return combined
        if any(modifier.type != "GENERATOR" or modifier.use_additive for modifier in modifiers):
            raise _NotPlain
        return lambda values: float(curve.evaluate(combined(values)))

    def _variable(self, variable: Any, depth: int) -> Response:
        leaf = _target_leaf(variable)
        if leaf is None:
            raise _NotPlain
        if variable.type == "TRANSFORMS":
            _refuse_indirect(variable.targets[0], leaf)
        inner = self._driver(leaf.datablock, leaf.path, leaf.index)
        if inner is not None:
            return self._compile(inner, depth + 1)
        now = _at_rest(leaf)
        return lambda values: values.get(leaf, now)


def _below_data(path: str) -> str:
    return f"data{path}" if path.startswith("[") else f"data.{path}"


def _leaf(datablock: Any, path: str) -> Leaf | None:
    """The number that a target's data path leads to, on the ID that owns it."""
    indexed, lettered = _INDEXED.fullmatch(path), _LETTER.fullmatch(path)
    try:
        if indexed and hasattr(datablock.path_resolve(indexed[1]), "__len__"):
            return Leaf(datablock.session_uid, indexed[1], int(indexed[2]), datablock)
        if lettered:
            index = _letter_index(datablock, lettered[1], lettered[2])
            return Leaf(datablock.session_uid, lettered[1], index, datablock)
        if isinstance(datablock.path_resolve(path), float):
            return Leaf(datablock.session_uid, path, 0, datablock)
    except (ValueError, TypeError, AttributeError):
        pass
    return None


def _differences(variable: Any) -> Iterator[Leaf]:
    """The numbers that a distance or an angle between two bones or objects depends on."""
    prop = {"LOC_DIFF": "location", "ROTATION_DIFF": "rotation_euler"}.get(variable.type)
    for target in variable.targets if prop is not None else ():
        found = _owner_of_transforms(target)
        if found is not None and (prop == "location" or len(found[0].rotation_mode) == 3):
            for i in range(3):
                yield Leaf(target.id.session_uid, f"{found[1]}{prop}", i, target.id)


def _owner_of_transforms(target: Any) -> tuple[Any, str] | None:
    """The bone or object of a driver's target, and what its properties' data paths begin with."""
    if target.id is None or target.id.id_type != "OBJECT":
        return None
    if not target.bone_target:
        return target.id, ""
    bone = target.id.pose.bones.get(target.bone_target) if target.id.pose is not None else None
    return None if bone is None else (bone, f'pose.bones["{bpy.utils.escape_identifier(bone.name)}"].')


def _letter_index(owner: Any, path: str, letter: str) -> int:
    return ("wxyz" if len(owner.path_resolve(path)) == 4 else "xyz").index(letter)


def _target_leaf(variable: Any) -> Leaf | None:
    """The number that a driver's variable looks at, if it is one."""
    if not len(variable.targets):
        return None
    target = variable.targets[0]
    if target.id is None:
        return None
    if variable.type == "SINGLE_PROP":
        block, path = target.id, target.data_path
        if block.id_type == "OBJECT" and path.startswith(("data.", "data[")) and block.data is not None:
            block, path = block.data, path.removeprefix("data").removeprefix(".")
        return _leaf(block, path)
    match = _TRANSFORM.fullmatch(target.transform_type) if variable.type == "TRANSFORMS" else None
    found = _owner_of_transforms(target)
    if match is None or found is None or (match[1] == "ROT" and len(found[0].rotation_mode) != 3):
        return None  # a quaternion's angle is no one number
    return Leaf(target.id.session_uid, f"{found[1]}{_PROPERTIES[match[1]]}", "XYZ".index(match[2]), target.id)


def _held(pose: Any, prop: str) -> bool:
    """Whether constraints decide on a bone's transform, so that keys on it are not seen."""
    return not prop.startswith("[") and any(
        c.type not in _LIMITS and not c.mute and c.influence > 0.0 for c in pose.constraints
    )


def _refuse_indirect(target: Any, leaf: Leaf) -> None:
    """Raise `_NotPlain` unless a transform variable has just the value of the property of the same name."""
    bone = target.id.pose.bones.get(target.bone_target) if target.bone_target else None
    own = target.transform_space == "TRANSFORM_SPACE"
    local = target.transform_space == "LOCAL_SPACE" and (bone is not None or target.id.parent is None)
    owner = bone if bone is not None else target.id
    held = any(c.type not in _LIMITS and not c.mute and c.influence > 0.0 for c in owner.constraints)
    turned = leaf.path.endswith("rotation_euler") and target.rotation_mode not in ("AUTO", owner.rotation_mode)
    moved = bone is not None and leaf.path.endswith("location") and not bone.bone.use_local_location
    if not (own or (local and not held)) or turned or moved:
        raise _NotPlain


def _at_rest(leaf: Leaf) -> float:
    """Where a number stands while another one is moved: transforms at rest, everything else as it is."""
    if split_custom(leaf.path) is None and leaf.datablock.id_type == "OBJECT":
        return default_of(leaf.datablock, leaf.path, leaf.index)
    return get_property(leaf.datablock, leaf.path, leaf.index)


def _clamped(one: Wanted, response: Response) -> Response:
    """A key's value, which Blender keeps in the key's range."""
    block = one.object.data.shape_keys.key_blocks[one.key]
    low, high = block.slider_min, block.slider_max
    return lambda values: min(max(response(values), low), high)


def _range(leaf: Leaf) -> tuple[float, float]:
    """The limits of a custom property; other numbers have none that a key would be kept in."""
    custom = split_custom(leaf.path)
    if custom is None:
        return -math.inf, math.inf
    owner = leaf.datablock.path_resolve(custom[0]) if custom[0] else leaf.datablock
    settings = owner.id_properties_ui(custom[1]).as_dict()
    low, high = float(settings.get("min", -math.inf)), float(settings.get("max", math.inf))
    # Without limits, Blender says the greatest number that there is.
    return (low if low > -1e30 else -math.inf), (high if high < 1e30 else math.inf)


def _answer(response: Response, leaf: Leaf, full: float) -> tuple[float, float] | None:
    """Where the number stands when the key is not shown, and how far it goes from there until the key first has the
    value `full`, or as much of it as it comes to; None if it does not move the key by itself."""
    low, high = _range(leaf)
    starts = dict.fromkeys((_default(leaf), 0.0, _at_rest(leaf)))
    at = [start for start in starts if low <= start <= high and abs(response({leaf: start})) < 1e-3 * abs(full)]
    start = at[0] if at else _at_rest(leaf)

    def shown(step: float) -> float:
        return (response({leaf: min(max(start + step, low), high)}) - response({leaf: start})) * math.copysign(1, full)

    best = None
    for sign in (1.0, -1.0):
        step = _first(shown, sign, abs(full), _STEPS)
        if step is not None and (best is None or abs(step) < 0.5 * abs(best)):
            best = step
    return None if best is None else (start, best)


def _default(leaf: Leaf) -> float:
    try:
        return default_of(leaf.datablock, leaf.path, leaf.index)
    except (KeyError, TypeError, AttributeError):
        return 0.0


def _first(shown: Callable[[float], float], sign: float, full: float, steps: Sequence[float]) -> float | None:
    """The least step to the side of `sign` at which a key is shown as far as it comes, up to `full`."""
    values = [shown(sign * step) for step in steps]
    most = min(max(values), full)
    if most < _LEAST * full:
        return None
    enough = most * (1.0 - _EXACT)
    i = next(i for i, value in enumerate(values) if value >= enough)
    inside, outside = (0.0 if i == 0 else steps[i - 1]), steps[i]
    for _ in range(40):
        # Most responses are straight lines up to where they end: what a line says is tried first.
        value = shown(sign * inside)
        guess = inside * most / value if value > 1e-6 * full else 0.0
        middle = guess if inside < guess <= outside else 0.5 * (inside + outside)
        reached = shown(sign * middle)
        if abs(reached - most) <= _EXACT * most and shown(sign * middle * (1.0 - 10.0 * _EXACT)) < enough:
            return sign * middle
        if reached >= enough:
            outside = middle
        else:
            inside = middle
        if outside - inside < 1e-6 * outside:
            break
    return sign * outside


class _Trial:
    """A number that is moved by steps from where it stands at rest, and what the keys are then, each looked at once."""

    def __init__(self, leaf: Leaf, keys: Sequence[Wanted], move: Callable[[float], None]) -> None:
        self.start = _at_rest(leaf)
        self._keys, self._move, self._range = keys, move, _range(leaf)
        self._seen: dict[float, dict[Wanted, float]] = {}

    def shown(self, one: Wanted, step: float) -> float:
        """How far a step takes a key from what it is at rest, towards its full value."""
        return (self._values(step)[one] - self._values(0.0)[one]) * math.copysign(1.0, one.full)

    def _values(self, step: float) -> dict[Wanted, float]:
        if step not in self._seen:
            low, high = self._range
            self._move(min(max(self.start + step, low), high))
            self._seen[step] = {one: _now(one) for one in self._keys}
        return self._seen[step]


def _measure(
    wanted: Sequence[Wanted], leaves: Mapping[Wanted, Sequence[Leaf]]
) -> dict[Wanted, dict[Leaf, tuple[float, float]]]:
    """What `_answer` says, found by moving the numbers and looking at the keys."""
    answers: dict[Wanted, dict[Leaf, tuple[float, float]]] = {one: {} for one in wanted}
    for leaf in dict.fromkeys(leaf for one in wanted for leaf in leaves[one]):
        keys = [one for one in wanted if leaf in leaves[one]]
        with _probe(leaf) as move:
            trial = _Trial(leaf, keys, move)
            for one in keys:
                step = _remembered(trial, one, leaf) or _search(trial, one)
                if step is not None:
                    answers[one][leaf] = (trial.start, step)
                    _steps[_place(one, leaf)] = step, trial.shown(one, step)
    return answers


# Steps that were found, and how far they took the key: searching takes a dozen looks at the scene, checking two.
_steps: dict[tuple[int, str, float, Leaf], tuple[float, float]] = {}


def _place(one: Wanted, leaf: Leaf) -> tuple[int, str, float, Leaf]:
    return one.object.data.shape_keys.session_uid, one.key, one.full, replace(leaf, datablock=None)


def _remembered(trial: _Trial, one: Wanted, leaf: Leaf) -> float | None:
    """The step that was found before, if it still takes the key as far, and half of it not."""
    step, shown = _steps.get(_place(one, leaf), (0.0, 0.0))
    if step == 0.0 or abs(trial.shown(one, step) - shown) > _EXACT * abs(one.full):
        return None
    return step if trial.shown(one, 0.5 * step) < 0.99 * shown else None


def _search(trial: _Trial, one: Wanted) -> float | None:
    found = [_first(lambda step: trial.shown(one, step), sign, abs(one.full), _COARSE) for sign in (1.0, -1.0)]
    return min((step for step in found if step is not None), key=abs, default=None)


def _now(one: Wanted) -> float:
    return float(one.object.data.shape_keys.key_blocks[one.key].value)


@contextmanager
def _probe(leaf: Leaf) -> Iterator[Callable[[float], None]]:
    """A function that sets a number and brings the scene up to date; afterwards the number is as it was."""
    context: Any = bpy.context
    owner, index = leaf.datablock, leaf.index
    before = owner.path_resolve(leaf.path)
    kept = before[index] if hasattr(before, "__len__") else before

    def move(value: float) -> None:
        set_property(owner, leaf.path, index, value)
        owner.update_tag()
        context.view_layer.update()

    try:
        yield move
    finally:
        set_property(owner, leaf.path, index, kept)
        owner.update_tag()
        context.view_layer.update()
