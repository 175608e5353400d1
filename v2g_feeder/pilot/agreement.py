"""Fifth item: whether control agreements define who can call discharge events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import yaml

from v2g_feeder.pilot.answers import Item, Measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NONE", "Agreement", "Term", "agreement_item", "agreement_terms"]

NONE: Final = "none"
"""What a register says where a term is known not to be agreed; an empty term is merely missing."""
Value = str | float | tuple[str, ...]


@dataclass(frozen=True)
class Term:
    """A term that a control agreement must have.

    Parameters
    ----------
    name
        Key in the register.
    asks
        What it says, in words.
    accepted
        Values of which the register must name one; any value where empty.
    """

    name: str
    asks: str
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """An agreement register.

    Parameters
    ----------
    file
        Where it was read from.
    terms
        By name; a term that is not in the register is left out, one that is known not to be agreed
        is :data:`NONE`.
    """

    file: str
    terms: Mapping[str, Value]


@lru_cache
def agreement_terms() -> tuple[Term, ...]:
    """Return the shipped terms."""
    data = resources.files("v2g_feeder.pilot").joinpath("data", "agreement.yaml")
    table = yaml.safe_load(data.read_text(encoding="utf-8"))
    return tuple(
        Term(name, row["asks"], tuple(row.get("accepted", ()))) for name, row in table.items()
    )


def agreement_item(
    agreement: Agreement | None, accepted: Mapping[str, Sequence[str]] | None = None
) -> Item:
    """Answer the fifth item.

    Parameters
    ----------
    agreement
        The register; ``None`` where there is none.
    accepted
        Values in place of the shipped ones, by term, for ``vehicle_standard`` and
        ``backend_standard``.
    """
    terms = agreement_terms()
    if agreement is None:
        return Item("agreement", missing=("an agreement register",))
    missing, failed, notes = [], [], []
    for term in terms:
        value = agreement.terms.get(term.name)
        allowed = tuple((accepted or {}).get(term.name, term.accepted))
        if value is None or value == "":
            missing.append(f"{term.name}: {term.asks}")
        elif value == NONE:
            failed.append(f"{term.name}: not agreed ({term.asks})")
        elif allowed and not _named(value, allowed):
            failed.append(f"{term.name}: {_text(value)} is not one of {', '.join(allowed)}")
        elif term.name == "may_call":
            notes.append(f"may call: {_text(value)}")
    present = len(terms) - len(missing) - len(failed)
    measure = Measure("terms present", float(present), "", note=f"of {len(terms)}")
    return Item(
        "agreement", (measure,), (agreement.file,), tuple(missing), tuple(failed), tuple(notes)
    )


def _named(value: Value, allowed: Sequence[str]) -> bool:
    """Whether a value names one of the allowed, whatever the case and spaces."""
    wanted = {name.lower().replace(" ", "") for name in allowed}
    given = value if isinstance(value, tuple) else (str(value),)
    return any(str(item).lower().replace(" ", "") in wanted for item in given)


def _text(value: Value) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
