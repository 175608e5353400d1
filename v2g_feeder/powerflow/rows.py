"""Rows of states as one value in compiled code.

A row holds ``WIDTH`` numbers, one a state, and is computed with as one number would be: the
compiler turns every operation into the widest instructions that the processor has. All states of a
row go through the same instructions, so that the bits of one do not depend on the others. Left to
itself the compiler does this for some loops and not for others, since it must assume that arrays
overlap; an iteration of IEEE 8500 then takes three times as long.

In compiled functions: ``row_at(array, i)`` reads row ``i`` of a C-contiguous array ``[..., WIDTH]``
of floats and ``put_row(array, i, value)`` writes it; ``row_of(number)``; ``+ - * /`` combine rows
and numbers; ``row_sqrt``; ``larger(one, other)``, NaN winning; ``chosen(test, one, other)``, where
``test`` is a row of 0 or 1; ``within(low, value, high)`` is 1 where ``low < value <= high``;
``all_of(test)``.
"""

from __future__ import annotations

import operator
from typing import Any, Final

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import lower_builtin, models, register_model

__all__ = [
    "WIDTH",
    "aligned",
    "all_of",
    "chosen",
    "larger",
    "put_row",
    "row_at",
    "row_of",
    "row_sqrt",
    "within",
]

WIDTH: Final = 16
_VECTOR: Final = ir.VectorType(ir.DoubleType(), WIDTH)
_LINE: Final = 8  # numbers
_JOINED: Final = ("contract",)  # a product and the sum it goes into may be rounded once


def aligned(*shape: int, kind: type = float) -> np.ndarray:
    """Return zeros, each row on lines of the cache of its own: a tenth faster to compute with."""
    size = int(np.prod(shape)) * WIDTH
    room: np.ndarray = np.zeros(size + _LINE, kind)
    first = -room.ctypes.data // room.itemsize % _LINE
    return room[first : first + size].reshape(*shape, WIDTH)


def intrinsic(function: Any) -> Any:
    """Make a function that writes machine code callable in compiled functions."""
    return numba_intrinsic(function)


class RowType(types.Type):
    """Numba type of a row."""

    def __init__(self) -> None:
        super().__init__(name=f"Row{WIDTH}")


_ROW: Final = RowType()


@register_model(RowType)
class _RowModel(models.PrimitiveModel):
    """A row is a vector of the machine."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]


def _pointer(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """Return the address of a row."""
    data = context.make_array(kind)(context, builder, array).data
    first = builder.mul(row, ir.Constant(row.type, WIDTH))
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


@intrinsic
def row_at(_typing: Any, array: Any, row: Any) -> Any:
    """Return a row of an array."""

    def code(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        index = context.cast(builder, arguments[1], called.args[1], types.intp)
        value = builder.load(_pointer(context, builder, called.args[0], arguments[0], index))
        value.align = 8
        return value

    return _ROW(array, row), code


@intrinsic
def put_row(_typing: Any, array: Any, row: Any, value: Any) -> Any:
    """Write a row of an array."""

    def code(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        index = context.cast(builder, arguments[1], called.args[1], types.intp)
        at = _pointer(context, builder, called.args[0], arguments[0], index)
        builder.store(arguments[2], at).align = 8
        return context.get_dummy_value()

    return types.void(array, row, value), code


@intrinsic
def row_of(_typing: Any, number: Any) -> Any:
    """Return a row of one number."""

    def code(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        return _spread(context, builder, called.args[0], arguments[0])

    return _ROW(number), code


def _spread(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return a row, or the row of a number."""
    if kind == _ROW:
        return value
    blank = ir.Constant(_VECTOR, ir.Undefined)
    number = context.cast(builder, value, kind, types.float64)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    first = builder.insert_element(blank, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, blank, zeros)


def _offer(symbol: Any, name: str) -> None:
    """Make an operator take rows, or a row and a number, as one instruction."""
    pairs = [(_ROW, _ROW), (_ROW, types.float64), (types.float64, _ROW)]

    @infer_global(symbol)  # type: ignore[no-untyped-call]
    class _Typed(ConcreteTemplate):
        cases = [signature(_ROW, *pair) for pair in pairs]  # type: ignore[no-untyped-call]  # noqa: RUF012

    def code(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        kinds = zip(called.args, arguments, strict=True)
        values = [_spread(context, builder, kind, value) for kind, value in kinds]
        return getattr(builder, name)(*values, flags=_JOINED)

    for pair in pairs:
        lower_builtin(symbol, *pair)(code)  # type: ignore[no-untyped-call]


for _symbol, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _offer(_symbol, _name)


@intrinsic
def row_sqrt(_typing: Any, value: Any) -> Any:
    """Return the square roots of a row."""

    def code(_context: Any, builder: Any, _called: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        name = f"llvm.sqrt.v{WIDTH}f64"
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, name
        )
        return builder.call(function, arguments)

    return _ROW(value), code


@intrinsic
def within(_typing: Any, low: Any, value: Any, high: Any) -> Any:
    """Return 1 where ``low < value <= high`` and 0 elsewhere, NaN included; the limits are rows."""

    def code(_context: Any, builder: Any, _called: Any, arguments: Any) -> Any:
        low, value, high = arguments
        above = builder.fcmp_ordered("<", low, value)
        return builder.uitofp(builder.and_(above, builder.fcmp_ordered("<=", value, high)), _VECTOR)

    return _ROW(low, value, high), code


@intrinsic
def larger(_typing: Any, one: Any, other: Any) -> Any:
    """Return the larger of two rows, and NaN where ``other`` is."""

    def code(_context: Any, builder: Any, _called: Any, arguments: Any) -> Any:
        keep = builder.fcmp_ordered("<=", arguments[1], arguments[0])
        return builder.select(keep, *arguments)

    return _ROW(one, other), code


@intrinsic
def chosen(_typing: Any, test: Any, one: Any, other: Any) -> Any:
    """Return ``one`` where ``test`` is not 0, ``other`` elsewhere."""

    def code(_context: Any, builder: Any, _called: Any, arguments: Any) -> Any:
        zero = ir.Constant(_VECTOR, [0.0] * WIDTH)
        return builder.select(builder.fcmp_unordered("!=", arguments[0], zero), *arguments[1:])

    return _ROW(test, one, other), code


@intrinsic
def all_of(_typing: Any, test: Any) -> Any:
    """Whether no number of a row is 0."""

    def code(_context: Any, builder: Any, _called: Any, arguments: Any) -> Any:
        zero = ir.Constant(_VECTOR, [0.0] * WIDTH)
        bits = builder.bitcast(builder.fcmp_unordered("!=", arguments[0], zero), ir.IntType(WIDTH))
        return builder.icmp_unsigned("==", bits, ir.Constant(bits.type, -1))

    return types.boolean(test), code
