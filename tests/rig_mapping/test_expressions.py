# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import bpy
import face_rigs as rigs
import pytest
from amounts import examples
from facescript.rig_mapping.expressions import simple
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = frozenset({"var", "amp"})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("var", 0.5),
        ("(max( 0, var / 0.25)) * amp", 4.0),
        ("-min(0, max(-amp, var))", 0.0),
        ("(var - 1) / 0.5 if var >= 1 else (1 - var) / 0.5", 1.0),
        ("1 if 0 < var < 1 and not amp < 0 else 0", 1.0),
        ("var > 1 or amp == 2.0", 1.0),
        ("clamp(var * 3) + clamp(var, 0.6, 0.7)", 1.6),
        ("lerp(amp, 4, var) + smoothstep(0, 1, var)", 3.5),
        ("sin(radians(30)) + pi - pi", 0.5),
        ("int(2.7) + floor(-0.5) + abs(-var)", 1.5),
        # What has no value.
        ("var / 0", 0.0),
        ("sqrt(-amp)", 0.0),
        ("exp(100000)", 0.0),
    ],
)
def test_arithmetic_is_understood(expression: str, value: float) -> None:
    function = simple(expression, NAMES)
    assert function is not None
    assert function({"var": 0.5, "amp": 2.0}) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "var +",
            "other",
            "frame",
            "self.value",
            "bpy.data",
            "__import__('os')",
            "var.real",
            "[var][0]",
            "'text'",
        ),
        *("max(key=var)", "(lambda: var)()", "print(var)", "open('x')", "var if amp", "(var := 1)", "max(*amp)", "1j"),
        *("[i for i in range(3)]", "f'{var}'", "var\n", "x" * 20000, "(" * 5000),
    ],
)
def test_anything_else_is_not(expression: str) -> None:
    function = simple(expression, NAMES)
    # A new line at the end is no harm.
    assert (function is None) or expression == "var\n"


@given(st.text(alphabet="var amp0123456789.+-*/()<>=,ifelse max min", max_size=40) | st.text(max_size=40))
def test_any_text_survives(expression: str) -> None:
    function = simple(expression, NAMES)
    if function is not None:
        assert math.isfinite(function({"var": 0.3, "amp": -1.5}))


_LEAF = st.sampled_from(["var", "0.25", "3", "amp"])
_TREE = st.recursive(
    _LEAF,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} > {t[2]} else -{t[0]})"),
        inner.map(lambda t: f"clamp({t})"),
    ),
    max_leaves=6,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(_TREE, st.floats(-2.0, 2.0, width=16))
def test_values_are_those_of_blender(expression: str, value: float) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    obj = rigs.face(keys=["jawOpen"])
    obj["var"], obj["amp"] = value, 1.5
    obj["shown"] = 0.0
    curve = obj.driver_add('["shown"]')
    for name in ("var", "amp"):
        variable = curve.driver.variables.new()
        variable.name, variable.type = name, "SINGLE_PROP"
        variable.targets[0].id = obj
        variable.targets[0].data_path = f'["{name}"]'
    obj.update_tag()
    bpy.context.view_layer.update()
    curve.driver.expression = expression
    bpy.context.view_layer.update()
    assert curve.driver.is_simple_expression
    function = simple(expression, NAMES)
    assert function is not None
    assert function({"var": value, "amp": 1.5}) == pytest.approx(obj["shown"], abs=1e-4, rel=1e-4)
