# SPDX-License-Identifier: GPL-3.0-or-later
"""A pose: 61 finite numbers in their channels' ranges, immutable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from .channels import CHANNELS, COUNT, HIGH, INDEX, LOW, MIRROR, MIRROR_SIGN
from .errors import FacescriptError

Array = npt.NDArray[np.float64]

# Coefficients under this are not seen on a face; it is where KeyframeFace's one decimal rounds to zero.
ACTIVE = 0.05

_PAIRED = tuple(c.name[:-4] for c in CHANNELS if c.name.endswith("Left") and c.name not in ("jawLeft", "mouthLeft"))
_GAZE: dict[str, tuple[str, ...]] = {
    "gazeLeft": ("eyeLookOutLeft", "eyeLookInRight"),
    "gazeRight": ("eyeLookInLeft", "eyeLookOutRight"),
    "gazeUp": ("eyeLookUpLeft", "eyeLookUpRight"),
    "gazeDown": ("eyeLookDownLeft", "eyeLookDownRight"),
}
# Short names that stand for two channels: a paired name without its side, and the direction of the gaze.
SHORTHAND: dict[str, tuple[str, ...]] = {name: (name + "Left", name + "Right") for name in _PAIRED} | _GAZE

# What turns each eye one way and the other: positive yaw is to the character's left, positive pitch up.
EYE_ANGLES = {
    "leftEyeYaw": ("eyeLookOutLeft", "eyeLookInLeft"),
    "leftEyePitch": ("eyeLookUpLeft", "eyeLookDownLeft"),
    "rightEyeYaw": ("eyeLookInRight", "eyeLookOutRight"),
    "rightEyePitch": ("eyeLookUpRight", "eyeLookDownRight"),
}


@dataclass(frozen=True, eq=False)
class Pose:
    """One facial pose.

    `values` is a read-only float64 array of shape (61,), in the order of `CHANNELS`; blend shapes are in
    [0, 1], angles in [-1, 1]. Raises FacescriptError (`bad_pose`) for any other shape, for a value that is not
    finite and for one out of range.
    """

    values: Array

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.shape != (COUNT,):
            raise FacescriptError("bad_pose", f"A pose has {COUNT} channels, not {values.size}.")
        _check(values)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pose) and bool(np.array_equal(self.values, other.values))

    def __hash__(self) -> int:
        return hash(self.values.tobytes())

    def __getitem__(self, name: str) -> float:
        return float(self.values[INDEX[name]])

    def __repr__(self) -> str:
        return f"Pose({self.active()})"

    @classmethod
    def from_dict(cls, coefficients: Mapping[str, object]) -> Pose:
        """Read `{channel: value}`; channels that are left out are 0.

        Names are camelCase or PascalCase; a paired name without a side (`mouthSmile`) means both sides, and
        `gazeLeft`, `gazeRight`, `gazeUp`, `gazeDown` stand for the eyeLook channels. Eye angles that are left
        out follow from the eyeLook channels. Raises FacescriptError (`bad_pose`) for unknown or doubled names
        and for values that are not finite numbers in range.
        """
        values = np.zeros(COUNT)
        given: set[str] = set()
        for key, value in coefficients.items():
            for name in _expand(str(key)):
                if name in given:
                    raise FacescriptError("bad_pose", f"Channel {name} is given twice.", f"Remove {key} or the other.")
                given.add(name)
                values[INDEX[name]] = _number(name, value)
        _check(values)
        _add_eye_angles(values, given)
        return cls(values)

    @classmethod
    def clipped(cls, values: npt.ArrayLike) -> Pose:
        """Read an array of shape (61,), bringing each value into its channel's range.

        Raises FacescriptError (`bad_pose`) for values that are not finite.
        """
        array = np.asarray(values, dtype=np.float64)
        if not np.isfinite(array).all():
            raise FacescriptError("bad_pose", "A pose holds a value that is not a finite number.")
        return cls(np.clip(array, LOW, HIGH))

    def to_dict(self, digits: int = 4) -> dict[str, float]:
        """All 61 channels by camelCase name, rounded to `digits` decimals."""
        # Adding 0.0 turns -0.0 into 0.0.
        return {c.name: round(float(v), digits) + 0.0 for c, v in zip(CHANNELS, self.values, strict=True)}

    def active(self, threshold: float = ACTIVE) -> dict[str, float]:
        """The channels whose magnitude is at least `threshold`."""
        return {name: value for name, value in self.to_dict().items() if abs(value) >= threshold}

    def mirrored(self) -> Pose:
        """The pose with left and right exchanged."""
        return Pose(self.values[MIRROR] * MIRROR_SIGN)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values.tolist())


def _expand(key: str) -> tuple[str, ...]:
    name = key[:1].lower() + key[1:]
    if name in INDEX:
        return (name,)
    if name in SHORTHAND:
        return SHORTHAND[name]
    near = get_close_matches(name, [*INDEX, *SHORTHAND], n=1)
    hint = f"Did you mean {near[0]}?" if near else "Use ARKit's names, such as jawOpen or mouthSmileLeft."
    raise FacescriptError("bad_pose", f"There is no channel {key[:60]!r}.", hint)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FacescriptError("bad_pose", f"Channel {name} is {str(value)[:40]!r}, which is not a number.")
    try:
        return float(value)
    except OverflowError:
        raise FacescriptError("bad_pose", f"Channel {name} is too large a number.") from None


def _check(values: Array) -> None:
    # Written so that NaN counts as bad.
    bad = np.flatnonzero(~((values >= LOW) & (values <= HIGH)))
    if bad.size:
        channel = CHANNELS[bad[0]]
        raise FacescriptError(
            "bad_pose", f"Channel {channel.name} is {values[bad[0]]:g}, outside [{channel.low:g}, {channel.high:g}]."
        )


def _add_eye_angles(values: Array, given: set[str]) -> None:
    for angle, (plus, minus) in EYE_ANGLES.items():
        if angle not in given:
            values[INDEX[angle]] = values[INDEX[plus]] - values[INDEX[minus]]


NEUTRAL = Pose(np.zeros(COUNT))
