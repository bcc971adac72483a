# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's process and the worker say to each other: one JSON object a line.

Requests: `{"id", "type", "brief", "options", "seed"}` with one of the types

- `generate`: the whole performance of a brief;
- `pose`: the poses of its beats, read together;
- `pose_some`: the poses of its beats `at` some places, each read among its neighbours;
- `pose_each`: the poses of its beats, each read as if there were no other;
- `alternatives`: `count` other descriptions, with their poses, of its beat `at` one place;

`{"id", "type": "cancel"}` with the id of the request to stop, `{"type": "shutdown"}`. Events carry the id of their
request, except `ready`, which the worker says first, with the extension's version, and `alive`, which it says every
second from then on. The keyframes of an answer are counted from 0, whatever places were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..performance import Beat, Brief, FacescriptError, Keyframe, jsonl
from ..performance.model import MAX_KEYFRAMES
from ..performance.parsing import parse_object
from .options import ModelOptions

PROTOCOL = 3

WORK = ("generate", "pose", "pose_some", "pose_each", "alternatives")
# A list of choices that an animator still reads.
MAX_ALTERNATIVES = 16


@dataclass(frozen=True)
class Ready:
    """The worker has started, speaks this protocol, and is of this version of the extension."""

    protocol: int
    version: str = ""


@dataclass(frozen=True)
class Alive:
    """The worker runs: `step` counts what its main thread has come through since it started, and `worked` is the
    processor time that all of it has used, in seconds, but for saying this."""

    step: int
    worked: float


@dataclass(frozen=True)
class Progress:
    """How far a request is: `fraction` in [0, 1] and a sentence for the user."""

    id: int
    fraction: float
    message: str


@dataclass(frozen=True)
class BeatFound:
    """One beat of `count` has its time and description."""

    id: int
    index: int
    count: int
    beat: Beat


@dataclass(frozen=True)
class KeyframeMade:
    """One keyframe of `count` has its pose."""

    id: int
    index: int
    count: int
    keyframe: Keyframe


@dataclass(frozen=True)
class Done:
    """All keyframes of the request were sent. `label` names the model that made them."""

    id: int
    label: str


@dataclass(frozen=True)
class Cancelled:
    """The request was stopped as it was asked."""

    id: int


@dataclass(frozen=True)
class Failed:
    """The request (or, with id 0, the worker) failed."""

    id: int
    error: FacescriptError


Event = Ready | Alive | Progress | BeatFound | KeyframeMade | Done | Cancelled | Failed


@dataclass(frozen=True)
class Request:
    """One request of Blender's process.

    `at` holds places of the brief's beats, from 0 and rising (one for `alternatives`); `count` is how many alternatives
    are asked for.
    """

    id: int
    type: str
    brief: Brief = field(default_factory=lambda: Brief(""))
    options: ModelOptions = field(default_factory=ModelOptions)
    seed: int = 0
    at: tuple[int, ...] = ()
    count: int = 0


def request_to_line(request: Request) -> str:
    """One request as a JSON line."""
    entry: dict[str, object] = {"id": request.id, "type": request.type}
    if request.type in WORK:
        entry |= {
            "brief": jsonl.brief_to_dict(request.brief),
            "options": request.options.to_dict(),
            "seed": request.seed,
        }
    if request.at:
        entry["at"] = list(request.at)
    if request.count:
        entry["count"] = request.count
    return _to_line(entry)


def _to_line(entry: Mapping[str, object]) -> str:
    # In ASCII, so that a path that is not UTF-8 gets through a pipe too.
    return json.dumps(entry, allow_nan=False) + "\n"


def parse_request(line: bytes | str) -> Request:
    """Parse a request strictly. Raises FacescriptError (`bad_json`, `bad_request`, `bad_option`, `bad_time`, ...)."""
    return _parse_request(parse_object(line, whole=False))


def request_id(line: bytes | str) -> int:
    """The id of a request that cannot be parsed otherwise; 0 if it has none."""
    try:
        return _int(parse_object(line, whole=False), "id")
    except FacescriptError:
        return 0


def _parse_request(entry: Mapping[str, object]) -> Request:
    kind = entry.get("type")
    if kind not in (*WORK, "cancel", "shutdown"):
        raise FacescriptError("bad_request", f"There is no request {plain(kind)[:40]!r}.")
    number, seed = _int(entry, "id"), _int(entry, "seed")
    if kind in ("cancel", "shutdown"):
        return Request(number, str(kind))
    brief, options = entry.get("brief"), entry.get("options")
    if not isinstance(brief, Mapping) or not isinstance(options, Mapping):
        raise FacescriptError("bad_request", "The request has no brief or no options.")
    request = Request(
        number,
        str(kind),
        jsonl.brief_from_dict(brief),
        ModelOptions.from_dict(options),
        seed,
        _places(entry),
        _int(entry, "count"),
    )
    _check_places(request)
    return request


def _places(entry: Mapping[str, object]) -> tuple[int, ...]:
    found = entry.get("at", [])
    if not isinstance(found, list) or len(found) > MAX_KEYFRAMES:
        raise FacescriptError("bad_request", "'at' is not a list of places.")
    return tuple(_int({"at": place}, "at") for place in found)


def _check_places(request: Request) -> None:
    kind, at, beats = request.type, request.at, len(request.brief.beats)
    wanted = {"pose_some": len(at) or 1, "alternatives": 1}.get(kind, 0)
    if len(at) != wanted or list(at) != sorted(set(at)) or any(not 0 <= place < beats for place in at):
        raise FacescriptError("bad_request", f"{kind} cannot be at {list(at)[:9]} of {beats} beats.")
    most = MAX_ALTERNATIVES if kind == "alternatives" else 0
    if not min(1, most) <= request.count <= most:
        raise FacescriptError("bad_request", f"{kind} cannot give {request.count} alternatives; the most are {most}.")


def event_to_line(event: Event) -> str:
    """One event as a JSON line."""
    return _to_line(_event_dict(event))


def _event_dict(event: Event) -> dict[str, object]:
    match event:
        case Ready(protocol, version):
            return {"event": "ready", "protocol": protocol, "version": version}
        case Alive(step, worked):
            return {"event": "alive", "step": step, "worked": round(worked, 3)}
        case Progress(number, fraction, message):
            return {"event": "progress", "id": number, "fraction": round(fraction, 4), "message": message}
        case BeatFound(number, index, count, beat):
            row = {"t": round(beat.time, 3), "text": beat.text}
            return {"event": "beat", "id": number, "index": index, "count": count, **row}
        case KeyframeMade(number, index, count, keyframe):
            row_ = jsonl.keyframe_to_dict(keyframe)
            return {"event": "keyframe", "id": number, "index": index, "count": count, **row_}
        case Done(number, label):
            return {"event": "done", "id": number, "label": label}
        case Cancelled(number):
            return {"event": "cancelled", "id": number}
        case Failed(number, error):
            words = {"code": error.code, "message": error.message, "hint": error.hint}
            pause = {"pause": round(error.pause, 3)} if error.pause else {}
            return {"event": "error", "id": number, **words, **pause}


def parse_event(line: bytes | str) -> Event:
    """Parse an event strictly: times, poses and counts are checked here. Raises FacescriptError (`bad_answer`)."""
    try:
        return _parse_event(parse_object(line, whole=False))
    except FacescriptError as error:
        raise FacescriptError(
            "bad_answer",
            f"The worker answered something that cannot be used: {error.message}",
            "Generate again; if it happens again, run Set Up.",
        ) from error


def _parse_event(entry: Mapping[str, object]) -> Event:
    kind = entry.get("event")
    if kind == "ready":
        return Ready(_int(entry, "protocol"), plain(_str(entry, "version"))[:40])
    if kind == "alive":
        return Alive(_int(entry, "step"), _number(entry, "worked"))
    number = _int(entry, "id")
    if kind == "error":
        words = _str(entry, "code"), _str(entry, "message"), _str(entry, "hint")
        if not (words[0] and words[1]):
            raise FacescriptError("bad_json", "An error does not say what is wrong.")
        return Failed(number, FacescriptError(*words, pause=_number(entry, "pause")))
    if number < 1:
        raise FacescriptError("bad_json", f"The event {plain(kind)[:40]!r} belongs to no request.")
    if kind == "progress":
        return Progress(number, _fraction(entry), _kept(entry, "message"))
    if kind == "beat":
        index, count = _position(entry)
        brief = jsonl.brief_from_dict({"keyframes": [{"t": entry.get("t"), "text": entry.get("text")}]})
        return BeatFound(number, index, count, brief.beats[0])
    if kind == "keyframe":
        index, count = _position(entry)
        return KeyframeMade(number, index, count, jsonl.keyframe_from_dict(entry))
    if kind == "done":
        return Done(number, _kept(entry, "label"))
    if kind == "cancelled":
        return Cancelled(number)
    raise FacescriptError("bad_json", f"There is no event {plain(kind)[:40]!r}.")


def _position(entry: Mapping[str, object]) -> tuple[int, int]:
    index, count = _int(entry, "index"), _int(entry, "count")
    if not 0 <= index < count <= MAX_KEYFRAMES:
        raise FacescriptError("bad_json", f"Keyframe {index} of {count} cannot be.")
    return index, count


def _int(entry: Mapping[str, object], key: str) -> int:
    value = entry.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
        raise FacescriptError("bad_json", f"{key!r} is not a whole number.")
    return value


def _str(entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise FacescriptError("bad_json", f"{key!r} is not a text.")
    return value[:4000]


def _kept(entry: Mapping[str, object], key: str) -> str:
    """A text that Blender can keep: folders' names are in it, and not all of them are UTF-8."""
    return _str(entry, key).encode("utf-8", "replace").decode().replace("\0", "")


def _fraction(entry: Mapping[str, object]) -> float:
    return min(1.0, _number(entry, "fraction"))


def _number(entry: Mapping[str, object], key: str) -> float:
    value = entry.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise FacescriptError("bad_json", f"{key!r} is not a number.")
    # Brought into its range before anything that a huge whole number would overflow.
    return float(min(2**53, max(0.0, value)))


def plain(text: object) -> str:
    """Any text as one printable line, for logs and error messages."""
    return json.dumps(str(text)[:2000], ensure_ascii=False)[1:-1]
