# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting checks: short scripts with facts that any sensible performance of them shows.

`checks/acting.jsonl` holds the scripts: a brief (`id`, `script`, `background`, `emotion`) and `checks`. They were
written before there was a model to look at. A check is one of

- `[which, fact]`: the fact is true of `"some"`, `"none"`, `"all"` or `"most"` (more than half) of the keyframes, of
  the `"first"` or the `"last"`, or of some keyframe of the first half (`"early"`) or of the second (`"late"`). A middle
  keyframe belongs to both halves.
- `["beats", "<=" or ">=", n]`: how many keyframes there are.
- `["rises" or "falls", quantity]`: the last keyframe's quantity is at least `CHANGE` above or below the first's.

`checks/facts.json` holds the facts, each `{"says": a sentence, "any" or "all": conditions}` about one pose. A condition
is `[quantity, "<=" or ">=", number]`, the name of another fact, or a nested `{"any" or "all": conditions}`.

A quantity is a channel (`jawOpen`), `peak`, or a short name for two channels. A paired name without its side
(`mouthSmile`) or a direction of the gaze (`gazeDown`) is the mean of the two; with `.max` or `.min` it is the stronger
or the weaker of them; a paired name with `.gap` is the left one minus the right one. `peak` is the largest of all
blend shapes but eyeBlink and eyeLook. Angles and gaps are in [-1, 1], everything else is in [0, 1].
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ..performance import BLEND_SHAPES, CHANNELS, INDEX, Brief, FacescriptError, Performance, Pose, jsonl
from ..performance.pose import SHORTHAND

FOLDER = Path(__file__).parent / "checks"
# What choices were made on, and what was only measured on: written by another author, who saw no output.
SETS = {"for choices": FOLDER / "acting.jsonl", "held out": FOLDER / "acting_held_out.jsonl"}
WHICH = ("some", "none", "all", "most", "first", "last", "early", "late")

# How far a quantity moves from the first keyframe to the last to rise or fall: a hint, on the corpus's scale.
CHANGE = 0.1
# Differences and means of decimals are off by a few units of rounding; they are not to decide a check.
_ROUNDING = 1e-9

Operator = Literal["<=", ">="]


class ChecksError(FacescriptError, ValueError):
    """A table of checks or facts that cannot be read, or a performance that is missing (`bad_checks`)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("bad_checks", message, hint)


@dataclass(frozen=True)
class Quantity:
    """A number read off a pose: the mean, the largest, the smallest or the difference of some channels."""

    name: str
    how: Literal["mean", "max", "min", "gap"]
    channels: tuple[str, ...]

    @classmethod
    def parse(cls, name: object) -> Quantity:
        """Read a quantity's name; raises ChecksError for one that does not exist."""
        if name == "peak":
            shapes = tuple(n for n in BLEND_SHAPES if not n.startswith(("eyeBlink", "eyeLook")))
            return cls("peak", "max", shapes)
        if isinstance(name, str):
            base, dot, how = name.partition(".")
            if not dot and base in INDEX:
                return cls(name, "mean", (base,))
            if base in SHORTHAND:
                if not dot:
                    return cls(name, "mean", SHORTHAND[base])
                if how == "max":
                    return cls(name, "max", SHORTHAND[base])
                if how == "min":
                    return cls(name, "min", SHORTHAND[base])
                if how == "gap" and not base.startswith("gaze"):
                    return cls(name, "gap", SHORTHAND[base])
        raise ChecksError(
            f"There is no quantity {_short(name)}.",
            "Use a channel, a paired name or a gaze, with .max, .min or .gap, or peak.",
        )

    @property
    def low(self) -> float:
        """The least value that it can have."""
        return -1.0 if self.how == "gap" or any(CHANNELS[INDEX[c]].is_angle for c in self.channels) else 0.0

    def of(self, pose: Pose) -> float:
        """The value in `pose`, in [-1, 1] for angles and gaps, in [0, 1] otherwise."""
        values = [pose[channel] for channel in self.channels]
        match self.how:
            case "mean":
                return sum(values) / len(values)
            case "max":
                return max(values)
            case "min":
                return min(values)
            case "gap":
                return values[0] - values[1]


@dataclass(frozen=True)
class Comparison:
    """A quantity against a bound."""

    quantity: Quantity
    operator: Operator
    bound: float

    def holds(self, pose: Pose) -> bool:
        """Whether it is true of `pose`."""
        return _compare(self.quantity.of(pose), self.operator, self.bound)


@dataclass(frozen=True)
class Group:
    """Conditions of which any one, or all, must hold."""

    mode: Literal["any", "all"]
    parts: tuple[Comparison | Group, ...]

    def holds(self, pose: Pose) -> bool:
        """Whether it is true of `pose`."""
        results = (part.holds(pose) for part in self.parts)
        return any(results) if self.mode == "any" else all(results)


@dataclass(frozen=True)
class Fact:
    """Something that is true of a pose or not; `says` is a sentence for people."""

    name: str
    says: str
    condition: Group

    def holds(self, pose: Pose) -> bool:
        """Whether it is true of `pose`."""
        return self.condition.holds(pose)


@dataclass(frozen=True)
class FactCheck:
    """A fact, and of which keyframes it is asked."""

    which: str
    fact: Fact

    def holds(self, performance: Performance) -> bool:
        """Whether `performance` shows it."""
        shown = [self.fact.holds(keyframe.pose) for keyframe in performance.keyframes]
        half = (len(shown) + 1) // 2
        match self.which:
            case "some":
                return any(shown)
            case "none":
                return not any(shown)
            case "all":
                return all(shown)
            case "most":
                return 2 * sum(shown) > len(shown)
            case "first":
                return shown[0]
            case "last":
                return shown[-1]
            case "early":
                return any(shown[:half])
            case _:
                return any(shown[-half:])

    def __str__(self) -> str:
        return f"{self.which} {self.fact.name}"


@dataclass(frozen=True)
class BeatsCheck:
    """How many keyframes there are."""

    operator: Operator
    count: int

    def holds(self, performance: Performance) -> bool:
        """Whether `performance` has as many."""
        return _compare(len(performance.keyframes), self.operator, self.count)

    def __str__(self) -> str:
        return f"beats {self.operator} {self.count}"


@dataclass(frozen=True)
class ChangeCheck:
    """A quantity that is higher, or lower, at the end than at the start by `CHANGE` or more."""

    direction: Literal["rises", "falls"]
    quantity: Quantity

    def holds(self, performance: Performance) -> bool:
        """Whether it moves so; never with a single keyframe."""
        first, last = performance.keyframes[0].pose, performance.keyframes[-1].pose
        change = self.quantity.of(last) - self.quantity.of(first)
        return _compare(change if self.direction == "rises" else -change, ">=", CHANGE)

    def __str__(self) -> str:
        return f"{self.direction} {self.quantity.name}"


Check = FactCheck | BeatsCheck | ChangeCheck


@dataclass(frozen=True)
class Script:
    """A script to perform, and what is to be seen then."""

    brief: Brief
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Failure:
    """A script that is not met, and which of its checks do not hold."""

    script: Script
    failed: tuple[Check, ...]

    def __str__(self) -> str:
        brief = self.script.brief
        wanted = ", ".join(str(check) for check in self.failed)
        return f"{brief.id} {brief.script!r} ({brief.emotion or 'no emotion'}): not {wanted}"


@dataclass(frozen=True)
class Score:
    """What part of the checks holds.

    A script is met when all its checks hold: `met` of `scripts` scripts are, and `held` of `checks` single checks hold.
    `failures` has the scripts that are not met, in the order of the table.
    """

    scripts: int
    met: int
    checks: int
    held: int
    failures: tuple[Failure, ...]

    @property
    def share_met(self) -> float:
        """The share of scripts that are met, in [0, 1]: the measure."""
        return self.met / self.scripts

    @property
    def share_held(self) -> float:
        """The share of single checks that hold, in [0, 1]."""
        return self.held / self.checks

    def __str__(self) -> str:
        head = (
            f"{self.met} of {self.scripts} scripts met ({self.share_met:.1%}); "
            f"{self.held} of {self.checks} checks hold ({self.share_held:.1%})"
        )
        return "\n".join([head, *(f"  {failure}" for failure in self.failures)])


def check(performance: Performance, checks: Sequence[object]) -> list[bool]:
    """Whether each of `checks` holds for `performance`, in their order.

    Checks are parsed ones or their written forms (`["some", "smile"]`), which may name the facts of the tables. Raises
    ChecksError for a form, a fact or a quantity that does not exist.
    """
    parsed = [c if isinstance(c, Check) else parse_check(c, load_facts()) for c in checks]
    return [c.holds(performance) for c in parsed]


def score(performances: Mapping[str, Performance], scripts: Sequence[Script] | None = None) -> Score:
    """Score `performances`, by the id of the script that each performs.

    `scripts` are all of the table's unless given. Raises ChecksError if a script has no performance, if a performance
    has no script, or if there are no scripts.
    """
    scripts = load_scripts() if scripts is None else scripts
    ids = [script.brief.id for script in scripts]
    if not ids:
        raise ChecksError("There are no scripts to score.")
    if missing := [number for number in ids if number not in performances]:
        raise ChecksError(f"{len(missing)} scripts have no performance, the first of them {missing[0]}.")
    if strange := sorted(set(performances) - set(ids)):
        raise ChecksError(f"{len(strange)} performances have no script, the first of them {_short(strange[0])}.")
    failures = []
    for script in scripts:
        results = check(performances[script.brief.id], script.checks)
        if not all(results):
            failed = tuple(c for c, held in zip(script.checks, results, strict=True) if not held)
            failures.append(Failure(script, failed))
    total = sum(len(script.checks) for script in scripts)
    lost = sum(len(failure.failed) for failure in failures)
    return Score(len(scripts), len(scripts) - len(failures), total, total - lost, tuple(failures))


@cache
def load_facts(path: Path = FOLDER / "facts.json") -> Mapping[str, Fact]:
    """Read the table of facts; raises ChecksError naming the file and the fact."""
    try:
        table = jsonl.parse_object(_read_text(path))
    except FacescriptError as error:
        raise ChecksError(f"{path}: {error.message}", error.hint) from error
    return parse_facts(table, str(path))


@cache
def load_scripts(path: Path = FOLDER / "acting.jsonl") -> tuple[Script, ...]:
    """Read the scripts, one a line; raises ChecksError naming the file and the line."""
    facts = load_facts()
    scripts: list[Script] = []
    seen: set[str] = set()
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        try:
            script = _parse_script(jsonl.parse_object(line), facts)
            if script.brief.id in seen:
                raise ChecksError(f"The id {_short(script.brief.id)} is given twice.")
        except FacescriptError as error:
            raise ChecksError(f"{path}, line {number}: {error.message}", error.hint) from error
        seen.add(script.brief.id)
        scripts.append(script)
    return tuple(scripts)


def parse_facts(table: Mapping[str, object], where: str = "The table of facts") -> dict[str, Fact]:
    """Parse `{name: {"says": ..., "any" or "all": [...]}}`, in any order.

    Raises ChecksError for an unknown quantity, operator or fact, for a bound outside the quantity's range, and for
    facts that rest on themselves.
    """
    facts = {}
    for name in table:
        try:
            facts[name] = _parse_fact(name, table, ())
        except ChecksError as error:
            raise ChecksError(f"{where}, fact {_short(name)}: {error.message}", error.hint) from error
    return facts


def _parse_fact(name: str, table: Mapping[str, object], above: tuple[str, ...]) -> Fact:
    # `above` names the facts that are being parsed and rest on this one.
    if name in above:
        raise ChecksError(f"The fact {name} rests on itself.")
    row = table[name]
    says = row.get("says") if isinstance(row, Mapping) else None
    if not isinstance(row, Mapping) or not isinstance(says, str) or not says:
        raise ChecksError('it has no sentence under "says".')
    conditions = {key: value for key, value in row.items() if key != "says"}
    return Fact(name, says, _parse_group(conditions, table, (*above, name)))


def _parse_group(row: Mapping[str, object], table: Mapping[str, object], above: tuple[str, ...]) -> Group:
    if len(row) == 1:
        [(mode, parts)] = row.items()
        if mode in ("any", "all") and isinstance(parts, list) and parts:
            parsed = tuple(_parse_condition(part, table, above) for part in parts)
            return Group("any" if mode == "any" else "all", parsed)
    raise ChecksError('it needs one list of conditions, under "any" or "all".')


def _parse_condition(part: object, table: Mapping[str, object], above: tuple[str, ...]) -> Comparison | Group:
    if isinstance(part, str):
        if part not in table:
            raise ChecksError(f"there is no fact {_short(part)}.")
        return _parse_fact(part, table, above).condition
    if isinstance(part, Mapping):
        return _parse_group(part, table, above)
    if isinstance(part, list) and len(part) == 3:
        quantity, operator, bound = Quantity.parse(part[0]), _parse_operator(part[1]), part[2]
        if isinstance(bound, (int, float)) and not isinstance(bound, bool) and quantity.low <= bound <= 1.0:
            return Comparison(quantity, operator, float(bound))
        raise ChecksError(f"{_short(bound)} is not a bound for {quantity.name}, in [{quantity.low:g}, 1].")
    raise ChecksError(f"{_short(part)} is not a condition.", 'Write ["jawOpen", ">=", 0.2], a fact or a group.')


def parse_check(form: object, facts: Mapping[str, Fact]) -> Check:
    """Parse the written form of one check. Raises ChecksError for a form, a fact or a quantity that does not exist."""
    if isinstance(form, (list, tuple)) and form and isinstance(form[0], str):
        match list(form):
            case ["beats", operator, int(count)] if not isinstance(count, bool) and count >= 1:
                return BeatsCheck(_parse_operator(operator), count)
            case ["rises" | "falls" as direction, quantity]:
                return ChangeCheck("rises" if direction == "rises" else "falls", Quantity.parse(quantity))
            case [which, str(name)] if which in WHICH:
                if name not in facts:
                    raise ChecksError(
                        f"There is no fact {_short(name)}.", "Add it to facts.json, or mind its spelling."
                    )
                return FactCheck(which, facts[name])
    raise ChecksError(
        f"{_short(form)} is not a check.",
        f'Write [which, fact] with {", ".join(WHICH)}, ["beats", "<=", n] or ["rises", quantity].',
    )


def _parse_script(entry: Mapping[str, object], facts: Mapping[str, Fact]) -> Script:
    if strange := sorted(set(entry) - {"id", "script", "background", "emotion", "checks"}):
        raise ChecksError(f"There is nothing called {_short(strange[0])} in a script with checks.")
    brief = jsonl.brief_from_dict(entry)
    if not brief.id or not brief.script:
        raise ChecksError("The id or the script is missing.")
    forms = entry.get("checks")
    if not isinstance(forms, list) or not forms:
        raise ChecksError("There are no checks.")
    return Script(brief, tuple(parse_check(form, facts) for form in forms))


def _parse_operator(operator: object) -> Operator:
    if operator == "<=":
        return "<="
    if operator == ">=":
        return ">="
    raise ChecksError(f"{_short(operator)} does not compare.", "Use <= or >=.")


def _compare(value: float, operator: Operator, bound: float) -> bool:
    return value <= bound + _ROUNDING if operator == "<=" else value >= bound - _ROUNDING


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChecksError(f"Cannot read {path}: {error}.") from error


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."
