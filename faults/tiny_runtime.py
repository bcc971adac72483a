# SPDX-License-Identifier: GPL-3.0-or-later
"""A set-up that takes seconds: tiny wheels in place of torch and the model, from a local index."""

from __future__ import annotations

import ensurepip
import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .fault import Moves
from .proxy import Proxy
from .stage import Stage

# Bytes of each wheel's content that cannot be made smaller: enough for a connection to be cut in the middle.
_BULK = 200_000
PREPARE = """
import json, pathlib, sys
models = pathlib.Path(sys.argv[sys.argv.index("--models") + 1])
models.mkdir(exist_ok=True)
import fs_torch, fs_packages, fs_model
print(json.dumps({"event": "progress", "fraction": 0.5, "message": "Half of it"}), flush=True)
(models / "model.safetensors").write_bytes(b"weights")
print(json.dumps({"event": "done", "quantization": "fp32", "selftest": {"seconds": 0.1}}), flush=True)
"""
# Does not end by itself; leaves its process number in the models' folder.
SLOW = """
import os, pathlib, sys, time
models = pathlib.Path(sys.argv[sys.argv.index("--models") + 1])
models.mkdir(exist_ok=True)
models.joinpath("pid").write_text(str(os.getpid()))
time.sleep(60)
"""


class TinySetUp:
    """Everything for a set-up of tiny packages into `runtime`, from a server of its own."""

    def __init__(
        self, stage: Stage, runtime: Path | None = None, certificate: Path | None = None, fresh: bool = False
    ) -> None:
        """A set-up in a folder of its own, in which the environment was made already and nothing fetched, unless it
        is to be `fresh` or in a folder of the fault's."""
        self.stage = stage
        self.folder = stage.folder / "set-up"
        self.wheels, self.requirements = self.folder / "wheels", self.folder / "requirements"
        self.runtime = runtime or stage.folder / 'Ünïcödé 顔 it\'s a "runtime"'
        self.start = self.folder / "start.py"
        self._make_files()
        self.server = Proxy(self.wheels, certificate=certificate)
        stage.undo.append(self.server.close)
        self.use_index(self.server.index)
        if not (fresh or runtime or certificate):
            shutil.copytree(self._begun(), self.runtime, symlinks=True)

    def _begun(self) -> Path:
        """A folder in which a set-up was stopped before it fetched the packages; made once for each Blender."""
        folder = self.stage.settings.folder / "begun"
        if not folder.is_dir():
            set_up = self.stage.module("inference.setup.setting_up").set_up
            events = set_up(self.stage.module("inference.setup.runtime").Runtime(folder), self.options())
            for event in events:
                if event.step == "fetch":
                    break
            events.close()
            self.server.requests.clear()
        return folder

    def _make_files(self) -> None:
        self.wheels.mkdir(parents=True)
        self.requirements.mkdir()
        self.start.write_text(PREPARE, encoding="utf-8")
        for name in ("torch", "packages", "model"):
            make_wheel(self.wheels, f"fs_{name}")
        [bundled] = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
        shutil.copyfile(bundled, self.wheels / bundled.name)
        self.write_requirements(bundled.name.split("-")[1])

    def write_requirements(self, pip: str, version: str = "1.0") -> None:
        """Locks of these wheels, for each accelerator."""
        locks = {"cpu": ["fs_torch", "fs_packages"], "model": ["fs_model"], "pip": [f"pip=={pip}"]}
        locks |= {"cuda": locks["cpu"], "macos": locks["cpu"]}
        for name, packages in locks.items():
            text = "\n".join(self._locked(row if "==" in row else f"{row}=={version}") for row in packages)
            (self.requirements / f"{name}.lock").write_text(text + "\n", encoding="utf-8")

    def _locked(self, row: str) -> str:
        name, _, version = row.partition("==")
        hashes = [sha256(path) for path in self.wheels.glob(f"{name}-{version}-*.whl")] or ["0" * 64]
        return " ".join([row, *(f"--hash=sha256:{value}" for value in hashes)])

    def use_index(self, index: str, **variables: str) -> None:
        """Have pip and the extension look for packages at an address, and nowhere else, until the fault is over."""
        names = [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]
        changed = dict.fromkeys(names) | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index}
        changed |= {"PIP_DEFAULT_TIMEOUT": "5", "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1"} | variables
        self.stage.set_variables(changed)

    def options(self, **changes: Any) -> Any:
        """The extension's own options for it."""
        kind = self.stage.module("inference.setup.steps").SetupOptions
        given = {
            "base_python": self.stage.settings.python,
            "online": True,
            "requirements": self.requirements,
            "start": self.start,
        }
        return kind(**given | changes)

    def begin(self, **changes: Any) -> None:
        """Start the set-up as the button does, on the session's thread."""
        set_up = self.stage.module("inference.setup.setting_up").set_up
        runtime = self.stage.module("inference.setup.runtime").Runtime(self.runtime)
        options = self.options(**changes)
        work: Callable[[Any], Iterator[Any]] = lambda cancelled: set_up(runtime, options, cancelled)  # noqa: E731
        self.stage.session.start_setup(work)

    def until_step(self, *steps: str, seconds: float = 60.0) -> Moves:
        """Leave Blender to itself until the set-up is at one of these steps."""
        stage = self.stage
        yield from stage.until(
            lambda: stage.session.setup is None or stage.session.setup_progress.step in steps, seconds
        )
        assert stage.session.setup is not None, f"it was over too soon: {stage.session.error or stage.session.note}"

    def run(self, **changes: Any) -> Moves:
        """From the button to the end."""
        self.begin(**changes)
        yield from self.stage.rest(200.0)

    @property
    def record(self) -> bytes:
        """The bytes of the record of what is in use; b"" if there is none."""
        path = self.runtime / "runtime.json"
        return path.read_bytes() if path.is_file() else b""

    @property
    def usable(self) -> bool:
        """Whether the extension takes the runtime for a usable one."""
        runtime = self.stage.module("inference.setup.runtime").Runtime(self.runtime)
        return bool(runtime.state(self.requirements).usable)

    def check_works(self) -> None:
        """The runtime in use has all its packages and its model."""
        runtime = self.stage.module("inference.setup.runtime").Runtime(self.runtime)
        assert runtime.state(self.requirements).usable, runtime.state(self.requirements).sentence
        code = "import fs_torch, fs_packages, fs_model; print(len(fs_torch.BULK))"
        done = subprocess.run([str(runtime.python), "-I", "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == str(_BULK), done.stderr[-300:]
        assert any(path.read_bytes() == b"weights" for path in runtime.models.rglob("model.safetensors")), "no model"

    def mend(self, **changes: Any) -> Moves:
        """In fair weather, press Set Up again: it has to end with a runtime that works, and leave nothing half-done."""
        told, noticed = self.stage.told, self.stage.noticed
        assert not self.usable or self.record, "a runtime that is not whole is called usable"
        self.server.weather = type(self.server.weather)()
        self.begin(**changes)
        yield from self.stage.until(lambda: not self.stage.busy, 120.0)
        error = self.stage.session.error
        assert error is None, f"Set Up again failed: {error}"
        self.check_works()
        # What counts is what was said of the fault.
        self.stage.told, self.stage.noticed = told, noticed


def make_wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    """A wheel with some content that does not compress, the same each time."""
    info = f"{name}-{version}.dist-info"
    bulk = b"".join(hashlib.sha256(f"{name} {number}".encode()).digest() for number in range(_BULK // 32))
    code = f"from pathlib import Path\nVERSION = {version!r}\nBULK = Path(__file__).with_name('bulk').read_bytes()\n"
    files: dict[str, bytes] = {
        f"{name}/__init__.py": code.encode(),
        f"{name}/bulk": bulk,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: faults\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, data in {**files, f"{info}/RECORD": record.encode()}.items():
            # With the same date each time: what is locked are the file's bytes.
            archive.writestr(zipfile.ZipInfo(inner), data)
    return path


def sha256(path: Path) -> str:
    """A file's digest."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_certificate(folder: Path) -> Path | None:
    """A certificate for 127.0.0.1 that nobody trusts, with its key; None if openssl is not here."""
    path = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(folder / "only.pem")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    with path.open("ab") as file:
        file.write((folder / "only.pem").read_bytes())
    return path


def read_record(runtime: Path) -> dict[str, Any]:
    """The record of what is in use."""
    entry: dict[str, Any] = json.loads((runtime / "runtime.json").read_text(encoding="utf-8"))
    return entry
