#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on Facescript: python3 run.py COMMAND. Needs only Python 3.11; everything else goes into .venv and .runtime.

demo       a short scene through the installed extension: a .blend, a contact sheet, a movie, JSON lines, a CSV
test       ruff, mypy, import-linter and all tests (arguments go to pytest)
build      dist/facescript-VERSION.zip, validated and built by Blender's own extension builder
generate   IN.jsonl OUT.jsonl: from scripts to performances
pose       IN.jsonl OUT.jsonl: poses for keyframes that are described already
batch      SHEET OUT_DIR: a sheet of lines into files, that goes on where it was (--help says more)
bench      the benchmarks
faults     faults of all kinds, injected for real, and what came of each; writes docs/faults.md
offline    FOLDER: all packages of Set Up, for a machine without a network (--help says more)
soak       a random user in one Blender, checked after each step (--help says more)
fuzz       every parser of the border under mutated files (--help says more)
train      the embedded model's adapter, from the corpus (hours); with --data an adapter from your own performances
evaluate   the embedded model's poses beside baselines, on held-out entries; with --acting, the acting checks
pictures   take the pictures of the documentation again (needs a windowed Blender)

With --accelerator cuda before COMMAND, torch's build for NVIDIA GPUs is installed (Linux, 3 GB) and stays; cpu goes
back.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
REQUIREMENTS = ROOT / "requirements-dev.txt"
MODEL_REQUIREMENTS = ROOT / "inference" / "requirements"

# bpy 5.0 is built for exactly this version.
WANTED = (3, 11)

# What the marker of .venv ends with if torch is the build for NVIDIA GPUs.
_CUDA = " cuda"

# Commands, and the module of the package that carries each out.
COMMANDS = {
    "demo": "facescript.commands.demo",
    "test": "facescript.commands.test",
    "build": "facescript.commands.build",
    "generate": "facescript.commands.generate",
    "pose": "facescript.commands.generate",
    "batch": "facescript.commands.batch",
    "bench": "facescript.commands.bench",
    "faults": "facescript.commands.faults",
    "offline": "facescript.commands.offline",
    "soak": "facescript.commands.soak",
    "fuzz": "facescript.fuzzing.main",
    "train": "facescript.training.train",
    "evaluate": "facescript.training.evaluate",
    "pictures": "facescript.commands.pictures",
}


def main(arguments: list[str]) -> int:
    """Set up what is missing, then carry the command out; its exit status, where it does not take this process over."""
    accelerator = None
    if arguments[:1] == ["--accelerator"]:
        accelerator, arguments = "".join(arguments[1:2]), arguments[2:]
        if wrong := refused(accelerator):
            print(wrong, file=sys.stderr)
            return 2
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__.strip())
        return 0 if arguments in ([], ["-h"], ["--help"]) else 2
    if not (set_up(accelerator) and prepare()):
        return 1
    environment = os.environ | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    command = [str(PYTHON), "-m", COMMANDS[arguments[0]], *arguments]
    if os.name != "nt":
        # In this process's place: what ends run.py, such as a kill by a scheduler, is meant for the command.
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(command[0], command, environment)
    # Windows gives nobody its place: there a kill of run.py leaves the command at work.
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            status = process.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            # The command hears it too, and ends in its own way.
            continue


def refused(accelerator: str) -> str:
    """Why torch cannot be had for an accelerator here, or ""."""
    if accelerator not in ("cpu", "cuda"):
        return f"--accelerator {accelerator!r}: give cpu or cuda."
    if accelerator == "cuda" and sys.platform != "linux":
        # For Windows the locks have one for newer Pythons alone, and bpy needs this one.
        return f"--accelerator cuda: no build for Python {WANTED[0]}.{WANTED[1]} is known here; use Linux, or WSL."
    return ""


def set_up(accelerator: str | None = None) -> bool:
    """Make .venv and install the pinned packages, unless they are there. False if it failed, having said why.

    `accelerator` is what torch is for, cpu or cuda; None keeps what was chosen before, the CPU at first.
    """
    files = [REQUIREMENTS, *sorted(MODEL_REQUIREMENTS.glob("*.in")), *sorted(MODEL_REQUIREMENTS.glob("*.lock"))]
    wanted = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    marker = VENV / "facescript-requirements"
    made = marker.read_text() if marker.exists() else ""
    cuda = accelerator == "cuda" or (accelerator is None and made.endswith(_CUDA))
    wanted += _CUDA if cuda else ""
    if PYTHON.exists() and made == wanted:
        return True
    python = find_python()
    if python is None:
        print(f"Python {WANTED[0]}.{WANTED[1]} is needed (bpy is built for it); this is {sys.version.split()[0]}.")
        print("Install it beside this one - python.org, your package manager or pyenv - and run this again.")
        return False
    size, torch = (4, 3.0) if cuda else (1, 0.2)
    say(f"Setting up .venv: about {size} GB are fetched once (torch {torch}, bpy 0.4, the language model 0.1).")
    steps: dict[str, list[str] | Callable[[], int]] = {
        "a virtual environment in .venv": [*python, "-m", "venv", str(VENV)],
        "pip": locked("pip.lock"),
        "torch": install_cuda_torch if cuda else install_torch,
        "Blender as a module, what the worker needs, and the tools for tests": pip(
            "-r", str(MODEL_REQUIREMENTS / "worker.in"), "-r", str(REQUIREMENTS)
        ),
        "the language model": locked("model.lock"),
        # Its dependency is a newer fake bpy with the same folders.
        "Blender's type stubs": pip("--no-deps", "fake-bpy-module-4.2==20260730"),
    }
    for number, (name, step) in enumerate(steps.items(), start=1):
        say(f"[{number}/{len(steps)}] {name}")
        if step() if callable(step) else subprocess.call(step):
            print("This step failed; the lines above say why. Run the same command again to go on from here.")
            return False
    link_package()
    marker.write_text(wanted)
    return True


def find_python() -> list[str] | None:
    """The command of a Python of the wanted version, or None."""
    if sys.version_info[:2] == WANTED:
        return [sys.executable]
    version = f"{WANTED[0]}.{WANTED[1]}"
    for command in ([f"python{version}"], ["py", f"-{version}"]):
        try:
            subprocess.run([*command, "-c", "import venv"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    return None


def pip(*arguments: str) -> list[str]:
    """The command that installs packages into .venv."""
    return [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments]


def locked(name: str) -> list[str]:
    """The command that installs what a lock holds, each file checked by its sha256."""
    return pip("--no-deps", "--require-hashes", "-r", str(MODEL_REQUIREMENTS / name))


def install_torch() -> int:
    """Install torch: its CPU build where it can be had, in any case a file that a lock knows. pip's exit status.

    For Linux, PyPI's own torch is the CUDA build with several GB of libraries that nothing here needs.
    """
    index = "https://download.pytorch.org/whl/cpu"
    command = pip("--no-deps", "--require-hashes", "-r", str(VENV / "torch.txt"))
    if sys.platform == "darwin":
        return install_row("macos.lock", "darwin", command)
    where = ["--index-url", index] if sys.platform == "linux" and answers(index) else []
    status = install_row("cpu.lock", sys.platform, [*command, *where])
    if status and sys.platform == "linux":
        say("PyTorch's CPU build cannot be had: PyPI's build for NVIDIA GPUs is taken (3 GB).")
        return install_row("cuda.lock", sys.platform, command)
    return status


def install_cuda_torch() -> int:
    """Install torch's build for NVIDIA GPUs on Linux, a file that a lock knows. pip's exit status.

    Its libraries are what it depends on: they come with the packages after it.
    """
    # pip takes the CPU's build of the same version for it.
    command = pip("--no-deps", "--require-hashes", "--force-reinstall", "-r", str(VENV / "torch.txt"))
    return install_row("cuda.lock", "linux", command)


def install_row(name: str, system: str, command: list[str]) -> int:
    """Run `command`, which reads .venv/torch.txt, with the row for torch on a system that a lock has."""
    lock = (MODEL_REQUIREMENTS / name).read_text(encoding="utf-8").replace("\\\n", " ")
    row = next(row for row in lock.splitlines() if row.startswith("torch==") and f"'{system}'" in row)
    (VENV / "torch.txt").write_text(row + "\n", encoding="utf-8")
    return subprocess.call(command)


def answers(address: str) -> bool:
    """Whether a server answers at `address` within three seconds."""
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(address + "/", method="HEAD"), timeout=3):
            return True
    except OSError:
        return False


def link_package() -> None:
    """Make `import facescript` find this checkout, whatever its folder is called."""
    link = VENV / "package" / "facescript"
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        if os.name == "nt":
            import _winapi

            _winapi.CreateJunction(str(ROOT), str(link))
        else:
            link.symlink_to(Path("..") / "..", target_is_directory=True)
    # A path file in site-packages puts the link's folder on Python's path.
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    folder = subprocess.run([str(PYTHON), "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    Path(folder, "facescript.pth").write_text(f"{link.parent}\n", encoding="utf-8")


def prepare() -> bool:
    """Convert the embedded model into .runtime, unless it is there. False if it failed, having said why."""
    return subprocess.call([str(PYTHON), "-m", "facescript.commands.prepare"]) == 0


def say(text: str) -> None:
    """Print one line of progress with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
