# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries a model's chat template in a process of its own, with limits of time and memory.

transformers runs chat templates in Jinja's sandbox: they reach no file, no module and no attribute that begins with an
underscore. But a sandbox does not end a loop, nor does it count bytes. So each template is run once here before it is
used; what it takes too long or too much for is refused, and what is no template. What else goes wrong in it is for
transformers to say. So that nothing goes wrong here alone, and hides what would come after it, a template finds here
what it finds there: the same tags, filters, functions and variables.

Run as a file, it reads `{"template", "conversations"}` from standard input and ends with 0 if all is well. It imports
nothing of this package.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

# A template of the largest models takes a hundredth of a second; starting Python takes the rest.
SECONDS = 20
_CPU_SECONDS = 5
_BYTES = 1 << 30
_MAX_OUTPUT = 1 << 20
# How it ends for what cannot be compiled.
_NO_TEMPLATE = 2

# By which name a form is told not to let the model think: Qwen3, GLM, SmolLM3 and others by the first, DeepSeek and
# Granite by the second. Forms that know neither do not look.
THINKING_OFF = {"enable_thinking": False, "thinking": False}


def template_faults(template: str, conversations: Sequence[Sequence[Mapping[str, str]]]) -> str:
    """What is wrong with a template, after its name in a sentence; "" if it is one, and is done with each conversation
    within the limits. Memory is limited on Linux alone."""
    given = json.dumps({"template": template, "conversations": conversations})
    command = [sys.executable, "-I", "-X", "utf8", str(Path(__file__))]
    much = "takes too long, or makes too much text"
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return much
    if done.returncode == _NO_TEMPLATE:
        return "cannot be used (it is no Jinja template)"
    return much if done.returncode else ""


def main() -> int:
    """Run the template; 1 if it makes too much, 2 if it is none. A loop without end is ended by the system, or by who
    started this."""
    given = json.loads(sys.stdin.buffer.read())
    _limit()
    environment = _environment()
    try:
        template = environment.from_string(given["template"])
    except MemoryError:
        return 1
    except Exception:
        return _NO_TEMPLATE
    for messages in given["conversations"]:
        size = 0
        try:
            for part in template.generate(messages=messages):
                size += len(part)
                if size > _MAX_OUTPUT:
                    return 1
        except MemoryError:
            return 1
        except Exception:
            # A template that refuses this conversation.
            continue
    return 0


def _environment() -> Any:
    """What templates are compiled with, as transformers makes it (`_compile_jinja_template`)."""
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The tag around what the model itself says: here it does nothing."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            # A call has a scope of its own: what is set in it is not seen behind it.
            return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

        def _as_it_is(self, caller: Any) -> Any:
            return caller()

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = _to_json
    made.globals["raise_exception"] = _raise
    made.globals["strftime_now"] = datetime.now().strftime
    made.globals |= {"add_generation_prompt": True, "bos_token": "", "eos_token": ""} | THINKING_OFF
    made.globals |= {"tools": None, "documents": None}
    return made


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


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
