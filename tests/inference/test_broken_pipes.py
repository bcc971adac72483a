# SPDX-License-Identifier: GPL-3.0-or-later
"""In Blender, unlike in Python, the signal SIGPIPE ends the process: here it does too."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE")

AS_IN_BLENDER = """
import signal, sys, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
"""
# A worker that lives and does not read: what is sent to it goes to nobody.
DEAF = "import os, time; os.close(0); print(end='', flush=True); time.sleep(30)"
TALK = f"""
from facescript.inference.client import WorkerClient
from facescript.inference.options import ModelOptions
from facescript.performance import Brief
client = WorkerClient([sys.executable, "-c", {DEAF!r}], {{}})
time.sleep(1.0)
for _ in range(3):
    client.request("generate", Brief("Hello."), ModelOptions())
    time.sleep(0.2)
client.close(0.0)
print("alive")
"""
# It hangs up while the question is being sent to it.
ASK = """
import socket, threading
from facescript.inference.servers.addresses import parse_address
from facescript.inference.servers.exchange import Exchange, Limits
server = socket.create_server(("127.0.0.1", 0))
def hang_up():
    while True:
        server.accept()[0].close()
threading.Thread(target=hang_up, daemon=True).start()
exchange = Exchange(parse_address(f"127.0.0.1:{server.getsockname()[1]}"), limits=Limits(pauses=(0.01,) * 30))
try:
    exchange.send("POST", "/x", b"x" * 4_000_000, lambda: None)
except Exception as error:
    print("alive", error.code)
"""


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", AS_IN_BLENDER + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def test_the_signal_would_end_this_process() -> None:
    code = AS_IN_BLENDER + "import os; read, write = os.pipe(); os.close(read); os.write(write, b'x')"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGPIPE


def test_a_worker_that_reads_no_more_does_not_end_blender() -> None:
    assert said(TALK) == "alive\n"


def test_a_server_that_hangs_up_does_not_end_blender() -> None:
    assert said(ASK) == "alive server_unreachable\n"
