# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting set-up's wheels: from an index, by pip, from a folder; tiny ones, from a server of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from facescript.faults.proxy import Proxy, Weather, serving, unused_address
from facescript.faults.tiny_runtime import make_wheel, sha256
from facescript.inference.setup import fetching, offline
from facescript.inference.setup import wheels as setup_wheels
from facescript.inference.setup.locks import Pin
from facescript.inference.setup.steps import check_python
from facescript.inference.setup.wheels import Meter, check_folder, fetch, unpacked_size
from facescript.inference.setup.work import SetupOptions, Work
from facescript.performance import FacescriptError

NAMES = ("fs_torch", "fs_packages", "fs_model")


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder of tiny wheels."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name in NAMES:
        make_wheel(folder, name)
    return folder


@pytest.fixture
def server(served: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Their index, which pip is set to."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(fetching, "_LONGEST_WAIT", 0.01)
    with serving(served) as found:
        monkeypatch.setenv("PIP_INDEX_URL", found.index)
        yield found


@pytest.fixture
def work(served: Path, tmp_path: Path) -> Work:
    """A set-up that fetches, with this Python's pip."""
    requirements, folder = tmp_path / "requirements", tmp_path / "run time"
    requirements.mkdir()
    (folder / "tmp").mkdir(parents=True)
    rows = [f"{name}==1.0 --hash=sha256:{sha256(path)}\n" for name, path in zip(NAMES, _paths(served), strict=True)]
    for lock in ("cpu", "cuda", "macos"):
        (requirements / f"{lock}.lock").write_text("".join(rows[:2]))
    (requirements / "model.lock").write_text(rows[2])
    (requirements / "pip.lock").write_text(f"pip==99.0 --hash=sha256:{'0' * 64}\n")
    options = SetupOptions(Path(sys.executable), python=Path(sys.executable), requirements=requirements)
    made = Work(options, folder, folder / "env-1", folder / "models-1", folder / "wheels", unpacks=False)
    _, made.target = check_python(Work(SetupOptions(Path(sys.executable)), folder, folder, folder, folder))
    made.here = made.target
    return made


def _paths(folder: Path) -> list[Path]:
    return [folder / f"{name}-1.0-py3-none-any.whl" for name in NAMES]


def _whole(work: Work, served: Path) -> bool:
    return sorted(p.name for p in work.wheels.iterdir()) == sorted(p.name for p in served.glob("*.whl")) and all(
        sha256(work.wheels / path.name) == sha256(path) for path in _paths(served)
    )


def test_all_are_fetched_once_with_their_bytes_told(server: Proxy, work: Work, served: Path) -> None:
    told = list(fetch(work, work.wanted()))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert told[-1][1].startswith("Fetching fs-") and "1 of 1 MB, 3 of 3 packages" in told[-1][1]
    assert work.bytes == sum(path.stat().st_size for path in _paths(served))
    assert _whole(work, served)
    server.requests.clear()
    assert list(fetch(work, work.wanted())) == []
    assert server.requests == []


def test_after_an_interruption_only_the_rest_is_fetched(server: Proxy, work: Work, served: Path) -> None:
    work.wheels.mkdir()
    [torch, packages, _] = _paths(served)
    (work.wheels / torch.name).write_bytes(torch.read_bytes())
    (work.wheels / f"{packages.name}.part").write_bytes(packages.read_bytes()[:150_000])
    (work.wheels / "another-2.0-py3-none-any.whl").write_bytes(b"of the version before")
    list(fetch(work, work.wanted()))
    assert [row for row in server.requests if torch.name in row] == []
    assert _whole(work, served)


def test_a_damaged_wheel_is_fetched_again(server: Proxy, work: Work, served: Path) -> None:
    work.wheels.mkdir()
    (work.wheels / _paths(served)[0].name).write_bytes(b"damaged")
    list(fetch(work, work.wanted()))
    assert _whole(work, served)


def test_a_folder_as_an_index_is_left_to_pip(
    server: Proxy, work: Work, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(served))
    list(fetch(work, work.wanted()))
    assert server.requests == []
    assert _whole(work, served)


def test_without_requests_pip_fetches(server: Proxy, work: Work, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    list(fetch(work, work.wanted()))
    assert _whole(work, served)


def test_an_index_that_nobody_answers_at_is_asked_once(
    work: Work, server: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", unused_address())
    with pytest.raises(FacescriptError) as caught:
        list(fetch(work, work.wanted()))
    assert caught.value.code == "no_network"


def test_what_no_index_has_is_said_by_name(server: Proxy, work: Work, served: Path) -> None:
    _paths(served)[2].unlink()
    with pytest.raises(FacescriptError) as caught:
        list(fetch(work, work.wanted()))
    assert "fs-model" in str(caught.value)


def test_a_wheel_that_is_another_is_refused(server: Proxy, work: Work) -> None:
    server.weather = Weather(spoil=True, only=".whl")
    with pytest.raises(FacescriptError) as caught:
        list(fetch(work, work.wanted()))
    assert caught.value.code == "bad_hash"


def test_room_is_asked_for_what_is_still_to_do(
    server: Proxy, work: Work, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(setup_wheels, "require_space", lambda folder, needed: asked.append(needed))
    work.wheels.mkdir()
    torch = _paths(served)[0]
    (work.wheels / f"{torch.name}.part").write_bytes(torch.read_bytes()[:100_000])
    list(fetch(work, work.wanted()))
    assert asked == [work.bytes - 100_000]


# --- folders ------------------------------------------------------------------------------------------------


def test_a_folder_with_everything_is_enough(work: Work, served: Path) -> None:
    check_folder(served, work.wanted(), work.target)


def test_a_folder_says_what_it_lacks_and_what_is_damaged(work: Work, served: Path) -> None:
    [torch, packages, model] = _paths(served)
    packages.write_bytes(b"no wheel")
    with pytest.raises(FacescriptError, match=r"fs_packages-1\.0-py3-none-any\.whl in .* is damaged"):
        check_folder(served, work.wanted(), work.target)
    model.unlink()
    torch.rename(served / "fs_torch-1.0-cp38-cp38-win_amd64.whl")
    with pytest.raises(FacescriptError, match=r"lacks fs-torch 1\.0, fs-model 1\.0 for ") as caught:
        check_folder(served, work.wanted(), work.target)
    assert caught.value.code == "no_wheels" and "offline FOLDER" in caught.value.hint
    with pytest.raises(FacescriptError, match="no folder"):
        check_folder(served / "none", work.wanted(), work.target)


def test_an_offline_folder_is_made_checked_and_made_again(
    server: Proxy, work: Work, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This Python's own pip is asked, in place of one in an environment that is made for it.
    def link_env(made: Work) -> Iterator[tuple[float, str]]:
        made.env.symlink_to(sys.prefix, target_is_directory=True)
        yield 1.0, "Linked"

    monkeypatch.setattr(offline, "make_env", link_env)
    monkeypatch.setattr(offline, "update_pip", lambda made: iter(()))
    pip = make_wheel(served, "fs_pip")
    (work.options.requirements / "pip.lock").write_text(f"fs_pip==1.0 --hash=sha256:{sha256(pip)}\n")
    folder = tmp_path / "für Löffel"
    options = SetupOptions(Path(sys.executable), requirements=work.options.requirements)
    report = list(offline.make_folder(folder, options))
    assert report[-1][0] == 1.0 and str(folder) in report[-1][1]
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(["README.txt", "manifest.json", *(path.name for path in served.glob("*.whl"))])
    check_folder(folder, work.wanted(), work.target)
    server.requests.clear()
    # For another machine the same files do: they are for any.
    list(offline.make_folder(folder, options, platform="windows", python="3.13"))
    assert server.requests == []
    text = (folder / "README.txt").read_text(encoding="utf-8")
    assert "win32-amd64-python3.13, cpu" in text and work.target and work.target.name in text


def test_an_offline_folder_needs_the_network(tmp_path: Path) -> None:
    with pytest.raises(FacescriptError, match="needs the network") as caught:
        list(offline.make_folder(tmp_path / "f", SetupOptions(online=False)))
    assert "Allow Online Access" in caught.value.hint
    assert not (tmp_path / "f").exists()


# --- small parts --------------------------------------------------------------------------------------------


def test_the_meter_tells_bytes_packages_speed_and_time() -> None:
    meter = Meter(200_000_000, 41, number=3)
    for second in range(11):
        meter.at(second * 4_000_000, float(second))
    assert meter.sentence("torch") == "Fetching torch, 40 of 200 MB, 3 of 41 packages, 4.0 MB/s, 40 s left"
    assert meter.fraction == 0.2
    slow = Meter(200_000_000, 41, number=3)
    slow.at(0, 0.0)
    slow.at(500_000, 10.0)
    assert slow.sentence("torch").endswith("50 kB/s, 66 min left")
    assert Meter(0, 0).sentence("x") == "Fetching x, 0 of 0 MB, 0 of 0 packages"


def test_what_is_no_wheel_unpacks_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"no zip")
    assert unpacked_size(tmp_path / "a.whl") == 0
    assert unpacked_size(make_wheel(tmp_path, "fs_a")) > 200_000


def test_a_pin_is_a_row_for_pip() -> None:
    assert Pin("a", "1", "", frozenset({"b", "a"})).requirement == "a==1 --hash=sha256:a --hash=sha256:b"
