# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of drivers as functions, without running them as Python: arithmetic and a few functions, nothing else.

They are what Blender calls simple expressions (`expr_pylike_eval.cc`), which it evaluates itself, without asking
whether a file's scripts may run.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

Function = Callable[[Mapping[str, float]], float]

_CONSTANTS: Mapping[str, float] = {"pi": math.pi, "True": 1.0, "False": 0.0}
_BINARY: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_UNARY: Mapping[type, Callable[[float], float]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARE: Mapping[type, Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _clamp(x: float, low: float = 0.0, high: float = 1.0) -> float:
    return min(max(x, low), high)


def _smoothstep(a: float, b: float, x: float) -> float:
    t = _clamp((x - a) / (b - a))
    return t * t * (3.0 - 2.0 * t)


_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    **{"abs": abs, "fabs": abs, "min": min, "max": max, "int": math.trunc, "trunc": math.trunc, "round": round},
    **{name: getattr(math, name) for name in ("floor", "ceil", "radians", "degrees", "sin", "cos", "tan", "asin")},
    **{name: getattr(math, name) for name in ("acos", "atan", "atan2", "exp", "log", "sqrt", "pow", "fmod")},
    **{"clamp": _clamp, "lerp": lambda a, b, x: a + (b - a) * x, "smoothstep": _smoothstep},
}


class _NotSimple(Exception):
    """Something else than arithmetic."""


@lru_cache(maxsize=1024)
def simple(expression: str, names: frozenset[str]) -> Function | None:
    """The expression as a function of the values of `names`, or None if it is more than arithmetic. What has no value,
    such as a division by 0, is 0."""
    try:
        function = _function(ast.parse(expression.strip(), mode="eval").body, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError, _NotSimple):
        return None

    def value(values: Mapping[str, float]) -> float:
        try:
            found = float(function(values))
        except (ArithmeticError, ValueError, TypeError):
            return 0.0
        return found if math.isfinite(found) else 0.0

    return value


def _function(node: Any, names: frozenset[str]) -> Function:
    """One node of an expression's tree as a function of the variables. Raises `_NotSimple`."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return lambda values: float(number)
        case ast.Name(id=name) if name in names:
            return lambda values: values[name]
        case ast.Name(id=name) if name in _CONSTANTS:
            return lambda values: _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            sign, inner = _UNARY[type(op)], _function(operand, names)
            return lambda values: sign(inner(values))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            joined, one, other = _BINARY[type(op)], _function(left, names), _function(right, names)
            return lambda values: joined(one(values), other(values))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            asked, yes, no = (_function(part, names) for part in (test, body, orelse))
            return lambda values: yes(values) if asked(values) else no(values)
        case ast.BoolOp(op=op, values=operands):
            parts, every = [_function(part, names) for part in operands], all if isinstance(op, ast.And) else any
            return lambda values: every(part(values) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            sides, compared = [_function(part, names) for part in (left, *others)], [_COMPARE[type(op)] for op in ops]
            return lambda values: all(
                holds(one, other)
                for holds, (one, other) in zip(compared, pairwise(side(values) for side in sides), strict=True)
            )
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            called, given = _FUNCTIONS[name], [_function(part, names) for part in arguments]
            return lambda values: called(*(part(values) for part in given))
    raise _NotSimple
