# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip prints may hold the user's tokens; none of them is shown."""

from __future__ import annotations

import pytest
from facescript.inference.setup.pip_progress import PipProgress, pip_error, without_secrets


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "Looking in indexes: https://anna:pass@host/simple, https://b/c",
            "Looking in indexes: https://host/simple, https://b/c",
        ),
        (
            "ERROR: 404 for url: https://TOKEN@host/a.whl (from torch)",
            "ERROR: 404 for url: https://host/a.whl (from torch)",
        ),
        ("ERROR: 403 for url 'https://host/a?token=TOKEN#sha256=1'", "ERROR: 403 for url 'https://host/a'"),
        ("git+ssh://anna:a/b@host/x", "git+ssh://host/x"),
        ("Requirement torch @ file:///opt/a.whl", "Requirement torch @ file:///opt/a.whl"),
        ("No matching distribution for torch==2.13.0", "No matching distribution for torch==2.13.0"),
    ],
)
def test_secrets_in_addresses_are_left_out(line: str, shown: str) -> None:
    assert without_secrets(line) == shown
    progress = PipProgress(1.0)
    progress.feed(line)
    assert list(progress.tail) == [shown]


def test_an_error_of_pips_does_not_show_a_token() -> None:
    progress = PipProgress(1.0)
    progress.feed("ERROR: HTTP error 401 while getting https://anna:TOKEN@host/simple/torch/?key=TOKEN")
    error = pip_error("torch", 1, list(progress.tail))
    assert "TOKEN" not in str(error) and "anna" not in str(error) and "https://host/simple/torch/" in str(error)


def test_a_size_that_is_no_number_is_passed_over() -> None:
    assert PipProgress(1.0).feed("Downloading a.whl (1.2.3 MB)") == (0.0, "Fetching a.whl")
