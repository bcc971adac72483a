# SPDX-License-Identifier: GPL-3.0-or-later
"""`blender --command facescript`: performances, exports and pictures without a window, by the panel's own operators."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from ..batch import options as batch_options
from ..batch.carrying_out import carry_out
from ..inference import json_lines
from ..inference.options import ModelOptions
from ..inference.servers.addresses import parse_address
from ..inference.setup import offline
from ..inference.setup.work import SetupOptions
from ..performance import FacescriptError, jsonl
from ..performance.model import MAX_SCRIPT
from ..performance.parsing import MAX_JSON_BYTES, parse_object, read_text
from ..rig_mapping import timeline
from ..rig_mapping.styles import styles
from ..rig_mapping.targets import Target
from . import batch_actions, diagnostics, faces, preferences
from .filming import LOOK_ITEMS, frame_range
from .session import TICK, session

_EXAMPLES = """examples:
  blender --command facescript generate --script "You came back! (She smiles.)" -o hello.blend -o hello.jsonl
  blender --command facescript generate --lines scripts.jsonl -o performances.jsonl
  blender --command facescript generate --script-file scene.txt --blend shot.blend --face Anna -o shot_acted.blend
  blender --command facescript export shot_acted.blend shot.csv
  blender --command facescript render preview shot_acted.blend shot.mp4 --step 2
  blender --command facescript batch lines.csv lines --write livelink,actions

The extension has to be enabled in the preferences, and Set Up done where a model of this machine is asked. Exit status:
0 done, 1 failed, 2 wrong arguments, 130 stopped by Ctrl C."""

# A character takes at most four bytes.
_MAX_SCRIPT_BYTES = 4 * MAX_SCRIPT
_OUTPUTS = (".blend", ".jsonl", ".csv")
# The operator that writes a file with an ending, and the pictures that there are, with theirs.
_EXPORTS = {".jsonl": "export_performance", ".csv": "export_live_link"}
_PICTURES = {"preview": ".mp4", "contact_sheet": ".png", "plot": ".png"}


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit status. Errors go to stderr, as the panel words them."""
    parser = _parser()
    try:
        options = parser.parse_args(list(arguments))
        options.arguments = list(arguments)
        return int(options.run(options, parser))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    except FacescriptError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blender --command facescript",
        description="From a script to a facial performance, as keyframes.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_add_generate, _add_pose, _add_batch, _add_export, _add_render, _add_offline, _add_diagnostics):
        add(commands)
    return parser


def _add_generate(commands: Any) -> None:
    parser = commands.add_parser("generate", help="perform a script, or one script a line of a JSON-lines file")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--script", help="what is performed: dialogue, (stage directions) and action")
    what.add_argument("--script-file", type=Path, metavar="FILE", help="the same, from a text file")
    what.add_argument("--lines", type=Path, metavar="FILE", help=json_lines.INPUT_HELP)
    parser.add_argument("--background", help="the situation, in a sentence")
    parser.add_argument("--emotion", help="the emotional direction, in a few words")
    parser.add_argument("--style", choices=tuple(styles()), help="how the face moves from beat to beat")
    parser.add_argument("--start-frame", type=int, metavar="N", help="the frame at which the performance begins")
    parser.add_argument("--blend", type=Path, metavar="FILE", help="the file with the face; else a new one is made")
    parser.add_argument("--face", metavar="NAME", help="the face's object, if there are several")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="FILE.blend, FILE.jsonl or FILE.csv (Live Link Face); may be given several times",
    )
    json_lines.add_model_arguments(parser)
    # Where it is not given, the face's own seed is used.
    parser.set_defaults(run=_generate, seed=None)


def _add_pose(commands: Any) -> None:
    parser = commands.add_parser("pose", help="poses for keyframes that are described already")
    parser.add_argument("input", type=Path, help=json_lines.INPUT_HELP)
    parser.add_argument("output", type=Path, help=json_lines.OUTPUT_HELP)
    json_lines.add_model_arguments(parser)
    parser.set_defaults(run=_pose)


def _add_batch(commands: Any) -> None:
    parser = commands.add_parser(
        "batch",
        help="a sheet of lines into files, that goes on where it was",
        epilog=batch_options.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # The command that goes on leaves options out by their names.
        allow_abbrev=False,
    )
    batch_options.add_arguments(parser)
    parser.set_defaults(run=_batch)


def _add_export(commands: Any) -> None:
    parser = commands.add_parser("export", help="save a face's performance as JSON lines or Live Link Face CSV")
    parser.add_argument("blend", type=Path, help="the file with the face")
    parser.add_argument("output", type=Path, help="FILE.jsonl or FILE.csv")
    parser.add_argument("--face", metavar="NAME", help="the face's object, if there are several")
    parser.set_defaults(run=_export)


def _add_render(commands: Any) -> None:
    parser = commands.add_parser("render", help="a preview movie, a contact sheet or a plot of a face's performance")
    parser.add_argument("kind", choices=[name.replace("_", "-") for name in _PICTURES])
    parser.add_argument("blend", type=Path, help="the file with the face, or FILE.jsonl with a performance for it")
    parser.add_argument("output", type=Path, help="FILE.mp4 for a preview, else FILE.png")
    parser.add_argument("--on", type=Path, metavar="FILE", help="for FILE.jsonl: the .blend; else the demo face")
    parser.add_argument("--style", choices=tuple(styles()), help="for FILE.jsonl: how the face moves")
    parser.add_argument("--face", metavar="NAME", help="the face's object, if there are several")
    parser.add_argument(
        "--look",
        choices=[item[0].lower() for item in LOOK_ITEMS],
        help="by Workbench (the default), or by the scene's render engine; from its camera, or one before the face",
    )
    parser.add_argument("--size", type=int, metavar="PIXELS", help="the movie's shorter side, or a picture's side")
    parser.add_argument("--step", type=int, metavar="N", help="of a preview: every n-th frame")
    parser.set_defaults(run=_render)


def _add_offline(commands: Any) -> None:
    parser = commands.add_parser("offline", help="fetch all packages of Set Up for a machine without a network")
    offline.add_arguments(parser)
    parser.set_defaults(run=_offline)


def _offline(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    return offline.run(options, SetupOptions(base_python=Path(sys.executable), online=bpy.app.online_access))


def _add_diagnostics(commands: Any) -> None:
    parser = commands.add_parser("diagnostics", help="what a bug report needs, with nothing private in it")
    parser.set_defaults(run=_diagnostics)


def _diagnostics(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    print(diagnostics.text(bpy.context), end="", flush=True)
    return 0


def _generate(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    _check_endings(parser, options.output, _OUTPUTS)
    model = _model(options, parser)
    if options.lines and not options.blend and [path.suffix for path in options.output] == [".jsonl"]:
        _check_plain(options, parser)
        runtime = preferences.worker_runtime(bpy.context, model.backend)
        return json_lines.run("generate", options.lines, options.output[0], runtime, model, options.seed or 0)
    given = _given(options)
    for path in options.output:
        _check_folder(path)
    if options.blend:
        _open(options.blend)
        _choose_face(options.face)
    else:
        _new_file()
    with _preferred(model):
        _call("generate", **given)
        _follow()
    if not options.blend:
        bpy.context.scene.frame_end = frame_range(_face(), timeline.scene_fps(bpy.context.scene))[-1]
    _save(options.output)
    return 0


def _check_plain(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    names = ("background", "emotion", "style", "start_frame", "face")
    if wrong := [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]:
        parser.error(f"{', '.join(wrong)}: with --lines, the lines say that")


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """What the operator is given: only what the user gave."""
    names = ("script", "background", "emotion", "style", "start_frame", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.script_file:
        given["script"] = read_text(options.script_file, _MAX_SCRIPT_BYTES)
    if options.lines:
        briefs = list(jsonl.read_briefs(options.lines))
        if len(briefs) != 1:
            what = f"{options.lines} holds {len(briefs)} lines, and a .blend or a .csv holds one performance."
            raise FacescriptError("bad_option", what, "Write them to one FILE.jsonl, or give one line.")
        [brief] = briefs
        given = {"script": brief.script, "background": brief.background, "emotion": brief.emotion} | given
    return given


def _follow() -> None:
    """Wait for the generation, saying how far it is. Raises its error."""
    said: set[int] = set()
    current = session()
    try:
        while current.step():
            job = current.job
            for index, beat in sorted(job.collector.beats.items()) if job else ():
                if index not in said:
                    said.add(index)
                    print(f"{beat.time:6.1f} s  {beat.text}", flush=True)
            time.sleep(TICK / 5)
    except BaseException:
        current.stop_worker()
        raise
    if current.error:
        raise current.error
    print(current.note, flush=True)


def _pose(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    model = _model(options, parser)
    runtime = preferences.worker_runtime(bpy.context, model.backend)
    return json_lines.run("pose", options.input, options.output, runtime, model, options.seed)


def _batch(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    model = _model(options, parser)
    batch_options.check(options, parser, model)
    command = [bpy.app.binary_path or "blender", "--command", "facescript", *options.arguments]
    runtime = preferences.worker_runtime(bpy.context, model.backend)
    batch = batch_options.batch(options, model, runtime, batch_actions.carry_out, command)
    if batch.farm:
        preferences.check_online(batch.farm.address)
    return carry_out(batch)


def _export(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    _check_endings(parser, [options.output], tuple(_EXPORTS))
    _check_folder(options.output)
    _open(options.blend)
    _choose_face(options.face)
    _save([options.output])
    return 0


def _render(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    name = options.kind.replace("-", "_")
    _check_endings(parser, [options.output], (_PICTURES[name],))
    given: dict[str, Any] = {"look": options.look and options.look.upper(), "size": options.size, "step": options.step}
    given = {key: value for key, value in given.items() if value is not None}
    operators: Any = bpy.ops
    properties = getattr(operators.facescript, name).get_rna_type().properties
    for key, value in given.items():
        prop = properties.get(key)
        if prop is None:
            parser.error(f"--{key} is not for a {options.kind}")
        if prop.type == "INT" and not prop.hard_min <= value <= prop.hard_max:
            parser.error(f"--{key} is from {prop.hard_min} to {prop.hard_max}")
    if options.blend.suffix.lower() == ".jsonl":
        _perform_file(options)
    elif options.on or options.style:
        parser.error("--on and --style are for a FILE.jsonl")
    else:
        _open(options.blend)
        _choose_face(options.face)
    _call(name, filepath=str(options.output.absolute()), **given)
    print(f"Saved {options.output}")
    return 0


def _perform_file(options: argparse.Namespace) -> None:
    """Put the performance of a file on its character's face, else the one that is named, or on the demo face."""
    if options.on:
        # A batch says whose the line is.
        character = parse_object(read_text(options.blend, MAX_JSON_BYTES).partition("\n")[0]).get("character")
        _open(options.on)
        # Of another program's lines it may be anything.
        known = isinstance(character, str) and character in bpy.context.view_layer.objects
        _choose_face(character if known else options.face)
    else:
        _new_file()
    if options.style:
        _face().style = options.style
    _call("import_performance", filepath=str(options.blend.absolute()))


def _model(options: argparse.Namespace, parser: argparse.ArgumentParser) -> ModelOptions:
    """The model that the options choose, else the one of the preferences."""
    plain = (options.quantization, options.decoding) == ("auto", "greedy")
    given = (options.backend, options.model, options.adapter, options.address, options.server_model)
    if plain and not any(given):
        return preferences.model_options(bpy.context)
    model = json_lines.model_options(options, parser)
    if model.backend == "server":
        preferences.check_online(parse_address(model.address))
    return model


@contextmanager
def _preferred(model: ModelOptions) -> Iterator[None]:
    """Have the preferences say what the command line chose; they are not saved."""
    chosen = preferences.get(bpy.context)
    wanted = {"backend": model.backend}
    if model.backend == "server":
        wanted |= {"server_address": model.address, "server_model": model.model, "server_key": model.key}
    elif model.backend == "embedded":
        wanted |= {"trained_adapter": model.adapter}
    else:
        wanted |= {"model_folder": model.model, "adapter_folder": model.adapter}
    kept = {name: getattr(chosen, name) for name in (*wanted, "quantization", "decoding")}
    try:
        for name, value in (wanted | {"quantization": model.quantization, "decoding": model.decoding}).items():
            setattr(chosen, name, value)
        yield
    finally:
        for name, value in kept.items():
            setattr(chosen, name, value)


def _check_endings(parser: argparse.ArgumentParser, paths: Sequence[Path], endings: Sequence[str]) -> None:
    for path in paths:
        if path.suffix.lower() not in endings:
            parser.error(f"{path}: the output has to end with {' or '.join(endings)}")


def _check_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise FacescriptError("no_file", f"There is no folder {path.absolute().parent}.", "Choose another one.")


def _open(path: Path) -> None:
    if not path.is_file():
        raise FacescriptError("no_file", f"There is no file {path}.", "Name a .blend.")
    _blender(lambda: bpy.ops.wm.open_mainfile(filepath=str(path.absolute()), load_ui=False))
    if bpy.context.mode != "OBJECT" and bpy.context.view_layer.objects.active is not None:
        bpy.ops.object.mode_set(mode="OBJECT")


def _new_file() -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    _call("add_face")


def _choose_face(name: str | None) -> None:
    """Make the face active that is meant: the one of that name, the active one, the only one with a performance, or
    the only one. Raises FacescriptError."""
    layer = bpy.context.view_layer
    if name is not None:
        if name not in layer.objects:
            raise FacescriptError("no_object", f"There is no object {name!r} in the scene.", _faces_hint())
        layer.objects.active = layer.objects[name]
        faces.find(layer.objects.active)
        return
    active = layer.objects.active
    if active is not None and _target(active) is not None:
        return
    found = _faces()
    acted = {key: obj for key, obj in found.items() if obj.facescript.beats}
    for some in (acted, found):
        if len(some) == 1:
            layer.objects.active = next(iter(some.values()))
            return
    what = "There are several faces in the scene." if found else "There is no face with ARKit shape keys in the scene."
    raise FacescriptError("several_faces" if found else "no_face", what, _faces_hint())


def _faces_hint() -> str:
    names = ", ".join(repr(obj.name) for obj in _faces().values())
    return f"Choose one with --face: {names}." if names else "Open another file."


def _faces() -> dict[str, Any]:
    """Each face in the scene by its target's name: the object that its settings are kept on."""
    found: dict[str, Any] = {}
    for obj in bpy.context.view_layer.objects:
        has_keys = obj.type == "MESH" and obj.data.shape_keys is not None
        if has_keys or obj.facescript_mapping.read() is not None:
            target = _target(obj)
            if target is not None:
                found.setdefault(target.name, target.owner.find())
    return found


def _target(obj: Any) -> Target | None:
    try:
        return faces.find(obj)
    except FacescriptError:
        return None


def _face() -> Any:
    return faces.active_face(bpy.context)[1]


def _save(paths: Sequence[Path]) -> None:
    for path in paths:
        ending = path.suffix.lower()
        if ending == ".blend":
            _blender(lambda path=path: bpy.ops.wm.save_as_mainfile(filepath=str(path.absolute()), compress=True))
        else:
            _call(_EXPORTS[ending], filepath=str(path.absolute()))
        print(f"Saved {path}", flush=True)


def _call(name: str, **given: Any) -> None:
    """Call one of the panel's operators. Raises FacescriptError with what it reports."""
    operators: Any = bpy.ops
    _blender(lambda: getattr(operators.facescript, name)(**given))


def _blender(call: Any) -> None:
    """Have Blender do something; what it says of an error becomes ours."""
    try:
        done = call()
    except RuntimeError as error:
        line = next((line for line in str(error).splitlines() if line.strip()), "Blender reported an error.")
        # A button that would be grey: what is after the operator's name is the reason.
        raise FacescriptError("failed", line.partition(".poll() ")[2] or line.removeprefix("Error: ")) from error
    if "FINISHED" not in done:
        raise FacescriptError("failed", "Blender did not finish this.", "The lines above may say why.")


# Its stubs have it return nothing.
_utils: Any = bpy.utils
_command: Any = None


def register() -> None:
    """Add the command `facescript` to Blender's command line."""
    global _command
    _command = _utils.register_cli_command("facescript", main)


def unregister() -> None:
    """Undo `register`."""
    global _command
    _utils.unregister_cli_command(_command)
    _command = None
