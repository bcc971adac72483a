# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of shape key names as people make them: a family's names in another spelling, dressed, shuffled, with some
missing, among names that look like them and mean something else. Seeded; two generators that share nothing but the form
of what they make, so that matching is not tuned to one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mangled:
    """`names` in their order; `truth`: a name in the list -> the published name that it stands for; `how`: in words."""

    names: tuple[str, ...]
    truth: dict[str, str]
    how: str


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_SIDE = {"left": "Left", "right": "Right", "l": "Left", "r": "Right"}
_SHORT = {
    "mouth": "mth",
    "brow": "brw",
    "lower": "lwr",
    "upper": "upr",
    "inner": "inn",
    "outer": "out",
    "left": "lft",
    "right": "rgt",
    "down": "dn",
    "cheek": "chk",
    "tongue": "tng",
    "forward": "fwd",
    "smile": "sml",
    "squint": "sqnt",
    "stretch": "strch",
    "open": "opn",
    "nose": "nse",
}


def _words(name: str) -> list[str]:
    return _WORD.findall(name)


def _spelled(name: str, case: str, joint: str, sides: str, shorten: bool) -> str:
    """A published name in one spelling; a name with more or fewer sides than one keeps them where they are."""
    words = [w.lower() for w in _words(name)]
    at = [i for i, w in enumerate(words) if w in _SIDE]
    side = _SIDE[words.pop(at[0])] if len(at) == 1 and at[0] == len(words) - 1 and sides != "as is" else ""
    if shorten:
        words = [_SHORT.get(w, w) for w in words]
        side = side and {"Left": "Lft", "Right": "Rgt"}[side]
    elif sides.endswith("letter"):
        side = side[:1]
    place = sides.split()[0]
    if side and place == "front":
        words = [side, *words]
    elif side and place == "middle":
        words = [words[0], side, *words[1:]]
    elif side:
        words = [*words, side]
    if case == "camel":
        words = [words[0].lower(), *(w[:1].upper() + w[1:] for w in words[1:])]
    elif case == "pascal":
        words = [w[:1].upper() + w[1:] for w in words]
    elif case == "upper":
        words = [w.upper() for w in words]
    else:
        words = [w.lower() for w in words]
    return joint.join(words)


def _is_left(name: str) -> bool:
    return (
        any(_SIDE.get(word.lower(), word.lower()) in ("Left", "lft") for word in _words(name)) or "eft" in name.lower()
    )


_DECOYS: tuple[Callable[[str], str], ...] = (
    *(
        lambda n, w=w: f"{n}_{w}"
        for w in ("fix", "old", "corrective", "half", "mirror", "copy", "target", "bak", "ctrl")
    ),
    *(
        lambda n, w=w: f"{n}{w}"
        for w in ("Fix", "Half", "2", "_50", "50", "_025", "_L_R", "Soft", "Max", "_v2", " (2)")
    ),
    *(
        lambda n, w=w: f"{w}{n}"
        for w in ("no", "old_", "half_", "anti-", "not_", "pre_", "test_", "un", "combo_", "inv_")
    ),
    lambda n: re.sub(r"(Left|Right|_?[LR])$", r"Half\1", n) if re.search(r"(Left|Right|[LR])$", n) else n + "Half",
    lambda n: f"{n}_{n}",
    lambda n: f"{n}_combo_jawOpen",
    lambda n: n + ("Right" if _is_left(n) else "Left"),
    lambda n: ("R_" if _is_left(n) else "L_") + n,
    lambda n: f"{n}_inbetween_30",
)
_STRANGERS = (
    *(
        "Basis",
        "smile",
        "Blink",
        "viseme_aa",
        "Smile_HalfLeft",
        "mouthSmile",
        "eyeBlink",
        "browUp",
        "body_thin",
        "Angry",
    ),
    *("mouthSmileLeftRight", "jaw", "Left", "breathe", "neck_twist", "jawOpenish", "noseFlareLeft", "lipBiteLower"),
)


def spelled_list(published: Sequence[str], seed: int, letters: bool = True) -> Mangled:
    """One list of the first kind: the whole rig in one spelling and one dress, with decoys of over thirty kinds.

    `letters`: whether case, separators, sides and abbreviations may change (not for names that are told by them).
    """
    rng = random.Random(seed)
    case = rng.choice(["camel", "pascal", "lower", "upper", "camel"])
    joint = rng.choice(["", "_", "-", ".", " "]) if case in ("camel", "pascal") else rng.choice(["_", "-", " ", ""])
    sides = rng.choice(["end", "end letter", "end letter", "as is", "front", "front letter", "middle letter"])
    shorten = rng.random() < 0.15 and joint + case not in ("lower", "upper")
    if joint == "" and case in ("lower", "upper"):
        sides = rng.choice(["end", "as is"])
    prefix = rng.choice(["", "", "Face_", "Head.", "blendShape1.", "Anna:", "SK_Body_", "zork-", "BS ", "x_"])
    suffix = rng.choice(["", "", "", "_BS", "_geo", "_shape", ".bs"])
    numbers = rng.choice(["", "", "", "", "{:02}_", "AK_{:03}_", "_{}"])
    kept = [name for name in published if rng.random() > rng.choice([0.0, 0.1, 0.3])]
    truth: dict[str, str] = {}
    decoys: list[str] = []
    for i, name in enumerate(kept):
        spelled = _spelled(name, case, joint, sides, shorten) if letters else name
        number = numbers.format(rng.randint(1, 3) + 3 * i)
        front, back = (number, "") if not numbers.startswith("_") else ("", number)
        if not letters:
            suffix = back = ""
        whole = f"{prefix}{front}{spelled}{suffix}{back}"
        if rng.random() < 0.03:
            whole += ".001"
        truth[whole] = name
        if rng.random() < 0.3:
            inner = rng.choice(_DECOYS)(spelled)
            decoys.append(rng.choice([f"{prefix}{front}{inner}{suffix}{back}", rng.choice(_DECOYS)(whole)]))
    gone = [name for name in published if name not in kept]
    for name in rng.sample(gone, min(len(gone), 6)):
        spelled = _spelled(name, case, joint, sides, shorten) if letters else name
        number = numbers.format(rng.randint(200, 300)) if letters else ""
        front, back = (number, "") if not numbers.startswith("_") else ("", number)
        decoys.append(f"{prefix}{front}{rng.choice(_DECOYS)(spelled)}{suffix}{back}")
    decoys += rng.sample(_STRANGERS if "jawOpen" in published else _STRANGERS[8:], 6)
    names = [*truth, *dict.fromkeys(d for d in decoys if d not in truth)]
    rng.shuffle(names)
    how = f"{case!r} {joint!r} {sides!r} {prefix!r} {suffix!r} {numbers!r}{' short' if shorten else ''}"
    return Mangled(tuple(names), truth, how)


# The second kind: what a stranger would try who wants to see it fail.

_TYPOS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda n, r: n[: len(n) // 2] + n[len(n) // 2 + 1 :],
    lambda n, r: n + n[-1],
    lambda n, r: n[:-1],
    lambda n, r: n[1:],
    lambda n, r: n[:3] + "x" + n[3:],
)
_TWISTS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda n, r: f"{n} copy",
    lambda n, r: f"{n}#2",
    lambda n, r: f"{n}~",
    lambda n, r: f"{n}{r.choice(['Wide', 'Upper', 'Lower', 'Up', 'Down', 'In', 'Out', 'Open', 'Closed', 'Inner'])}",
    lambda n, r: (
        f"{n}_{r.choice(['wet', 'A', 'B', 'alt', 'asym', 'wrinkle', 'delta', 'add', 'lod1', 'tmp', 'x', 'final'])}"
    ),
    lambda n, r: f"{r.choice(['sad', 'wet', 'raw', 'pose', 'my', 'is', 'fake', 'drv', 'neg', 'tweak', 'helper'])}_{n}",
    lambda n, r: f"{n}_{r.choice(['jawOpen', 'mouthClose', 'eyeBlinkLeft', 'browInnerUp'])}",
    lambda n, r: f"{r.choice(['jawOpen', 'cheekPuff'])}+{n}",
    lambda n, r: f"{n}_{r.randint(1, 99)}pct",
    lambda n, r: f"{r.randint(10, 90)}%{n}",
    lambda n, r: f"{n}0.{r.randint(1, 9)}",
    lambda n, r: n.replace("Left", "LeftRight").replace("left", "left_right") + "_x",
    lambda n, r: n.replace("mouth", "mouthCorner").replace("eye", "eyelid").replace("brow", "browMid") + "Z",
    lambda n, r: f"{n}->{n[::-1]}",
    lambda n, r: f"{n}_to_neutral",
    lambda n, r: f"({n})_disabled",
    lambda n, r: f"{n}.old.003",
)
_CORNERS = (
    *(
        "jawOpenMouthClose",
        "mouthLeftSmile_half",
        "leftright",
        "L_R_smile",
        "browOuterInnerUpLeft",
        "jawUp",
        "tongueIn",
    ),
    *("mouthSmileUpperLeft", "eyeLookLeft", "eyeLookUpDownLeft", "cheekPuffSquintLeft", "noseSneer", "mouthOpenLeft"),
    *("eyeWideSquintLeft", "mouthFunnelPucker", "browDownUpRight", "jawOpenLeft", "mouthRollLowerUpper", "eyesWide"),
)


def _consonants(name: str) -> str:
    """What a slip must change to be more than an abbreviation or another spelling."""
    return re.sub(r"(.)\1+", r"\1", re.sub(r"[\W_aeiou]", "", name.lower()))


def hostile_list(published: Sequence[str], seed: int, letters: bool = True) -> Mangled:
    """One list of the second kind: spellings that differ from name to name, a namespace, and near misses."""
    rng = random.Random(f"hostile {seed}")
    space = rng.choice(
        ["", "", "Hero|", "char01:", "GEO/Face/", "c_", "[ARKit] ", "M", "mesh.", "Bob's Head - ", "頭_"]
    )
    glued = rng.choice(["", "", "", "Shp", "_grp", "__m", "_s" + str(rng.randint(0, 9))])
    mixed = rng.random() < 0.4 and not space.endswith("M")
    letter = rng.random() < 0.5
    case, joint = rng.choice([("camel", ""), ("pascal", ""), ("lower", "_"), ("upper", "_"), ("pascal", " ")])

    def write(name: str) -> str:
        if not letters:
            return name
        sides = "end letter" if letter else "as is"
        if mixed:
            one = rng.choice([("camel", ""), ("pascal", ""), ("lower", "_"), ("camel", "."), ("pascal", "-")])
            return _spelled(name, *one, sides, False)
        return _spelled(name, case, joint, sides, False)

    lost = rng.choice([0.0, 0.05, 0.25, 0.5])
    truth: dict[str, str] = {}
    decoys: list[str] = []
    for name in published:
        written = write(name)
        whole = f"{space}{written}{glued if letters else ''}"
        if rng.random() >= lost:
            truth[whole] = name
        if rng.random() < 0.35:
            twist = rng.choice(_TWISTS)
            decoys.append(twist(whole, rng) if rng.random() < 0.5 else f"{space}{twist(written, rng)}{glued}")
        if rng.random() < 0.1 and letters:
            typed = rng.choice(_TYPOS)(written, rng)
            if _consonants(typed) != _consonants(written):
                decoys.append(f"{space}{typed}{glued}")
    decoys += [f"{space}{d}{glued}" if rng.random() < 0.5 else d for d in rng.sample(_CORNERS, 8)]
    if rng.random() < 0.3:
        decoys += [f"{name}.001" for name in rng.sample(list(truth), min(4, len(truth)))]
    names = [*truth, *dict.fromkeys(d for d in decoys if d not in truth)]
    rng.shuffle(names)
    how = f"{space!r} {glued!r} {'mixed' if mixed else case + joint}{' letter' if letter else ''} lost {lost}"
    return Mangled(tuple(names), truth, how)


GENERATORS: tuple[Callable[[Sequence[str], int, bool], Mangled], ...] = (spelled_list, hostile_list)


def lists(published: Sequence[str], count: int, letters: bool = True) -> Iterable[Mangled]:
    """`count` lists, half of each kind."""
    for seed in range(count):
        yield GENERATORS[seed % 2](published, seed, letters)
