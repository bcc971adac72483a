# SPDX-License-Identifier: GPL-3.0-or-later
"""What set-up starts ends with the process that started it, and with all that it has started itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from facescript.inference.setup.work import module_command

# A parent that starts a module, which starts a sleeper; the module and the sleeper print their numbers.
PARENT = """
import subprocess, sys
subprocess.run([*sys.argv[1:]], start_new_session=True)
"""
MODULE = """
import os, subprocess, sys
sleeper = subprocess.Popen(["sleep", "60"])
print(os.getpid(), sleeper.pid, *sys.argv[1:], flush=True)
sleeper.wait()
"""


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_module_is_run_with_its_arguments(tmp_path: Path) -> None:
    command = module_command(Path(sys.executable), "platform", "--terse")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip().startswith(("Linux", "macOS", "Windows"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")
def test_all_of_it_ends_when_the_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "sleeping.py").write_text(MODULE)
    watched = module_command(Path(sys.executable), "sleeping", "a b")
    # As -I, but a module beside it can be found; and the parent's own number.
    code = f"import os, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1] = str(os.getppid()); "
    code += f"import runpy; runpy.run_path({watched[4]!r}, run_name='__main__')"
    command = [sys.executable, "-c", code, *watched[5:]]
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), *command], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        module, sleeper, argument = parent.stdout.readline().split(maxsplit=2)
        assert argument.strip() == "a b"
        assert _is_running(int(module)) and _is_running(int(sleeper))
        parent.send_signal(signal.SIGKILL)
        end = time.monotonic() + 10.0
        while (_is_running(int(module)) or _is_running(int(sleeper))) and time.monotonic() < end:
            time.sleep(0.1)
        assert not _is_running(int(module)) and not _is_running(int(sleeper))
