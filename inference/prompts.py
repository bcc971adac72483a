# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that the language models read.

The poser's request is KeyframeFace's, word for word (arXiv 2512.11321 and its released adapter): one request a
keyframe, each with the whole sequence of descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..performance import CHANNELS, Pose

Messages = list[dict[str, str]]

POSER_SYSTEM = (
    "You are a professional facial animator. Generate all 61 ARKit facial parameters for exactly one requested "
    "semantic keyframe. The first 52 blendshapes are in [0,1], and the final 9 head/eye pose parameters are in "
    '[-1,1]. Return strict JSON only in the form {"Keyframe_x":{...}}.'
)

_ONES = "Zero One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve Thirteen Fourteen Fifteen Sixteen".split()
_ONES += "Seventeen Eighteen Nineteen".split()
_TENS = "_ _ Twenty Thirty Forty Fifty Sixty Seventy Eighty Ninety".split()


def ordinal(index: int) -> str:
    """The name of the keyframe at `index` (0-based): One, Two, ... TwentyOne ...; digits from 100 on."""
    number = index + 1
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (_ONES[number % 10] if number % 10 else "")
    return str(number)


def poser_user(descriptions: Sequence[str], background: str, emotion: str, index: int) -> str:
    """The user's turn that asks for the pose of keyframe `index` (0-based) of the sequence."""
    sequence = "\n".join(f"- Keyframe {ordinal(i)}: {text}" for i, text in enumerate(descriptions))
    return (
        f"Keyframe Description Sequence:\n{sequence}\n\nBackground: {background}\nEmotion: {emotion}\n\n"
        f"Task Instruction: Generate the facial expression parameters for Keyframe {ordinal(index)}."
    )


def answer_parts(index: int) -> tuple[str, tuple[str, ...], str]:
    """The fixed text of an answer: what opens it, what stands before each channel's value, and what closes it."""
    keys = tuple(f'{"," if i else ""}"{channel.pascal}":' for i, channel in enumerate(CHANNELS))
    return f'{{"Keyframe_{ordinal(index).lower()}":{{', keys, "}}"


def value_texts(is_angle: bool) -> tuple[str, ...]:
    """Every value that an answer may hold, with one decimal, as KeyframeFace writes them."""
    tenths = range(-10, 11) if is_angle else range(11)
    return tuple(f"{tenth / 10:.1f}" for tenth in tenths)


def written_texts(is_angle: bool) -> tuple[str, ...]:
    """The values that a model may write if it is let: those, and what Python makes of a small negative angle."""
    return (*value_texts(is_angle), "-0.0") if is_angle else value_texts(is_angle)


def answer(pose: Pose, index: int) -> str:
    """The whole answer for `pose`, rounded to one decimal."""
    opening, keys, closing = answer_parts(index)
    # Rounding half up, and no "-0.0".
    values = (f"{int(abs(value) * 10 + 0.5) / 10 * (1 if value >= 0 else -1) + 0.0:.1f}" for value in pose)
    return opening + "".join(key + value for key, value in zip(keys, values, strict=True)) + closing


def poser_messages(
    descriptions: Sequence[str],
    background: str,
    emotion: str,
    index: int,
    worked: Sequence[tuple[str, str, str, Pose]] = (),
) -> Messages:
    """The conversation that ends before the answer for keyframe `index`.

    `worked` holds examples (description, background, emotion, pose), shown as earlier turns to a model that was
    not trained on this request.
    """
    messages = [{"role": "system", "content": POSER_SYSTEM}]
    for text, example_background, example_emotion, pose in worked:
        messages.append({"role": "user", "content": poser_user([text], example_background, example_emotion, 0)})
        messages.append({"role": "assistant", "content": answer(pose, 0)})
    messages.append({"role": "user", "content": poser_user(descriptions, background, emotion, index)})
    return messages


def planner_prefix(worked: Sequence[tuple[str, str, str, Sequence[tuple[str, str]]]]) -> str:
    """The part of the planner's prompt that all beats share: the task and worked examples.

    Each example is (script, background, emotion, [(moment, description), ...]).
    """
    blocks = [
        "An animator's notes. For each moment of a script: what the actor's face visibly does - brows, eyes, lids, "
        "gaze, nose, cheeks, lips, mouth corners, jaw, head - in one short line, true to the emotion.\n"
    ]
    for script, background, emotion, rows in worked:
        blocks.append(planner_scene(script, background, emotion))
        blocks.extend(f"{planner_moment(moment)} {text}\n" for moment, text in rows)
    return "".join(blocks)


def planner_scene(script: str, background: str, emotion: str) -> str:
    """The lines that set a scene in the planner's prompt."""
    return f"\nScript: {script}\nBackground: {background}\nEmotion: {emotion}\n"


def planner_moment(moment: str) -> str:
    """The line that asks for the description of one moment."""
    return f"Moment: {moment}\nFace:"


def planner_messages(scene: str, moments: Sequence[str]) -> Messages:
    """The conversation that asks for the descriptions of several moments as one JSON object.

    `scene` is the planner's prompt so far: the task, worked examples and the scene.
    """
    asked = "".join(f"Moment {number}: {moment}\n" for number, moment in enumerate(moments, start=1))
    form = ", ".join(f'"{name}": "..."' for name in moment_names(len(moments)))
    task = f"Task Instruction: Write the face of each of these moments. Return strict JSON only in the form {{{form}}}."
    return [{"role": "user", "content": f"{scene}{asked}\n{task}"}]


def moment_names(count: int) -> tuple[str, ...]:
    """The names of moments in the planner's JSON."""
    return tuple(f"moment_{number}" for number in range(1, count + 1))


def planner_schema(count: int) -> dict[str, object]:
    """The JSON schema of the planner's answer for so many moments."""
    return _object_of({name: {"type": "string"} for name in moment_names(count)})


def poser_schema(index: int, *, quoted: bool = False) -> dict[str, object]:
    """The JSON schema of KeyframeFace's answer for keyframe `index`: 61 channels, each a tenth within its range.

    The tenths are listed, since most servers' grammars know no limits of numbers that are not whole; `quoted` has them
    as texts.
    """
    kind, made = ("string", str) if quoted else ("number", float)
    values = {
        name: {"type": kind, "enum": [made(text) for text in value_texts(is_angle)]}
        for name, is_angle in (("shape", False), ("angle", True))
    }
    channels = {c.pascal: {"$ref": f"#/$defs/{'angle' if c.is_angle else 'shape'}"} for c in CHANNELS}
    keyframe = f"Keyframe_{ordinal(index).lower()}"
    return _object_of({keyframe: _object_of(channels)}) | {"$defs": values}


def _object_of(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def repair(why: str) -> str:
    """The turn that asks once more, after an answer that cannot be used."""
    return f"That answer cannot be used: {why} Answer once more, with nothing but the strict JSON that was asked for."
