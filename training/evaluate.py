# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py evaluate`: how good the embedded model's poses are, beside baselines; with --acting, how well it performs."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..inference.examples import Examples
from ..inference.options import QUANTIZATION_CHOICES, ModelOptions
from ..inference.plain_words import describe
from ..inference.setup.runtime import Runtime
from ..inference.worker import backends, engine
from ..performance import FacescriptError, Performance
from ..performance.pose import Array
from . import acting_checks, baselines, corpus, evaluator
from .acting_checks import Script
from .baselines import Rows, System
from .evaluator import POOL, Evaluator
from .metrics import DIRECTIONS, Measures, figures, measure
from .sentences import Sentences

RUNTIME = Path(__file__).resolve().parents[1] / ".runtime"


def main(arguments: list[str]) -> int:
    """Run the command; 0 if it was done, 1 if something is missing, 2 if the arguments are wrong."""
    options = _parse(arguments)
    try:
        entries = list(acting(options.quantizations[0]) if options.acting else poses(options))
    except FacescriptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.out:
        lines = [json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n" for entry in entries]
        options.out.write_text("".join(lines), encoding="utf-8")
        print(f"\nWritten to {options.out}")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py evaluate", description=__doc__)
    parser.add_argument("--part", choices=("test", "dev"), default="test", help="of the corpus")
    parser.add_argument("--acting", action="store_true", help="the acting checks, from scripts, in place of the poses")
    parser.add_argument("--words", action="store_true", help="also poses read back from their own plain words")
    parser.add_argument("--no-baselines", action="store_true", help="only the embedded model")
    parser.add_argument("--no-embedded", action="store_true", help="only the baselines")
    parser.add_argument(
        "--quantizations",
        nargs="+",
        choices=QUANTIZATION_CHOICES,
        default=["bf16", "nf4"],
        help="of the embedded model; each is compared with the first, and the acting checks use the first",
    )
    parser.add_argument(
        "--prompted",
        type=int,
        default=0,
        metavar="N",
        help="also the untrained model with a prompt, on about N keyframes, beside all others on the same ones",
    )
    parser.add_argument("--out", type=Path, help="a file for the results as JSON lines")
    options = parser.parse_args(arguments[1:])
    if options.prompted < 0:
        parser.error("--prompted needs a number of keyframes")
    if options.out and not options.out.parent.is_dir():
        parser.error(f"there is no folder {options.out.parent}")
    return options


# ---- Poses -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """A system's figures on one set of keyframes; no R-Precision where a pool of descriptions cannot be filled."""

    system: str
    note: str
    keyframes: int
    measures: Measures
    precision: Mapping[int, float]
    distance: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; shares of nothing are null."""
        measures = self.measures
        return {
            "system": self.system,
            "note": self.note,
            "keyframes": self.keyframes,
            "every": asdict(measures.every),
            "independent": asdict(measures.independent),
            "one_sided": _share(measures.one_sided.share),
            "directed": _share(measures.directed.share),
            "directions": {name: _share(share.share) for name, share in measures.directions.items()},
            "r_precision": {str(top): value for top, value in self.precision.items()},
            "mm_distance": self.distance,
        }


def _share(value: float) -> float | None:
    return None if math.isnan(value) else value


# The head of each column, its decimals, and what it shows.
_COLUMNS: tuple[tuple[str, int, Callable[[Result], float]], ...] = (
    ("MSE", 4, lambda r: r.measures.every.mse),
    ("MAE", 4, lambda r: r.measures.every.mae),
    ("MSE 55", 4, lambda r: r.measures.independent.mse),
    ("MAE 55", 4, lambda r: r.measures.independent.mae),
    ("F1", 3, lambda r: r.measures.independent.f1),
    ("1-sided", 3, lambda r: r.measures.one_sided.share),
    ("direct.", 3, lambda r: r.measures.directed.share),
    ("R@1", 3, lambda r: r.precision.get(1, math.nan)),
    ("R@2", 3, lambda r: r.precision.get(2, math.nan)),
    ("R@3", 3, lambda r: r.precision.get(3, math.nan)),
    ("MM-Dist", 3, lambda r: r.distance),
)
_DIRECTION_COLUMNS: tuple[tuple[str, int, Callable[[Result], float]], ...] = tuple(
    (name, 3, lambda r, name=name: r.measures.directions[name].share)  # type: ignore[misc]
    for name in DIRECTIONS
)
_LEGEND = """MSE, MAE: over 61 channels, and over the 55 that are independent; F1 of active channels over the 55.
1-sided: pairs of channels with more on one side, and direct.: what goes left or right, as the share that goes there.
R@k: the own description is among the nearest k of 32; MM-Dist: the distance of descriptions and poses (0 to 2)."""


def poses(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure the poses of all systems that are asked for, print the tables, and yield the results."""
    parts = corpus.load()
    asked = parts.dev if options.part == "dev" else parts.test
    embed = Sentences()
    judge = evaluator.load(parts.train, parts.dev, embed)
    systems = [] if options.no_baselines else list(baselines.make(parts.train, parts.dev, embed))
    if not options.no_embedded:
        systems += embedded(options.quantizations, options.words)
    found = {system.name: system.poses(asked) for system in systems}
    notes = {system.name: system.note for system in systems}

    rows = Rows.of(asked)
    print(f"\nThe {options.part} part: {len(asked)} performances, {len(rows.texts)} keyframes\n")
    results = [*sanity(rows, judge), *(compare(name, notes[name], found[name], rows, judge) for name in found)]
    yield from _shown(results, options.part)
    yield from _themes(found, asked, options.part)
    yield from _differences(found, rows, options)
    if options.prompted:
        picked = baselines.sample(asked, options.prompted)
        # The prompted model only reads: what the others made of these keyframes is there already.
        here = _places(asked, picked)
        system = baselines.prompted(parts.train, Runtime(RUNTIME).models, options.quantizations[0])
        known = {name: values[here] for name, values in found.items()} | {system.name: system.poses(picked)}
        rows = Rows.of(picked)
        print(f"\nOf these, {len(picked)} performances, {len(rows.texts)} keyframes, drawn with seed 0\n")
        notes[system.name] = system.note
        results = [*sanity(rows, judge), *(compare(name, notes[name], known[name], rows, judge) for name in known)]
        yield from _shown(results, f"{options.part}, sample of {len(rows.texts)}")


def embedded(quantizations: Sequence[str], words: bool = False) -> Iterator[System]:
    """The shipped model in each quantization, through the product's own path.

    With `words` also from what `plain_words` says of the true poses, in place of the corpus's descriptions.
    """
    for quantization in quantizations:
        backend = backends.make(ModelOptions("embedded", quantization=quantization), Runtime(RUNTIME).models)
        yield System(
            f"embedded {quantization}",
            backend.label,
            lambda performances, backend=backend: baselines.posed(backend, performances),  # type: ignore[misc]
        )
        if words:
            yield System(
                f"plain words {quantization}",
                "the true poses in plain words, read back",
                lambda performances, backend=backend: baselines.posed(  # type: ignore[misc]
                    backend, [in_plain_words(performance) for performance in performances]
                ),
            )


def in_plain_words(performance: Performance) -> Performance:
    """The performance with what `plain_words` says of each pose as its description."""
    said = [replace(keyframe, text=describe(keyframe.pose)) for keyframe in performance.keyframes]
    return replace(performance, keyframes=tuple(said))


def sanity(rows: Rows, judge: Evaluator) -> Iterator[Result]:
    """What the evaluator makes of true pairs, and of true poses with others' descriptions."""
    yield compare("true poses", "", rows.poses, rows, judge)
    yield compare("true, shuffled", "", rows.poses[evaluator.shuffled(len(rows.poses))], rows, judge)


def compare(name: str, note: str, found: Array, rows: Rows, judge: Evaluator) -> Result:
    """The figures of poses (P, 61) for the keyframes `rows`."""
    texts, faces = judge.of_texts(rows.texts), judge.of_poses(found)
    precision = evaluator.r_precision(texts, faces) if len(texts) >= POOL else {}
    distance = evaluator.multimodal_distance(texts, faces)
    return Result(name, note, len(texts), measure(found, rows.poses), precision, distance)


def _shown(results: Sequence[Result], part: str) -> Iterator[dict[str, Any]]:
    for columns in (_COLUMNS, _DIRECTION_COLUMNS):
        head = [name for name, _, _ in columns]
        body = {r.system: [_number(value(r), digits) for _, digits, value in columns] for r in results}
        print(table(head, body))
    print(_LEGEND)
    for result in results:
        if result.note:
            print(f"{result.system}: {result.note}")
        yield {"kind": "poses", "part": part, **result.to_dict()}


def _themes(found: Mapping[str, Array], asked: Sequence[Performance], part: str) -> Iterator[dict[str, Any]]:
    if not found:
        return
    themes = np.array([corpus.theme(performance) for performance in asked for _ in performance.keyframes])
    true = Rows.of(asked).poses
    body = {}
    for name in sorted(set(themes)):
        here = themes == name
        errors = {system: figures(values[here], true[here]).mae for system, values in found.items()}
        body[f"{name} ({here.sum()})"] = [_number(error, 4) for error in errors.values()]
        yield {"kind": "theme", "part": part, "theme": str(name), "keyframes": int(here.sum()), "mae": errors}
    print("\nMAE over 55 channels by theme (keyframes)\n")
    print(table(list(found), body))


def _differences(found: Mapping[str, Array], rows: Rows, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    first, *others = [name for name in found if name.startswith("embedded ")] or [""]
    for other in others:
        away = np.abs(found[other] - found[first])
        one, two = (figures(found[name], rows.poses) for name in (first, other))
        entry = {
            "kind": "difference",
            "part": options.part,
            "systems": [first, other],
            "mean": float(away.mean()),
            "largest": float(away.max()),
            "mae": two.mae - one.mae,
            "mse": two.mse - one.mse,
            "f1": two.f1 - one.f1,
        }
        print(
            f"\n{other} against {first}: channels differ by {entry['mean']:.4f} on average and {entry['largest']:.2f} "
            f"at most; MAE {entry['mae']:+.4f}, MSE {entry['mse']:+.5f}, F1 {entry['f1']:+.4f}"
        )
        yield entry


def _places(asked: Sequence[Performance], picked: Sequence[Performance]) -> list[int]:
    """The rows of the picked performances' keyframes among all that were asked for."""
    starts: dict[int, int] = {}
    row = 0
    for performance in asked:
        starts[id(performance)] = row
        row += len(performance.keyframes)
    return [starts[id(p)] + number for p in picked for number in range(len(p.keyframes))]


def table(head: Sequence[str], body: Mapping[str, Sequence[str]]) -> str:
    """Rows by name under the heads of their columns, ready to print."""
    first = max([*map(len, body), 0])
    widths = [max(len(name), 6) + 2 for name in head]
    lines = []
    for name, cells in (("", head), *body.items()):
        lines.append(name.ljust(first) + "".join(c.rjust(width) for c, width in zip(cells, widths, strict=True)))
    return "\n".join(lines) + "\n"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


# ---- Acting ----------------------------------------------------------------------------------------------------------


def acting(quantization: str) -> Iterator[dict[str, Any]]:
    """Put the embedded model and the nearest training script to the acting checks, and list the model's failures."""
    train = corpus.load().train
    backend = backends.make(ModelOptions("embedded", quantization=quantization), Runtime(RUNTIME).models)
    for part, path in acting_checks.SETS.items():
        scripts = acting_checks.load_scripts(path)
        performed = {script.brief.id: engine.generate(script.brief, backend, seed=0) for script in scripts}
        systems = {"nearest script": nearest_scripts(train, scripts), f"embedded {quantization}": performed}
        for name, performances in systems.items():
            score = acting_checks.score(performances, scripts)
            print(f"\n{name}, {part}: {score if name != 'nearest script' else str(score).splitlines()[0]}", flush=True)
            yield {
                "kind": "acting",
                "part": part,
                "system": name,
                "scripts": score.scripts,
                "met": score.met,
                "checks": score.checks,
                "held": score.held,
                "failures": {f.script.brief.id: [str(check) for check in f.failed] for f in score.failures},
            }


def nearest_scripts(train: Sequence[Performance], scripts: Sequence[Script]) -> dict[str, Performance]:
    """By the script's id, the whole performance of the training script that is most alike."""
    examples = Examples(train)
    found = {}
    for script in scripts:
        # Without a common word there is no nearest script; any other does.
        [near] = examples.performances_like(script.brief.script, script.brief.emotion, 1) or [train[0]]
        found[script.brief.id] = replace(near, brief=script.brief)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
