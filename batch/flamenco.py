# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews of a batch on Flamenco, Blender's render farm: jobs for its Manager, in the form that its API documents.

A job has the type `facescript-previews`, which recipes/flamenco/facescript-previews.js teaches the Manager, and renders
a movie beside each file of JSON lines of one part. The folder has to be on a disk that the farm's workers see. API:
`SubmittedJob`, `AvailableJobType` and `Job` of flamenco-openapi.yaml, version 3 (flamenco.blender.org).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..inference.servers.addresses import Address, parse_address
from ..inference.servers.exchange import Exchange, Limits, Refused
from ..performance import FacescriptError
from ..performance.parsing import parse_object
from .parts import Part
from .settings import Settings

JOB_TYPE = "facescript-previews"
_PRIORITY = 50
# Lines that one task renders.
CHUNK = 10
# The Manager answers at once, or something is wrong.
_LIMITS = Limits(silence=60.0, whole=120.0)
# Its names of systems are those of Go's runtime.GOOS.
_SYSTEMS = {"win32": "windows", "darwin": "darwin", "linux": "linux"}


@dataclass(frozen=True)
class Farm:
    """A Flamenco Manager, as http://flamenco.local:8080."""

    address: Address

    @classmethod
    def at(cls, text: str) -> Farm:
        """Read an address. Raises FacescriptError (`bad_address`)."""
        found = parse_address(text)
        # Of its address only the server counts; the path is the API's.
        return cls(Address(found.scheme, found.host, found.port, "/api/v3"))

    def check(self) -> str:
        """The hash of the job type as the Manager has it, which a job names, so that none is made by another script.

        Raises FacescriptError: `farm` if the Manager has no such job type or is none; `server_unreachable`, `timeout`.
        """
        entry = self._ask("GET", f"/jobs/type/{JOB_TYPE}")
        etag = entry.get("etag")
        if entry.get("name") != JOB_TYPE or not isinstance(etag, str):
            raise _no_manager(self.address)
        return etag

    def submit(self, part: Part, folder: Path, settings: Settings) -> str:
        """Hand one part over; the job's id. Raises what `check` raises."""
        job = submitted_job(part, folder, settings, self.check())
        number = self._ask("POST", "/jobs", job).get("id")
        if not isinstance(number, str) or not number.isprintable() or len(number) > 100:
            raise _no_manager(self.address)
        return number

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, object]:
        data = json.dumps(body).encode() if body is not None else b""
        # Asked once for a job: a Manager may have made it before the connection was cut.
        limits = _LIMITS if method == "GET" else replace(_LIMITS, pauses=())
        try:
            reply = Exchange(self.address, limits=limits).send(method, path, data, lambda: None)
            return parse_object(reply.body)
        except FacescriptError as error:
            if error.code == "bad_json":
                raise _no_manager(self.address) from None
            if isinstance(error, Refused) and error.status == 404:
                what = f"The Flamenco Manager at {self.address.origin} has no job type {JOB_TYPE}."
                hint = (
                    "Copy recipes/flamenco/facescript-previews.js into the folder scripts beside it; see docs/batch.md."
                )
                raise FacescriptError("farm", what, hint) from error
            raise


def submitted_job(part: Part, folder: Path, settings: Settings, etag: str) -> dict[str, object]:
    """A job as `SubmittedJob` has it. Settings of a job type are single values, so the lines are one text."""
    names = [line.name for line in part.lines]
    return {
        "name": f"{folder.name} {part.name}",
        "type": JOB_TYPE,
        "type_etag": etag,
        "priority": _PRIORITY,
        "submitter_platform": _SYSTEMS.get(sys.platform, sys.platform),
        "settings": {
            "folder": folder.as_posix(),
            "lines": "\n".join(names),
            "chunk_size": CHUNK,
            "blend": settings.blend,
            "face": settings.face,
            "style": settings.style,
        },
        "metadata": {"project": folder.name, "facescript.part": part.name},
    }


def _no_manager(address: Address) -> FacescriptError:
    what = f"What answers at {address.origin} is no Flamenco Manager of version 3."
    return FacescriptError("farm", what, "Check the address; it is shown in the Manager's own window.")
