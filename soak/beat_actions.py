# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of beats: in the list, by operators, by styles, takes, life and the mapping."""

from __future__ import annotations

from typing import Any

from . import extension
from .actions import action, operators
from .state import Owned
from .user import Effect, User

STYLES = ("snappy", "natural", "soft")
TEXTS = ("She smiles", "eyes wide, jaw drops", "A wink of the left eye", "Brows knit, lips press", "Ünïcode 🙂 ظ", "")


def _go(user: User) -> Any:
    """Click a beat of the list, and go somewhere near it; its row."""
    face = user.face
    face.active_beat = user.rng.randrange(len(face.beats))
    row = face.beats[face.active_beat]
    user.scene.frame_set(max(0, row.frame + user.rng.choice((0, 0, 3, 9, -7, 40))))
    return row


def _around(user: User, places: list[int]) -> None:
    """The user's keys of these beats may go with them."""
    frames = [row.frame for row in user.face.beats]
    spans = [
        (frames[i - 1] if i else -1e9, frames[i + 1] if i + 1 < len(frames) else 1e9) for i in places if i < len(frames)
    ]
    reach = user.step.reach

    def lose(key: Owned) -> bool:
        return key.action in reach and not key.foreign and any(a - 1 <= key.frame <= b + 1 for a, b in spans)

    user.step.may_lose = lose


def _operator(name: str, weight: float, effect: Effect, **values: Any) -> None:
    """An operator on a beat that is clicked before; a list is chosen from."""

    def do(user: User) -> None:
        _go(user)
        user.call(name, **{key: user.rng.choice(value) for key, value in values.items()})

    do.__name__ = name
    action(weight, effect, "beats")(do)


_operator("insert_beat", 14, Effect.KEPT)
_operator("split_beat", 14, Effect.KEPT)
_operator("duplicate_beat", 8, Effect.CARRIED)
_operator("mirror_beat", 12, Effect.CARRIED)
_operator("key_pose", 8, Effect.CARRIED)
_operator("describe_beat", 8, Effect.KEPT)
_operator("copy_pose", 8, Effect.KEPT)
_operator("paste_pose", 10, Effect.CARRIED)
_operator("step_beat", 8, Effect.KEPT, step=[1, -1, 5])
_operator("start_here", 4, Effect.KEPT)
_operator("move_beat", 16, Effect.CARRIED, frames=[1, -1, 7, -12, 60, -500], following=[True, False])
_operator("scale_beats", 14, Effect.CARRIED, factor=[0.5, 0.8, 1.25, 4.0, 0.0], everything=[True, False])
_operator("lock_beats", 8, Effect.KEPT, lock=[True, False])


@action(12, Effect.CARRIED, "beats")
def delete_beat(user: User) -> None:
    """Delete a beat with its keys."""
    _go(user)
    _around(user, [user.face.active_beat])
    user.call("delete_beat")


@action(10, Effect.CARRIED, "beats")
def merge_beats(user: User) -> None:
    """Make one beat of two."""
    _go(user)
    _around(user, [user.face.active_beat, user.face.active_beat + 1])
    user.call("merge_beats")


@action(10, Effect.CARRIED, "beats")
def release_beat(user: User) -> None:
    """Give a beat back."""
    _go(user)
    _around(user, [user.face.active_beat])
    user.call("release_beat")


@action(14, Effect.CARRIED, "beats")
def edit_lock(user: User) -> None:
    """Click a lock in the list; opening that of a beat by hand gives it back."""
    row = _go(user)
    if row.by_hand:
        _around(user, [user.face.active_beat])
    user.change(row, "locked", not row.locked)


@action(18, Effect.CARRIED, "beats")
def edit_frame(user: User) -> None:
    """Type a beat's frame."""
    row = _go(user)
    user.change(row, "frame", row.frame + user.rng.choice((1, -1, 6, -9, 30, 500, -500)))


@action(18, Effect.CARRIED, "beats")
def edit_strength(user: User) -> None:
    """Drag a beat's strength, or its regions'."""
    row, rng = _go(user), user.rng
    if rng.random() < 0.6:
        user.change(row, "strength", rng.choice((0.0, 0.3, 0.8, 1.0, 1.3, 2.0)))
    else:
        user.change(row, "regions", [rng.choice((0.0, 0.5, 1.0, 1.6)) for _ in range(6)])


@action(16, Effect.KEPT, "beats")
def edit_text(user: User) -> None:
    """Type a description."""
    user.change(_go(user), "text", user.rng.choice(TEXTS))


@action(12, Effect.KEPT, "beats")
def click_beat(user: User) -> None:
    """Click a beat of the list."""
    _go(user)


@action(14, Effect.CARRIED, "beats")
def edit_style(user: User) -> None:
    """Choose how the face moves, or one of its settings."""
    face, rng = user.face, user.rng
    what = rng.choice(("style", "attack", "hold", "overshoot", "leads", "move_head"))
    if what == "style":
        user.change(face, "style", rng.choice(STYLES))
    elif what == "move_head":
        user.change(face, "move_head", not face.move_head)
    elif what in ("attack", "leads"):
        user.change(face.motion, what, rng.choice((0.25, 0.7, 1.0, 2.5)))
    else:
        setattr(face.motion, what, rng.choice((0.0, 0.1, 0.4)))
        user.change(face.motion, f"own_{what}", rng.random() < 0.7)


@action(6, Effect.KEPT, "face")
def edit_markers(user: User) -> None:
    """Show the beats as markers, or not."""
    user.change(user.face, "show_markers", not user.face.show_markers)


@action(8, Effect.KEPT, "face")
def edit_script(user: User) -> None:
    """Type another script, or other words on how it is meant."""
    what = user.rng.choice(("script", "background", "emotion"))
    user.change(
        user.face, what, user.rng.choice(("No. (She nods.)", "A kitchen at night", "Relief", "(Laughs)", "äöü"))
    )


operators(2.5, "clear")
operators(3, "set_emotion", needs="face", emotion="Joy")

# --- takes, which become copies where a face was duplicated with them

operators(4, "new_take", Effect.COPIED, needs="face")
operators(5, "duplicate_take", Effect.COPIED, needs="face")


def _any_take(user: User) -> Any:
    """Click one of the face's takes; their group."""
    takes = user.owner.facescript_takes
    if len(takes.rows):
        takes.active = user.rng.randrange(len(takes.rows))
    return takes


def _keys_of(row: Any) -> set[str]:
    """The names of the actions in which the keys of a take wait."""
    return {store.action.name for store in row.keys if store.action is not None}


def _rewritten(row: Any) -> set[str]:
    """What a take that is about to be shown has its keys in, if poses by hand are keyed anew: its face was mapped
    otherwise since."""
    return _keys_of(row) if extension.part("operators.mapping_table").remapped(row.face) else set()


def _may_lose(user: User, gone: set[str]) -> None:
    user.step.may_lose = lambda key: key.action in gone and not key.foreign


@action(7, Effect.COPIED, "face")
def show_take(user: User) -> None:
    """Show one of the takes."""
    takes = _any_take(user)
    if len(takes.rows):
        _may_lose(user, _rewritten(takes.rows[takes.active]))
    user.call("show_take")


@action(4, Effect.COPIED, "face")
def flip_take(user: User) -> None:
    """Show the take that was shown before."""
    takes = user.owner.facescript_takes
    for row in takes.rows:
        if row.key == takes.before:
            _may_lose(user, _rewritten(row))
    user.call("flip_take")


@action(5, Effect.COPIED, "face")
def delete_take(user: User) -> None:
    """Delete one of the takes, and with it keys of its own."""
    takes = _any_take(user)
    if len(takes.rows):
        row = takes.rows[takes.active]
        gone = _keys_of(row)
        if row.key == takes.shown:
            # Then another is shown.
            gone |= user.step.reach.union(*(_rewritten(other) for other in takes.rows))
        _may_lose(user, gone)
    user.call("delete_take")


@action(4, Effect.COPIED, "beats")
def append_take(user: User) -> None:
    """Add a take's beats to those that are shown."""
    if len(user.face.beats) < 20:
        _any_take(user)
        user.call("append_take")


@action(3, Effect.COPIED, "face")
def place_on_nla(user: User) -> None:
    """Make a take strips."""
    _any_take(user)
    user.call("place_on_nla")


@action(5, Effect.COPIED, "face")
def edit_take_again(user: User) -> None:
    """Have a take's keys back from its strips."""
    takes = _any_take(user)
    for place, row in enumerate(takes.rows):
        if row.on_nla:
            takes.active = place
    if len(takes.rows):
        _may_lose(user, _rewritten(takes.rows[takes.active]))
    user.call("edit_take_again")


# --- life

operators(5, "add_life", seed=3)
operators(4, "remove_life toggle_life")

# --- the mapping

operators(3, "edit_mapping", Effect.REMADE, "face")
operators(2, "automatic_mapping", Effect.REMADE, "face")
operators(2, "fill_mapping mirror_mapping", Effect.REMADE, "face")


def _any_row(user: User) -> Any:
    """Click a row of the mapping's table; the table."""
    table = user.owner.facescript_mapping
    if len(table.rows):
        table.active = user.rng.randrange(len(table.rows))
    return table


@action(5, Effect.REMADE, "face")
def map_row(user: User) -> None:
    """Add, remove or copy a row of the mapping."""
    _any_row(user)
    user.call(user.rng.choice(("add_map_row", "remove_map_row", "duplicate_map_row")))


@action(5, Effect.REMADE, "face")
def map_gain(user: User) -> None:
    """Change a row of the mapping."""
    table = _any_row(user)
    if len(table.rows):
        user.change(table.rows[table.active], "gain", user.rng.choice((0.0, 0.5, 1.0, -1.0, 2.0)))


@action(2, Effect.KEPT, "face")
def test_channel(user: User) -> None:
    """Play a channel, and stop it by doing something else."""
    _any_row(user)
    user.call("test_channel")
    user.call("stop_test")
