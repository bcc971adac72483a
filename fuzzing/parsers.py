# SPDX-License-Identifier: GPL-3.0-or-later
"""All parsers of the border: how each is called on bytes, with what it begins, and what holds of all that it lets in.

A parser may raise FacescriptError, which is shown to the user, and what it says it raises (`refuses`); anything else is
a finding, and so is an AssertionError of its own check.
"""

from __future__ import annotations

import atexit
import itertools
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..performance import COUNT, FacescriptError, Pose, angles, forms, jsonl, keyframeface, live_link, timecodes
from ..performance.channels import HIGH, LOW
from ..performance.model import MAX_KEYFRAMES, MAX_SECONDS, MAX_TEXT, Beat, Brief, Keyframe, Performance
from ..performance.parsing import is_whole, parse_json

_ROOT = Path(__file__).resolve().parent.parent
_DATA = _ROOT / "inference" / "data"


@dataclass(frozen=True)
class Parser:
    """One parser: `call` reads bytes and checks what came out; `seeds` are whole inputs to begin with."""

    name: str
    call: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    refuses: tuple[type[Exception], ...] = field(default=())


# Where scratch files are written: in memory, where the system has such a folder.
MEMORY_FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None


@cache
def scratch() -> Path:
    """A folder for what is read from files; it goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="facescript-fuzz-", dir=MEMORY_FOLDER)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _file(data: bytes, name: str) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _typed(data: bytes) -> str:
    """A text as Blender's properties hold it."""
    return _text(data).replace("\0", " ")[:MAX_TEXT]


def _lines(data: bytes) -> list[str]:
    return _text(data).splitlines()


_SHEETS = [
    'file,character,script,background,emotion,seed\nact1/a,Anna,"Hi, you.\nGo!",A flat,joy,3\nb,,Ho.,,,\n',
    "script;file\n[0.5s] brows knit, lips press;c\n",
    '{"file": "d", "script": "Hi.", "seed": 7}\n{"file": "e/f", "script": "Ho.", "character": "Ben"}\n',
]

# --- what holds behind the border -----------------------------------------------------------------------------


def check_pose(pose: Pose) -> None:
    """61 finite values in range."""
    assert pose.values.shape == (COUNT,) and bool(((pose.values >= LOW) & (pose.values <= HIGH)).all())


def check_text(text: str, limit: int = MAX_TEXT) -> None:
    """A text that Blender and a file can hold."""
    assert isinstance(text, str) and len(text) <= limit and is_whole(text)


def check_beats(beats: Sequence[Beat]) -> None:
    """In order of time, in limits, each with a whole text and, if it is a keyframe, a pose."""
    assert len(beats) <= MAX_KEYFRAMES
    for beat in beats:
        assert math.isfinite(beat.time) and 0.0 <= beat.time <= MAX_SECONDS
        check_text(beat.text)
        if isinstance(beat, Keyframe):
            check_pose(beat.pose)
    assert all(one.time < other.time for one, other in itertools.pairwise(beats))


def check_brief(brief: Brief) -> None:
    """Texts in limits, beats in order."""
    for text, limit in ((brief.script, 100_000), (brief.background, MAX_TEXT), (brief.emotion, MAX_TEXT)):
        check_text(text, limit)
    check_beats(brief.beats)


def check_performance(made: Performance) -> None:
    """As its brief and keyframes; and it reads back from what it is written as."""
    check_brief(made.brief)
    check_beats(made.keyframes)
    back = jsonl.performance_from_dict(jsonl.parse_object(jsonl.to_line(jsonl.performance_to_dict(made))))
    assert back.brief == made.brief and len(back.keyframes) == len(made.keyframes)
    assert float(np.abs(back.poses - made.poses).max()) <= 0.51e-4


# --- performances and recordings ------------------------------------------------------------------------------


def _brief(data: bytes) -> None:
    brief = jsonl.brief_from_dict(jsonl.parse_object(data))
    check_brief(brief)
    assert jsonl.brief_from_dict(jsonl.parse_object(jsonl.to_line(jsonl.brief_to_dict(brief)))) == brief


def _performance(data: bytes) -> None:
    check_performance(jsonl.performance_from_dict(jsonl.parse_object(data)))


def _performance_lines(data: bytes) -> None:
    path = _file(data, "lines.jsonl")
    assert forms.form_of(path) in ("CSV", "ANSWERS", "LINES")
    for made in jsonl.read_performances(path):
        check_performance(made)


def _answers(data: bytes) -> None:
    # Writing and reading back takes longer than what is tried here.
    for made in keyframeface.read(_file(data, "answers.json"))[:40]:
        check_performance(made)


def _sheet(data: bytes) -> None:
    from ..batch.sheet import read
    from ..inference.options import MAX_SEED

    rows = read(_file(data, "sheet.csv"))
    assert rows and len({row.file.casefold() for row in rows}) == len(rows)
    for row in rows:
        check_brief(row.brief)
        check_text(row.character)
        assert not {"", ".", ".."} & set(row.file.split("/"))
        assert row.seed is None or 0 <= row.seed <= MAX_SEED


def _batch_journal(data: bytes) -> None:
    from ..batch.journal import Journal
    from ..batch.settings import Settings
    from ..inference.options import ModelOptions

    path = _file(data, "batch.jsonl")
    # What is cut off is cut off once.
    with Journal(path, Settings(ModelOptions())):
        kept = path.read_bytes()
    with Journal(path, Settings(ModelOptions())):
        assert path.read_bytes() == kept


def _journals() -> list[bytes]:
    from ..batch.journal import Journal
    from ..batch.settings import Settings
    from ..batch.sheet import Row
    from ..inference.options import ModelOptions

    path = scratch() / "seed.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, Settings(ModelOptions())) as journal:
        journal.done(Row(2, "one", "Hi."), "a model", 3, 0.5)
        journal.failed(Row(3, "two", "Ho."), FacescriptError("empty_script", "No words."), True)
        journal.say("actions_0001", of="abc")
    return [path.read_bytes()]


def _live_link(data: bytes) -> None:
    found = live_link.read(_file(data, "take.csv"))
    assert found.values.shape == (len(found.times), COUNT) and len(found.times) > 0
    assert bool(((found.values >= LOW) & (found.values <= HIGH)).all())
    assert found.times[0] == 0.0 and bool(np.isfinite(found.times).all()) and bool((np.diff(found.times) > 0).all())
    assert 0.0 < found.fps < 1e4 and found.rate > 0.0 and math.isfinite(found.rate) and found.start >= 0.0
    assert found.angles in ("RADIANS", "DEGREES", "UNIT") and angles.scale(found.angles).shape == (9,)


def _timecodes(data: bytes) -> None:
    codes = [code for line in _lines(data)[:200] if (code := timecodes.parse(line)) is not None]
    if not codes:
        raise FacescriptError("bad_csv", "No timecodes.")
    rate, _ = timecodes.counted_rate(codes)
    assert rate >= 1
    assert bool(np.isfinite(timecodes.seconds(codes, timecodes.exact_rate(float(rate), codes[0].drop))).all())


def _any_json(data: bytes) -> None:
    value = parse_json(data)
    assert parse_json(json.dumps(value)) == value


# --- the worker, the server and the runtime -------------------------------------------------------------------


def _request(data: bytes) -> None:
    from ..inference import protocol

    assert abs(protocol.request_id(data)) <= 2**53
    request = protocol.parse_request(data)
    check_brief(request.brief)
    assert protocol.parse_request(protocol.request_to_line(request)) == request


def _event(data: bytes) -> None:
    from ..inference import protocol

    event = protocol.parse_event(data)
    again = protocol.parse_event(protocol.event_to_line(event))
    assert type(again) is type(event)
    made = getattr(event, "beat", None) or getattr(event, "keyframe", None)
    if made is not None:
        check_beats([made])
    assert 0.0 <= getattr(event, "fraction", 0.0) <= 1.0


def _options(data: bytes) -> None:
    from ..inference.options import ModelOptions

    options = ModelOptions.from_dict(jsonl.parse_object(data))
    assert ModelOptions.from_dict(options.to_dict()) == options


def _server_pose(data: bytes) -> None:
    from ..inference.worker.remote import read_pose

    check_pose(read_pose(_text(data)))


def _server_lines(data: bytes) -> None:
    from ..inference.worker.remote import read_lines

    for line in read_lines(_text(data), 2):
        check_text(line)
        assert line.isprintable() or not line


def _address(data: bytes) -> None:
    from ..inference.servers.addresses import parse_address

    address = parse_address(_text(data))
    assert address.scheme in ("http", "https") and address.host and 0 < address.port < 65536
    assert parse_address(str(address)) == address


def _state(data: bytes) -> None:
    from ..inference.setup.runtime import Runtime

    runtime = Runtime(scratch() / "runtime")
    runtime.folder.mkdir(exist_ok=True)
    for path in (runtime.record_path, runtime.journal_path):
        path.write_bytes(data)
    record = runtime.record()
    assert runtime.state().kind in ("missing", "incomplete", "outdated", "ready")
    if record is None:
        raise FacescriptError("no_runtime", "No record.")
    assert Path(record.models).name == record.models and Path(record.env).name == record.env


def _pip(data: bytes) -> None:
    from ..inference.setup.pip_progress import PipProgress, pip_error

    progress, before = PipProgress(1e8), 0.0
    for line in _lines(data):
        progress.feed(line)
        assert before <= progress.fraction <= 1.0
        before = progress.fraction
    check_text(str(pip_error("a step", 1, list(progress.tail))), 4000)


# --- scripts and words ----------------------------------------------------------------------------------------


def _script(data: bytes) -> None:
    from ..inference.scripts.beats import beat_counts, told_of_face
    from ..inference.scripts.lines import read_lines
    from ..inference.scripts.script import MAX_MOMENTS, read_script
    from ..inference.scripts.timing import duration, schedule

    text = _text(data)
    moments = read_script(text)
    assert 0 < len(moments) <= MAX_MOMENTS
    for moment in moments:
        check_text(moment.words, 2 * MAX_TEXT + 3)
        assert math.isfinite(duration(moment)) and duration(moment) >= 0.0
    for moment, parts in zip(moments, beat_counts(moments), strict=True):
        assert len(told_of_face(moment, parts)) == parts
    starts = schedule(moments)
    assert all(math.isfinite(t) for t in starts) and all(a < b for a, b in itertools.pairwise(starts))
    assert all(line.number > 0 and line.end >= line.start for line in read_lines(text))


def _adjustment(data: bytes) -> None:
    from ..inference.adjusting import phrases, read_adjustment

    steps = read_adjustment(_typed(data))
    assert steps and all(0.0 <= step.amount <= 1.0 for step in steps)
    for phrase in phrases(steps):
        check_text(phrase)


def _description(data: bytes) -> None:
    from ..inference.action_units import spelled_out
    from ..inference.scripts.text import is_face_description
    from ..performance.mirroring import mirror_text

    text = _typed(data)
    assert isinstance(spelled_out(text), str) and isinstance(is_face_description(text), bool)
    assert len(mirror_text(text)) <= 2 * len(text) + 2


# --- tables, and what a .blend keeps --------------------------------------------------------------------------


def _profile(data: bytes) -> None:
    from ..rig_mapping import profiles

    found = profiles.load(_file(data, "a_profile.json"))
    gains = [shape.gain for rows in found.channels.values() for shape in rows]
    assert all(math.isfinite(gain) and abs(gain) <= 100.0 for gain in (*gains, found.full / 10.0))
    assert all(1.0 <= degrees <= 90.0 for degrees in found.full_angles.values())


def _profile_row(data: bytes) -> None:
    from ..rig_mapping.profile_rows import _checked
    from ..rig_mapping.tables import Table

    row = _checked(Table.parse(_text(data), "row")).data
    assert all(math.isfinite(row[name]) for name in ("gain", "offset", "low", "high") if name in row)


def _styles(data: bytes) -> None:
    from ..rig_mapping import styles

    for style in styles.load(_file(data, "styles.json")).values():
        assert all(math.isfinite(n) for n in (style.leave, style.arrive, style.hold, style.release, style.final_hold))


def _key_record(data: bytes) -> None:
    from ..rig_mapping import records

    place: Any = SimpleNamespace(action={records.PROPERTY: _text(data)}, key="a")
    curves = records.load(place).curves
    if not curves:
        raise FacescriptError("bad_table", "No record.")
    for record in curves.values():
        assert math.isfinite(record.before) and bool((np.diff(record.frames) > 0).all())


def _life_record(data: bytes) -> None:
    from ..rig_mapping.life_records import _parse

    found = _parse(_text(data))
    assert all(map(math.isfinite, (found.default, *found.before.values())))


def _recording_record(data: bytes) -> None:
    from ..rig_mapping.captures import _source
    from ..rig_mapping.tables import Table

    found = _source(Table.parse(_text(data), "a recording"))
    assert found.rate > 0.0 and math.isfinite(found.start) and math.isfinite(found.frame)


def _preset(data: bytes) -> None:
    from ..operators.preset_reading import parse

    for names, value in parse(_text(data), "a.py").items():
        assert 1 <= len(names) <= 2 and not any(name.startswith("_") for name in names)
        assert is_whole(value) if isinstance(value, str) else math.isfinite(value)


# --- folders of models ----------------------------------------------------------------------------------------


def _model_config(data: bytes) -> None:
    from ..inference.worker.model_folder import size_faults

    wrong = size_faults(jsonl.parse_object(data), 10**9)
    if wrong:
        raise FacescriptError("bad_model", wrong)


def _lora_config(data: bytes) -> None:
    from ..inference.worker.model_folder import lora_faults

    found = jsonl.parse_object(data)
    wrong = lora_faults(found)
    if wrong:
        raise FacescriptError("bad_adapter", wrong)
    assert found["peft_type"] == "LORA"


def _weights(data: bytes) -> None:
    from ..inference.worker.model_folder import header_size

    assert 0 <= header_size(data, len(data)) <= len(data)


def _model_folder(data: bytes) -> None:
    from ..inference.worker.model_folder import check_model

    folder = scratch() / "model"
    folder.mkdir(exist_ok=True)
    config, _, rest = data.partition(b"\n\n")
    index, _, header = rest.partition(b"\n\n")
    (folder / "config.json").write_bytes(config)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors.index.json").write_bytes(index)
    (folder / "model.safetensors").write_bytes(header)
    check_model(folder)


# --- seeds ----------------------------------------------------------------------------------------------------

_POSE = {"jawOpen": 0.4, "mouthSmile": 0.5, "headYaw": -0.2, "gazeLeft": 0.3}
_ROWS = [{"t": 0.0, "text": "Rests.", "pose": {}}, {"t": 1.25, "text": "Smiles, jaw open.", "pose": _POSE}]
_ENTRY = {"id": "a", "script": "Hi! (Smiles.)", "background": "A flat.", "emotion": "joy", "keyframes": _ROWS}
_ANSWER = {"Keyframe_one": {"EyeBlinkLeft": 0.0, "JawOpen": 0.3, "HeadYaw": -0.1}, "Keyframe_two": {"JawOpen": 0.0}}
_ASKED = "- Keyframe One: Smiles.\n- Keyframe Two: Rests.\n\nBackground: A flat.\nEmotion: joy\n"


def _dumped(*values: object) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(value).encode() for value in values]


def _corpus(count: int = 4) -> list[bytes]:
    """Lines of the performances that come with the extension."""
    found: list[bytes] = []
    for path in sorted((_DATA / "performances").glob("*.jsonl"))[:count]:
        found += path.read_bytes().splitlines()[:3]
    return found


def _asked() -> list[bytes]:
    briefs = [{k: v for k, v in _ENTRY.items() if k != "keyframes"}, _ENTRY]
    return [json.dumps(brief).encode() for brief in briefs] + _corpus()


def _answer_files() -> list[bytes]:
    line = json.dumps({"response": json.dumps(_ANSWER), "messages": [{"role": "user", "content": _ASKED}]})
    fenced = f"Here it is:\n```json\n{json.dumps(_ANSWER)}\n```\n"
    reply = json.dumps({"choices": [{"message": {"role": "assistant", "content": fenced}}]})
    timed = json.dumps([{"time": "0.5 s", "description": "Smiles.", "pose": {"jawOpen": 0.2}}])
    return [json.dumps(_ANSWER).encode(), f"{line}\n{line}\n".encode(), reply.encode(), fenced.encode(), timed.encode()]


def _recordings() -> list[bytes]:
    path = scratch() / "seed.csv"
    rows = np.zeros((4, COUNT))
    rows[:, 17], rows[:, 52] = [0.0, 0.2, 0.4, 0.3], [0.0, 0.1, 0.2, 0.1]
    live_link.write(path, rows, 30.0)
    plain = path.read_bytes()
    live_link.write(path, rows, 60.0, start_frame=7200, angles="RADIANS")
    short = b"Timecode,BlendshapeCount,JawOpen,HeadYaw\n00:00:01;00.1,61,0.1,0.2\n00:00:01;01.1,61,0.2,0.1\n,0,\n"
    return [plain, path.read_bytes(), short, short.replace(b",", b";").replace(b".", b",")]


def _requests() -> list[bytes]:
    from ..inference.options import ModelOptions
    from ..inference.protocol import Request, request_to_line

    brief = Brief("Hi!", "A flat.", "joy", beats=(Beat(0.0, "Rests."), Beat(1.0, "Smiles.")))
    made = [Request(1, "generate", Brief("Hi!")), Request(2, "pose", brief), Request(3, "pose_some", brief, at=(1,))]
    made += [Request(4, "alternatives", brief, ModelOptions("local", "/m"), at=(0,), count=3), Request(5, "cancel")]
    return [request_to_line(request).encode() for request in made]


def _events() -> list[bytes]:
    keyframe: dict[str, Any] = {"event": "keyframe", "id": 1, "index": 1, "count": 2, **_ROWS[1]}
    keyframe["pose"] = Pose.from_dict(_POSE).to_dict()
    rows: list[dict[str, Any]] = [
        keyframe,
        {"event": "progress", "id": 1, "fraction": 0.5, "message": "Posing"},
        {"event": "beat", "id": 1, "index": 0, "count": 2, "t": 0.0, "text": "Rests."},
        {"event": "done", "id": 1, "label": "a (nf4)"},
        {"event": "error", "id": 1, "code": "bad", "message": "It is bad.", "hint": "Mend it."},
        {"event": "cancelled", "id": 1},
    ]
    return [json.dumps(row).encode() for row in rows]


def _records() -> list[bytes]:
    from ..rig_mapping.keys import Record

    row = Record(np.array([1, 5, 9]), np.array([0.0, 0.5, 0.0]), True, 0.25).to_json()
    slot = {"action": "Act", "slot": True, "curves": [['key_blocks["jawOpen"].value', 0, row]]}
    return [json.dumps({"version": 2, "slots": {"a": slot}}).encode()]


def _files(folder: Path, pattern: str, count: int = 12) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for path in sorted(folder.glob(pattern))[:count]]


_SCRIPTS = (
    "You got the job?! (She laughs.) Oh, come here!",
    'ANNA: Well... [pause 1s] yes.\n[1.2s] brows knit, lips press\n(beat)\n"Never," he says, and turns away.',
    "INT. FLAT - NIGHT\n- First, he waits.\n- [0:03.5] Then he *smiles*.\n[300ms] eyes wide",
    "\u201cOh!\u201d \u2014 she gasps \u2026 \u4f60\u597d\u3002 \u0645\u0631\u062d\u0628\u0627",
)
_TOLD = ("Both brows shoot up, the eyes widen.", "AU1+2L, AU12 at 40 %, jaw open", "all right, the left lid droops")
_CHANGES = ("more tired, less smile, raise the left eyebrow", "open the mouth a bit", "no frown and 50% softer")
_PIP = """Collecting torch==2.13.0
  Downloading torch-2.13.0-cp311-none-any.whl (190.1 MB)
Progress 1000 of 190100000
Installing collected packages: torch, numpy
ERROR: Could not find a version that satisfies the requirement torch
"""
_RECORD: dict[str, object] = {
    "complete": True,
    "models": "models-1",
    "env": "env-1",
    "python": "",
    "requirements": "0",
    "model": "0",
}
_RECORD |= {"version": "0.1.0", "python_version": "3.11.9", "platform": "linux-x86_64", "quantization": "nf4"}
_CONFIG: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "vocab_size": 49152,
    "head_dim": 64,
}
_CONFIG |= {"intermediate_size": 1536, "num_attention_heads": 9, "max_position_embeddings": 8192}
_LORA: dict[str, object] = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "target_modules": ["q_proj"],
}
_ROW: dict[str, object] = {
    "channel": "jawOpen",
    "kind": "PROPERTY",
    "role": "armature",
    "object": "Rig",
    "name": 'pose.bones["jaw"].location',
}
_ROW |= {"index": 1, "gain": 2.0, "offset": 0.0, "low": -1.0, "high": 1.0}
_LIFE: dict[str, object] = {
    "start": 1,
    "end": 90,
    "seed": 0,
    "amounts": [1.0, 1.0, 0.5, 0.0],
    "blend": "COMBINE",
    "made": True,
}
_LIFE |= {"default": 0.0, "before": [['key_blocks["jawOpen"].value', 0, 0.5]]}
_SOURCE: dict[str, object] = {"name": "take.csv", "rate": 60.0, "start": 3600.0, "frame": 1.0, "angles": "RADIANS"}
_OPTIONS = {"backend": "local", "model": "/models/a", "adapter": "", "quantization": "nf4"}


def _tensors() -> list[bytes]:
    header = json.dumps(
        {"a": {"dtype": "F16", "shape": [4, 2], "data_offsets": [0, 16]}, "__metadata__": {"format": "pt"}}
    ).encode()
    return [len(header).to_bytes(8, "little") + header + bytes(16)]


def _model_parts() -> list[bytes]:
    index = json.dumps({"metadata": {}, "weight_map": {"a": "model.safetensors"}})
    config = json.dumps({"hidden_size": 2, "vocab_size": 4, "num_hidden_layers": 1})
    return [f"{config}\n\n{index}\n\n".encode() + _tensors()[0]]


def _encoded(texts: Iterable[str]) -> Callable[[], list[bytes]]:
    kept = [text.encode() for text in texts]
    return lambda: kept


PARSERS: tuple[Parser, ...] = (
    Parser("json", _any_json, _dumped(_ENTRY, _ANSWER, [1, 2.5, "a", None, {"a": [True]}])),
    Parser("brief", _brief, _asked),
    Parser("performance", _performance, lambda: [json.dumps(_ENTRY).encode(), *_corpus()]),
    Parser("performance-lines", _performance_lines, lambda: [b"\n".join(_corpus()[:2]), json.dumps(_ENTRY).encode()]),
    Parser("keyframeface", _answers, _answer_files),
    Parser("live-link", _live_link, _recordings),
    Parser("sheet", _sheet, _encoded(_SHEETS)),
    Parser("batch-journal", _batch_journal, _journals),
    Parser("timecodes", _timecodes, _encoded(["00:00:01:00.5\n00:00:01:29.9\n00:00:02:00.1", "23:59:59;29.97"])),
    Parser("request", _request, _requests),
    Parser("event", _event, _events),
    Parser("options", _options, _dumped(_OPTIONS)),
    Parser("server-pose", _server_pose, lambda: [json.dumps({"Keyframe_one": _POSE}).encode(), *_answer_files()[3:4]]),
    Parser("server-lines", _server_lines, _dumped({"moment_1": "Smiles.", "moment_2": "Rests."})),
    Parser("address", _address, _encoded(["localhost:11434", "https://host.example:8000/v1", "http://[::1]:1234/v1/"])),
    Parser("runtime-state", _state, _dumped(_RECORD, {"done": ["venv", "pip"], "env": "env-1"})),
    Parser("pip-lines", _pip, _encoded([_PIP])),
    Parser("script", _script, _encoded(_SCRIPTS)),
    Parser("adjustment", _adjustment, _encoded(_CHANGES)),
    Parser("description", _description, _encoded(_TOLD)),
    Parser("profile", _profile, _files(_ROOT / "rig_mapping" / "profiles", "*.json")),
    Parser("profile-row", _profile_row, _dumped(_ROW)),
    Parser("styles", _styles, _files(_ROOT / "rig_mapping", "styles.json")),
    Parser("key-record", _key_record, _records),
    Parser("life-record", _life_record, _dumped(_LIFE), (TypeError, ValueError)),
    Parser("recording-record", _recording_record, _dumped(_SOURCE)),
    Parser("preset", _preset, _files(_ROOT / "operators" / "presets", "facescript/*/*.py")),
    Parser("model-config", _model_config, _dumped(_CONFIG, {"text_config": _CONFIG})),
    Parser("lora-config", _lora_config, _dumped(_LORA)),
    Parser("safetensors", _weights, _tensors, (ValueError,)),
    Parser("model-folder", _model_folder, _model_parts),
)
BY_NAME: dict[str, Parser] = {parser.name: parser for parser in PARSERS}
