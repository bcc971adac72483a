# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries a model's chat template in a process of its own, with limits of time and memory.

transformers runs chat templates in Jinja's sandbox: they reach no file, no module and no attribute that begins with an
underscore. But a sandbox does not end a loop, nor does it count bytes. So each template is run once here before it is
used; what it takes too long or too much for is refused. What else goes wrong in it is for transformers to say.

Run as a file, it reads `{"template", "conversations"}` from standard input and ends with 0 if all is well. It imports
nothing of this package.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# A template of the largest models takes a hundredth of a second; starting Python takes the rest.
SECONDS = 20
_CPU_SECONDS = 5
_BYTES = 1 << 30
_MAX_OUTPUT = 1 << 20

# By which name a form is told not to let the model think: Qwen3, GLM, SmolLM3 and others by the first, DeepSeek and
# Granite by the second. Forms that know neither do not look.
THINKING_OFF = {"enable_thinking": False, "thinking": False}


def is_bounded(template: str, conversations: Sequence[Sequence[Mapping[str, str]]]) -> bool:
    """Whether a template is done with each conversation within the limits. Memory is limited on Linux alone."""
    given = json.dumps({"template": template, "conversations": conversations})
    command = [sys.executable, "-I", "-X", "utf8", str(Path(__file__))]
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    """Run the template; 1 if it makes too much. A loop without end is ended by the system, or by who started this."""
    given = json.loads(sys.stdin.buffer.read())
    _limit()
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = json.dumps
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = str
    environment.globals |= {"add_generation_prompt": True, "bos_token": "", "eos_token": ""} | THINKING_OFF
    for messages in given["conversations"]:
        size = 0
        try:
            for part in environment.from_string(given["template"]).generate(messages=messages):
                size += len(part)
                if size > _MAX_OUTPUT:
                    return 1
        except MemoryError:
            return 1
        except Exception:
            # Tags and filters of transformers' own, or a template that refuses this conversation.
            continue
    return 0


def _raise(message: str) -> None:
    raise ValueError(message)


def _limit() -> None:
    if sys.platform == "win32":
        return
    import resource

    for what, most in ((resource.RLIMIT_CPU, _CPU_SECONDS), (resource.RLIMIT_AS, _BYTES), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(what, (most, most))
        # macOS refuses some of them.
        except (OSError, ValueError):
            continue


if __name__ == "__main__":
    sys.exit(main())
