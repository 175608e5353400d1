"""Colour and dash of each policy and case, the same in every figure.

Colours are of Okabe and Ito's set, which readers with colour-blindness can tell apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from v2g_feeder.conventions import Case, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Style", "case_style", "policy_style"]

Style = tuple[str, str]
"""Colour and dash."""

_POLICY: Final[dict[str, Style]] = {
    Policy.NO_EV: ("#8a9099", ":"),
    Policy.UNCONTROLLED: ("#d55e00", "--"),
    Policy.MANAGED: ("#009e73", "-."),
    Policy.EXPORT: ("#0072b2", "-"),
    Policy.TIME_OF_USE: ("#e69f00", ":"),
    Policy.V2H: ("#cc79a7", "-"),
    Policy.PRICE: ("#56b4e9", "--"),
}
_CASE: Final[dict[str, Style]] = {
    Case.LOW: ("#8a9099", ":"),
    Case.FIRM: ("#cc79a7", "--"),
    Case.EXPECTED: ("#0072b2", "-"),
    Case.HIGH: ("#009e73", "-."),
}
_OWN: Final[tuple[Style, ...]] = (
    ("#e69f00", "-"),
    ("#d55e00", "--"),
    ("#56b4e9", "-."),
    ("#22262b", ":"),
)


def policy_style(policy: str) -> Style:
    """Return the colour and dash of a policy."""
    return _POLICY.get(str(policy), _OWN[-1])


def case_style(case: str, cases: Sequence[str] = ()) -> Style:
    """Return the colour and dash of a participation case.

    A study's own cases take what is left, by their place among the own ones of ``cases``.
    """
    if case in _CASE:
        return _CASE[str(case)]
    own = [name for name in dict.fromkeys(cases) if name not in _CASE]
    return _OWN[own.index(case) % len(_OWN)] if case in own else _OWN[0]
