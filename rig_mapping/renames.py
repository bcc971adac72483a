# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a datablock's keys, brought up to date with shape keys and bones that were renamed since.

Blender renames the F-curves with them; the record, which is ours, it does not know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from . import blender_api as api
from . import records
from .journal import get_property
from .keys import SAME, Record
from .records import Address, SlotRecord


def load(datablock: Any) -> SlotRecord:
    """The record of what was written to a datablock, under the addresses that its F-curves have now.

    A record whose property is gone goes to the F-curve that has keys on exactly its frames, most of them with its
    values, on the same kind of property, and that no record claims. Without such a one it stays as it is.
    """
    place = api.find_place(datablock)
    record = records.load(place)
    lost = {address: old for address, old in record.curves.items() if not _there(datablock, address)}
    if not lost:
        return record
    free = {a: c for a, c in api.fcurve_table(place).items() if a not in record.curves and _there(datablock, a)}
    fits = [
        (share, address, now)
        for address, old in lost.items()
        for now, curve in free.items()
        if _kind(address) == _kind(now) and (share := _share(curve, old)) > 0.5
    ]
    moved: dict[Address, Address] = {}
    for _, address, now in sorted(fits, key=lambda fit: -fit[0]):
        if address not in moved and now not in moved.values():
            moved[address] = now
    return replace(record, curves={moved.get(address, address): old for address, old in record.curves.items()})


def _there(datablock: Any, address: Address) -> bool:
    try:
        get_property(datablock, *address)
    except (ValueError, AttributeError, IndexError, KeyError):
        return False
    return True


def _kind(address: Address) -> tuple[str, str, int]:
    """An address without the name in it."""
    path, index = address
    return path.partition("[")[0], path.rpartition("]")[2], index


def _share(curve: Any, old: Record) -> float:
    """The share of a curve's keys that have the record's values, or 0 if they are not on its frames."""
    co = api.read_keys(curve)["co"].astype(float)
    if not len(co) or len(co) != old.frames.size or np.abs(co[:, 0] - old.frames).max() >= SAME:
        return 0.0
    return float((np.abs(co[:, 1] - old.values) < SAME).mean())
