"""Fit an archetype to records of sessions or of duties.

What the records tell is fitted; every other figure is taken from an archetype like it, with its
own source. Records are used as they are, whatever the season: the fitted file has no cold factor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.fleet.archetypes import Archetype, archetype_from_figures, load_archetype
from v2g_feeder.fleet.calibrate import calibrated
from v2g_feeder.fleet.figures import Figure
from v2g_feeder.fleet.fit_duty import TRIP, fit_duty
from v2g_feeder.fleet.fit_match import matched
from v2g_feeder.fleet.fit_plugging import fit_plugging, follow, spearman, stated_errors
from v2g_feeder.fleet.fit_rates import Exposure, starts_per_h

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.fleet.records import Records

__all__ = ["DEFAULT_LIKE", "MIN_RECORDS", "archetype_text", "fit_archetype"]

MIN_RECORDS: Final = 30
DEFAULT_LIKE: Final = {"user": "residential", "other": "workplace", "duty": "delivery_truck"}
_FEW: Final = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)
_MANY: Final = (0, 0.01, *np.arange(0.025, 0.976, 0.025).round(3).tolist(), 0.99, 1)
_MANY_FROM: Final = 300
_UNITS: Final = {
    "highest_kw": "kW",
    "starts_per_free_h": "1/h",
    "miles": "mile",
    "energy_kwh": "kWh",
}
_NOT_DATED: Final = "weekday_share", "weekend_share"


def fit_archetype(
    records: Records,
    *,
    like: str | None = None,
    name: str = "fitted",
    settle: int = 6,
    vehicles: int = 3000,
) -> Archetype:
    """Fit an archetype to records.

    Parameters
    ----------
    records
        At least 30 sessions or duties.
    like
        Archetype (name or file) that gives every figure the records do not tell: battery, charger,
        efficiency, reserve. By default ``residential`` where the records know users, ``workplace``
        where they know ports only, ``delivery_truck`` for duties.
    name
        Name of the archetype.
    settle
        Rounds of :func:`v2g_feeder.fleet.calibrate.calibrated` and
        :func:`v2g_feeder.fleet.fit_match.matched`; 0 for neither.
    vehicles
        Vehicles simulated in a round.

    Returns
    -------
    Archetype
        Write it with :func:`archetype_text`.

    Raises
    ------
    InputError
        For too few records, or a ``like`` of the other kind.
    """
    if len(records) < MIN_RECORDS:
        message = f"{len(records)} {records.kind} to fit, at least {MIN_RECORDS} are needed"
        raise InputError(
            Problem(records.source, message, "add records, or use a shipped archetype")
        )
    base = load_archetype(like or default_like(records))
    if (base.duty is not None) != (records.kind == "duty"):
        want = "duty" if records.kind == "duty" else "plugging"
        message = f"{base.name} has no section {want}, and these are {records.kind} records"
        raise InputError(Problem("--like", message, f"take {default_like(records)}"))
    levels = _MANY if len(records) >= _MANY_FROM else _FEW
    figures = _taken(base, levels)
    fitted: Mapping[str, Any]
    if records.kind == "duty":
        fitted = {f"duty.{key}": value for key, value in fit_duty(records, levels).items()}
        figures |= _duty_defaults(base)
    else:
        sessions = follow(records)
        tables = fit_plugging(sessions, levels)
        fitted = {f"plugging.{key}": value for key, value in tables.items()}
        errors = stated_errors(records, levels)
        if errors is not None:
            fitted |= {"stated_error_h": errors[0], "rank_error_stay": errors[1]}
        if not sessions.people:  # a port has no home to be away from
            figures = {key: item for key, item in figures.items() if key.split(".")[0] != "at_home"}
    source = _source(records)
    figures |= {key: _figure(key, value, source) for key, value in fitted.items()}
    archetype = archetype_from_figures(name, figures, f"{name}.yaml")
    if records.kind == "duty" or not settle:
        return archetype
    archetype = calibrated(archetype, vehicles=vehicles, rounds=max(settle // 3, 1))
    wanted = starts_per_h(Exposure.of(sessions))
    rank = spearman(sessions.energy_kwh, sessions.stay_h)
    archetype = matched(archetype, wanted, rank, vehicles=vehicles, rounds=settle)
    # with its figures as rounded for the file
    settled = {figure.name: figure for figure in archetype.figures}
    return archetype_from_figures(name, settled, f"{name}.yaml")


def default_like(records: Records) -> str:
    """Return the archetype that the other figures are taken from."""
    if records.kind == "duty":
        return DEFAULT_LIKE["duty"]
    return DEFAULT_LIKE["user" if records.unit == "user" else "other"]


def archetype_text(archetype: Archetype, head: Sequence[str] = ()) -> str:
    """Return an archetype as the text of a YAML file that ``load_archetype`` reads.

    Parameters
    ----------
    archetype
        Its ``figures`` are written.
    head
        Lines of comment that go before.
    """
    lines = [f"# {line}".rstrip() for line in head]
    known: dict[str, str] = {}
    open_keys: list[str] = []
    for figure in sorted(archetype.figures, key=_section_order):
        *parents, key = figure.name.split(".")
        shared = 0
        while parents[: shared + 1] == open_keys[: shared + 1] and shared < len(parents):
            shared += 1
        opened = range(shared, len(parents))
        lines += [f"{'  ' * depth}{parents[depth]}:" for depth in opened]
        open_keys = parents
        lines += _figure_lines(key, figure, "  " * len(parents), known)
    return "\n".join(lines) + "\n"


def _taken(base: Archetype, levels: tuple[float, ...]) -> dict[str, Figure]:
    """Return the figures that records do not tell, of the archetype that is like them."""
    keep = ("plugging.need_slope", "plugging.need_middle_soc")
    figures = {
        figure.name: replace(figure, source=_from(figure, base))
        for figure in base.figures
        if figure.name.split(".")[0] not in ("plugging", "duty") or figure.name in keep
    }
    if base.stated_error_h:
        row = np.interp(levels, base.quantile_levels, base.stated_error_h)
        old = figures["stated_error_h"]
        figures["stated_error_h"] = replace(old, value=tuple(round(float(x), 3) for x in row))
    figures["quantile_levels"] = Figure(
        "quantile_levels", tuple(levels), "1", "levels of every row of quantiles below", "D"
    )
    as_is = "the records are used as they are, whatever the season; taken for the whole year"
    figures["cold_factor"] = Figure("cold_factor", 1.0, "1", as_is, "A")
    return figures


def _duty_defaults(base: Archetype) -> dict[str, Figure]:
    """Return the figures of a duty that records without dates do not tell."""
    duty = base.duty
    assert duty is not None  # noqa: S101 - looked at before
    trip = max(duty.trips, key=lambda trip: trip.weekday_share)
    at = f"duty.trips.{trip.name}."
    found = {
        figure.name.replace(at, f"duty.{TRIP}."): figure
        for figure in base.figures
        if figure.name in {*(f"{at}{key}" for key in _NOT_DATED), *_DUTY_KEYS}
    }
    figures = {key: replace(old, name=key, source=_from(old, base)) for key, old in found.items()}
    no_summer = "the records are used as they are, whatever the season"
    figures["duty.summer_months"] = Figure("duty.summer_months", (), "month", no_summer, "A")
    return figures


_DUTY_KEYS: Final = ("duty.holiday_share", "duty.same_vehicle")


def _from(figure: Figure, base: Archetype) -> str:
    """Return the source of a figure that is taken over."""
    return f"as {base.name}: {figure.source}"


def _source(records: Records) -> str:
    """Return the source of the fitted figures."""
    table = records.table
    noun = "duties" if records.kind == "duty" else "sessions"
    parts = [f"{records.source}, {len(records)} {noun}"]
    if records.unit:
        count = table[records.unit].replace("", np.nan).nunique()
        parts.append(f"of {count} {records.unit}s")
    dates = f", {records.dates}" if records.dates else ""
    return " ".join(parts) + dates


def _figure(key: str, value: Any, source: str) -> Figure:
    """Return a fitted figure."""
    last = key.rpartition(".")[2]
    if last.startswith("rank_"):
        unit = "Spearman"
    elif last in _UNITS:
        unit = _UNITS[last]
    else:
        unit = "h" if last.endswith("_h") else "1"
    return Figure(key, _frozen(value), unit, source, "D")


def _frozen(value: Any) -> Any:
    """Return lists as tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _section_order(figure: Figure) -> tuple[int, ...]:
    """Return where a figure stands in the file: top level, then sections, each with its own."""
    *sections, _ = figure.name.split(".")
    return tuple(_SECTIONS.index(section) for section in sections[:2])


_SECTIONS: Final = ("at_home", "plugging", "duty", "weekday", "weekend", "driving", "trips")


def _figure_lines(key: str, figure: Figure, indent: str, known: dict[str, str]) -> list[str]:
    """Return the lines of one figure; a source that came before is an alias."""
    if figure.source in known:
        source = f"*{known[figure.source]}"
    else:
        known[figure.source] = f"s{len(known) + 1}"
        text = figure.source.replace("\\", "\\\\").replace('"', '\\"')
        source = f'&{known[figure.source]} "{text}"'
    table = isinstance(figure.value, tuple) and any(isinstance(row, tuple) for row in figure.value)
    if table:
        rows = [f"{indent}    - {_flow(row)}" for row in figure.value]
        tail = f'{indent}  unit: "{figure.unit}"'
        end = [tail, f"{indent}  mark: {figure.mark}", f"{indent}  source: {source}"]
        return [f"{indent}{key}:", f"{indent}  value:", *rows, *end]
    body = f'value: {_flow(figure.value)}, unit: "{figure.unit}", mark: {figure.mark}'
    return [f"{indent}{key}: {{{body}, source: {source}}}"]


def _flow(value: Any) -> str:
    """Return a number or a row of numbers as YAML."""
    if isinstance(value, tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return f"{value:.10g}"
