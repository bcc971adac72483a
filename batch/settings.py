# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch is made with: all that decides what its files hold, and nothing else.

How many workers there are, the address of a server and its key may change from one run to the next; these may not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..inference.options import ModelOptions
from ..performance import FacescriptError
from ..performance.parsing import is_whole
from ..rig_mapping import styles

Kind = Literal["livelink", "jsonl", "actions"]
KINDS: tuple[Kind, ...] = ("livelink", "jsonl", "actions")
ANGLES = ("RADIANS", "UNIT")
# Of a model's options, what says where a server is, and not what it answers.
_PLACES = ("address", "key")


@dataclass(frozen=True)
class Settings:
    """`write`: the kinds of files; `seed`: of rows without one; `style`: how the face moves from beat to beat; `fps`:
    rows of a CSV a second, and the rate of a .blend without a file of the user's; `angles`: of heads and eyes in a CSV;
    `blend`: the file with the faces that actions are written for ("" for the demo face), `face` the one among them
    that rows without a character's are for; `version`: the extension's.

    Raises FacescriptError (`bad_option`, `unknown_style`).
    """

    model: ModelOptions
    write: tuple[Kind, ...] = ("livelink", "jsonl")
    seed: int = 0
    style: str = styles.DEFAULT
    fps: float = 60.0
    angles: Literal["RADIANS", "UNIT"] = "RADIANS"
    blend: str = ""
    face: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        styles.get(self.style)
        if not self.write or any(kind not in KINDS for kind in self.write):
            raise FacescriptError("bad_option", "Nothing is written.", f"Choose of {', '.join(KINDS)}.")
        if not 1.0 <= self.fps <= 240.0:
            raise FacescriptError("bad_option", f"The frame rate is {self.fps:g}.", "Choose one from 1 to 240.")
        texts = {"model": self.model.model, "adapter": self.model.adapter, "file": self.blend, "face": self.face}
        for name, text in texts.items():
            # The journal, Blender and a farm are told of them in UTF-8.
            if not is_whole(text):
                raise FacescriptError("bad_option", f"The name of the {name} is not UTF-8: {text!r}.", "Rename it.")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is written for each line: actions are made from JSON lines, so these are written too."""
        chosen = {*self.write, "jsonl"} if "actions" in self.write else {*self.write}
        return tuple(kind for kind in KINDS if kind in chosen)

    def to_dict(self) -> dict[str, object]:
        """The settings as flat JSON."""
        model = {name: value for name, value in self.model.to_dict().items() if name not in _PLACES}
        return {
            **model,
            "write": " ".join(self.kinds),
            "seed": self.seed,
            "style": self.style,
            "fps": self.fps,
            "angles": self.angles,
            "blend": self.blend,
            "face": self.face,
            "version": self.version,
        }

    @property
    def digest(self) -> str:
        """The sha256 of `to_dict`."""
        return digest_of(self.to_dict())


def digest_of(entry: Mapping[str, object]) -> str:
    """The sha256 of a JSON object, whatever the order of its names."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """What is another setting, in words: "style was natural and is soft"."""
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return "; ".join(f"{name} was {_said(old.get(name))} and is {_said(new.get(name))}" for name in changed)


def _said(value: object) -> str:
    return str(value)[:80] if value not in ("", None) else "not given"
