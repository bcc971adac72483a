# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp's own server, as the package xllamacpp brings it, with the settings that `llama-server` has as options:
PORT GGUF NAME CONTEXT SLOTS KEY. It ends with its standard input."""

from __future__ import annotations

import sys

import xllamacpp


def main(arguments: list[str]) -> int:
    """Serve one model on the loopback. A request may take `CONTEXT` tokens, and `SLOTS` are answered at once."""
    port, gguf, name, context, slots, key = arguments
    settings = xllamacpp.CommonParams()
    settings.hostnames, settings.port = ["127.0.0.1"], int(port)
    settings.model.path, settings.model_alias = gguf, {name}
    settings.n_ctx, settings.n_parallel = int(context) * int(slots), int(slots)
    settings.api_keys = [key]
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
