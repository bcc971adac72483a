# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks and wheels' names, held against what the `packaging` library says; and the locks that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from facescript.inference.setup.locks import Target, applies, needed, normal_name, read_lock, wheel_package
from facescript.inference.setup.runtime import REQUIREMENTS, digest
from facescript.performance import FacescriptError
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.tags import cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

LINUX = Target((3, 11), "linux", "x86_64", (2, 31))
ARM = Target((3, 13), "linux", "aarch64", (2, 39))
WINDOWS = Target((3, 12), "win32", "AMD64")
MAC = Target((3, 11), "darwin", "arm64", (14, 5))


@pytest.mark.parametrize("lock", ["cpu", "cuda", "macos", "model", "pip"])
def test_the_shipped_locks_are_pinned_and_hashed(lock: str) -> None:
    pins = read_lock(REQUIREMENTS / f"{lock}.lock").pins
    assert pins
    assert [pin.name for pin in pins if not pin.hashes] == []


@pytest.mark.parametrize(
    ("lock", "target", "torch"),
    [
        ("cpu", LINUX, "2.13.0+cpu"),
        ("cpu", ARM, "2.13.0+cpu"),
        ("cpu", WINDOWS, "2.13.0"),
        ("cuda", LINUX, "2.13.0"),
        ("cuda", WINDOWS, "2.13.0+cu130"),
        ("cuda", Target((3, 11), "win32", "AMD64"), None),
        ("macos", MAC, "2.13.0"),
        ("macos", Target((3, 11), "darwin", "x86_64", (13, 0)), None),
    ],
)
def test_which_torch_a_machine_needs(lock: str, target: Target, torch: str | None) -> None:
    pins = {pin.name: pin for pin in needed(read_lock(REQUIREMENTS / f"{lock}.lock"), target)}
    assert (pins["torch"].version if "torch" in pins else None) == torch
    if torch:
        assert {"transformers", "numpy", "tokenizers", "sympy"} <= pins.keys()
        assert ("nvidia-cudnn-cu13" in pins) is (lock == "cuda" and target.system == "linux")


def test_every_name_is_needed_once() -> None:
    for lock, target in (("cpu", LINUX), ("cuda", ARM), ("cuda", WINDOWS), ("macos", MAC)):
        names = [pin.name for pin in needed(read_lock(REQUIREMENTS / f"{lock}.lock"), target)]
        assert len(names) == len(set(names))


def test_hashes_and_comments_are_not_what_makes_a_lock_another(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_text(f"# a\n--extra-index-url http://a\nx==1 \\\n    --hash=sha256:{'0' * 64}\n")
    (tmp_path / "b.lock").write_text(f"x==1 \\\n    --hash=sha256:{'1' * 64}\n")
    (tmp_path / "c.lock").write_text(f"x==2 \\\n    --hash=sha256:{'0' * 64}\n")
    assert digest(tmp_path, "a.lock") == digest(tmp_path, "b.lock") != digest(tmp_path, "c.lock")


@pytest.mark.parametrize("text", ["x>=1", "x", "-r other.txt", "git+https://x", "x @ https://y/z.whl", "\x00"])
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.lock").write_text(text)
    with pytest.raises(FacescriptError, match="damaged"):
        read_lock(tmp_path / "a.lock")


def test_a_missing_lock_is_a_damaged_extension(tmp_path: Path) -> None:
    for look in (lambda: read_lock(tmp_path / "a.lock"), lambda: digest(tmp_path, "a.lock")):
        with pytest.raises(FacescriptError) as caught:
            look()
        assert caught.value.code == "bad_install"


# --- markers ------------------------------------------------------------------------------------------------

_COMPARISONS = st.one_of(
    st.builds("sys_platform {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(["linux", "win32", "x"])),
    st.builds("platform_machine {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(["x86_64", "AMD64"])),
    st.builds(
        "python_full_version {} '{}'".format,
        st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        st.sampled_from(["3.11", "3.12", "3.13.0", "3.9.2"]),
    ),
)
_MARKERS = st.recursive(
    _COMPARISONS, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
)


@given(_MARKERS, st.sampled_from([LINUX, ARM, WINDOWS, MAC]))
def test_markers_hold_as_packaging_says(marker: str, target: Target) -> None:
    assert applies(marker, target.variables()) is Marker(marker).evaluate(dict(target.variables()))


@given(st.text(max_size=60))
def test_other_markers_are_refused(marker: str) -> None:
    try:
        assert isinstance(applies(marker, LINUX.variables()), bool)
    except FacescriptError as error:
        assert error.code == "bad_install"


@pytest.mark.parametrize("marker", ["__import__('os')", "sys_platform", "1 < 2", "extra == 'a'", "'a' in sys_platform"])
def test_a_marker_is_never_run(marker: str) -> None:
    with pytest.raises(FacescriptError):
        applies(marker, LINUX.variables())


# --- wheels' names ------------------------------------------------------------------------------------------

_NAMES = [
    "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
    "torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl",
    "a-1-py3-none-any.whl",
    "a-1-py2.py3-none-any.whl",
    "a-1-1-py3-none-any.whl",
    "a-1-cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "a-1-cp312-abi3-manylinux2014_x86_64.whl",
    "a-1-cp311-cp311-manylinux_2_34_x86_64.whl",
    "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
    "a-1-cp313-cp313-manylinux2014_aarch64.whl",
    "a-1-cp313-cp313t-manylinux2014_aarch64.whl",
    "a-1-cp312-cp312-win_amd64.whl",
    "a-1-cp312-cp312-win32.whl",
    "a-1-py3-none-win_amd64.whl",
    "a-1-cp311-cp311-macosx_11_0_arm64.whl",
    "a-1-cp311-cp311-macosx_10_9_universal2.whl",
    "a-1-cp311-cp311-macosx_15_0_arm64.whl",
    "a-1-cp311-cp311-macosx_11_0_x86_64.whl",
    "a-1-pp311-pypy311_pp73-manylinux2014_x86_64.whl",
]


def _packaging_fits(name: str, target: Target) -> bool:
    platforms = {
        "linux": lambda: [*target.platforms(), f"manylinux2014_{target.machine}", "any"],
        "win32": lambda: ["win_amd64", "any"],
        "darwin": lambda: [*mac_platforms(target.release, target.machine), "any"],
    }[target.system]()
    major, minor = target.python
    tags = set(cpython_tags(target.python, [f"cp{major}{minor}"], platforms))
    pure = {str(tag) for tag in tags} | {f"py{v}-none-{p}" for v in (major, f"{major}{minor}") for p in platforms}
    return bool({str(tag) for tag in parse_wheel_filename(name.replace("%2B", "+"))[3]} & pure)


@pytest.mark.parametrize("target", [LINUX, ARM, WINDOWS, MAC], ids=lambda target: target.name)
def test_wheels_fit_as_packaging_says(target: Target) -> None:
    for name in _NAMES:
        assert (target.rank(name) is not None) is _packaging_fits(name, target), name


def test_the_closest_wheel_is_the_best() -> None:
    names = [
        "a-1-py3-none-any.whl",
        "a-1-cp38-abi3-manylinux2014_x86_64.whl",
        "a-1-cp311-cp311-manylinux2014_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
    ]
    ranks = [LINUX.rank(name) for name in names]
    assert ranks == sorted(ranks, key=str) and len(set(ranks)) == 4


def test_names() -> None:
    assert normal_name("Foo.Bar_-baz") == "foo-bar-baz"
    assert wheel_package("torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl") == ("torch", "2.13.0+cpu")
    assert wheel_package("torch-2.13.0.tar.gz") == ("", "")


@given(st.text(max_size=80))
def test_any_name_is_looked_at_without_harm(name: str) -> None:
    assert LINUX.rank(name) is None or name.endswith(".whl")
