"""The first lines of a report: the answer to what the study was built to ask.

What a study holds says what it asks: a contract, generation on the feeder, a ramp over reverse
modes, a depot, or hours of stress. Pure functions of ``summary.json``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.conventions import AS_STUDIED, Case
from v2g_feeder.report.words import (
    amount,
    criterion_name,
    day_name,
    hours,
    is_known,
    join,
    kw,
    kw_range,
    plain,
    value_text,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, Any]
    Summary = Mapping[str, Any]

__all__ = [
    "contract_sentences",
    "credit_sentences",
    "depot_sentences",
    "first_lines",
    "ramp_sentences",
    "solar_sentences",
    "timing_sentences",
]

_DASH: Final = "\N{EN DASH}"
_SURE: Final = 0.95
_WORTH_KW: Final = 0.5


def first_lines(summary: Summary) -> list[str]:
    """Return the sentences that answer what the study asks; empty where it asks nothing special."""
    study = summary["study"]
    asked: list[tuple[bool, Callable[[Summary], list[str]]]] = [
        (study.get("contract_kw") is not None, contract_sentences),
        (bool(summary.get("solar")), solar_sentences),
        (len({_key(row) for row in _rows(summary, "ramp")}) > 1, ramp_sentences),
        (any(row["depots"] for row in _rows(summary, "recharging")), depot_sentences),
        (study.get("stress_window") is not None, timing_sentences),
    ]
    for wanted, sentences in asked:
        found = sentences(summary) if wanted else []
        if found:
            return found
    return []


def timing_sentences(summary: Summary) -> list[str]:
    """Return whether export comes before the hours of stress are over, and what comes first."""
    found = []
    rows = _of_case(_rows(summary, "timing"), _main(summary, "timing"))
    for row in rows:
        share = row["in_time"] / row["event_days"]
        verdict = "Yes" if share >= _SURE else "No" if share <= 1 - _SURE else "Not dependably"
        window = _window(row["from_h"], row["to_h"])
        text = (
            f"{verdict}: in {plain(row['season'])} most of an event's export comes before the peak "
            f"window {window} closes on {whole(row['in_time'])} of {whole(row['event_days'])} "
            f"event-days ({row['draws_in_time']} of {row['draws']} draws on most days). Inside the "
            f"window it is {kw(row['export_kw_mean'])} on average "
            f"({kw_range(row['export_kw_min'], row['export_kw_max'])} by draw)"
        )
        asked = summary["study"]["export"]
        text += f" of {kw(asked['request_kw'])} asked for" if asked else ""
        if is_known(row["before_share"]):
            text += (
                f"; {100 * row['before_share']:.0f} % of the exported energy comes before it closes"
            )
        found.append(f"{text}.")
    if rows:
        row = max(rows, key=lambda one: one["load_kw_mean"])
        found.append(
            f"Load comes first: from three hours before the window on, the fleet draws up to "
            f"{kw(row['load_kw_mean'])} net on average ({kw(row['load_kw_max'])} on the worst "
            f"event-day, {plain(row['season'])}), most often at {_clock(row['load_h'])}."
        )
        found += _relief_and_rebound(summary, rows[0]["case"])
    return found


def _relief_and_rebound(summary: Summary, case: str) -> list[str]:
    """Return relief at the head and rebound of a case."""
    events = _of_case(summary["events"], case)
    found = []
    for row in events:
        if is_known(row["relief_kw_mean"]):
            lower = row["relief_kw_mean"] >= 0
            found.append(
                f"In the event hours the head is {kw(abs(row['relief_kw_mean']))} "
                f"{'lower' if lower else 'higher'} than with managed charging "
                f"({kw_range(row['relief_kw_min'], row['relief_kw_max'])} lower by draw, "
                f"{plain(row['season'])}); afterwards it rises by up to "
                f"{kw(row['rebound_kw_mean'])} ({kw(row['rebound_kw_max'])} in the worst draw)."
            )
    return found


def credit_sentences(summary: Summary, case: str = "") -> list[str]:
    """Return what is dependable for 1, 2 and 4 hours by season, beside the nameplate."""
    table = _rows(summary, "capacity_credit")
    case = case or _main(summary, "capacity_credit")
    rows = [row for row in table if row["case"] == case and row["level"] == "P95"]
    rows = [row for row in rows if is_known(row["estimate_kw"])]
    if not rows:
        return []
    sure = all(row["status"] == "ok" for row in rows)
    days = "" if sure else f"Insufficient draws, {whole(rows[0]['event_days'])} of the 59 "
    start = (
        "On 95 % of event-days, with 95 % confidence"
        if sure
        else f"{days}event-days that P95 needs; 95 % of those drawn reach"
    )
    note = (
        f"{plain(case).capitalize()} participation, against managed charging, net of the feeder's "
        f"limit and of rebound; nameplate {kw(rows[0]['nameplate_kw'])}; response "
        f"{rows[0]['evidence']}."
    )
    return [f"{start}: {_by_season(rows, 'kw' if sure else 'estimate_kw')}.", note]


def _by_season(rows: Sequence[Row], name: str) -> str:
    """Return kW for each length of stress, season by season."""
    parts = []
    for season in dict.fromkeys(row["season"] for row in rows):
        mine = [row for row in rows if row["season"] == season]
        said = join([f"{kw(row[name])} for {row['hours']:g} h" for row in mine])
        parts.append(f"{said} in {plain(season)}{_taken_off(mine[0])}")
    return "; ".join(parts)


def _taken_off(row: Row) -> str:
    """Return the rebound of a credit row, where there is any."""
    rebound = row["rebound_kw"]
    if not is_known(rebound) or rebound < _WORTH_KW:
        return ""
    return f" (new peak by charging before and after, {kw(rebound)}, taken off)"


def contract_sentences(summary: Summary) -> list[str]:
    """Return the dependable kW against the contract, and called against delivered."""
    promised = summary["study"]["contract_kw"]
    table = [row for row in _rows(summary, "capacity_credit") if row["level"] == "P95"]
    cases = [row["case"] for row in table]
    case = str(Case.FIRM) if Case.FIRM in cases else _main(summary, "capacity_credit")
    found = []
    for season in dict.fromkeys(row["season"] for row in table):
        mine = [row for row in table if row["season"] == season]
        own = [row for row in mine if row["case"] == case]
        known = [row for row in own if row["status"] == "ok"]
        if not known:
            found.append(
                f"Not known whether {kw(promised)} of contract are dependable in {plain(season)}: "
                f"{own[0]['status'] if own else 'no event'}, "
                f"{whole(own[0]['event_days']) if own else 0} event-days of the 59 that P95 needs."
            )
            continue
        kept = [row for row in known if row["kept"] == "yes"]
        verdict = "Yes" if len(kept) == len(known) else "No" if not kept else "In part"
        said = join([f"{kw(row['kw'])} for {row['hours']:g} h" for row in known])
        text = (
            f"{verdict}: of {kw(promised)} contracted, {said} are dependable in {plain(season)} "
            f"({plain(case)} participation, P95 with 95 % confidence{_taken_off(known[0])})"
        )
        alone = known[-1]["export_kw"]
        if is_known(alone) and alone > known[-1]["kw"] + _WORTH_KW:
            text += (
                f"; export alone is {kw(alone)} for {known[-1]['hours']:g} h, and charging in the "
                "same hours takes the rest"
            )
        others = [row for row in mine if row["hours"] == known[-1]["hours"] and is_known(row["kw"])]
        low, high = (pick(others, key=lambda row: row["kw"]) for pick in (min, max))
        if low is not high:
            text += (
                f"; for {known[-1]['hours']:g} h the cases run from {kw(low['kw'])} "
                f"({plain(low['case'])}) to {kw(high['kw'])} ({plain(high['case'])})"
            )
        found.append(f"{text}.")
    return [*found, *map(_delivered_text, _of_case(_rows(summary, "delivered"), case))]


def _delivered_text(row: Row) -> str:
    """Return called against delivered in a season."""
    return (
        f"Called against delivered, {plain(row['season'])}: the contract is held "
        f"(to {100 * row['kept_share']:.3g} %) through the window on {whole(row['kept'])} of "
        f"{whole(row['event_days'])} event-days; "
        f"{kw(row['held_kw_mean'])} is held on average "
        f"({kw_range(row['held_kw_min'], row['held_kw_max'])}) of "
        f"{kw(row['request_kw'])} called. events.csv has every event."
    )


def depot_sentences(summary: Summary) -> list[str]:
    """Return kW and hours by season, charging again, and whether every vehicle leaves full."""
    case = _main(summary, "capacity_credit")
    table = [
        row
        for row in _rows(summary, "capacity_credit")
        if row["case"] == case and row["level"] == "P95" and is_known(row["estimate_kw"])
    ]
    found = []
    if table:
        sure = all(row["status"] == "ok" for row in table)
        days = f"{whole(table[0]['event_days'])} event-days drawn"
        when = _window(min(row["from_h"] for row in table), max(row["to_h"] for row in table))
        found.append(
            f"At {when}, on 95 % of event-days ({'with 95 % confidence' if sure else days}), the "
            f"depot gives {_by_season(table, 'kw' if sure else 'estimate_kw')}."
        )
        events = _of_case(summary["events"], case)
        means = [f"{kw(row['held_kw_mean'])} in {plain(row['season'])}" for row in events]
        found.append(f"On average it holds {join(means)} through the event.")
    for row in _of_case(_rows(summary, "recharging"), case):
        if row["hours_max"]:
            found.append(
                f"Charging again breaks limits in {hours(row['hours_mean'])} of the modelled days "
                f"(up to {hours(row['hours_max'])} in a draw) that hold without EVs."
            )
        else:
            found.append(
                "Charging again, overnight and by day, breaks no screened limit that holds "
                "without EVs."
            )
        if row["short"] and row["short"] == row["short_uncontrolled"]:
            found.append(
                f"Export costs no departure its target: {whole(row['short'])} of "
                f"{whole(row['sessions'])} leave below it, by at most "
                f"{amount(row['short_kwh_max'])} kWh, the same number as with uncontrolled "
                "charging; all others leave full."
            )
        elif row["short"]:
            found.append(
                f"Not every vehicle leaves full: {whole(row['short'])} of "
                f"{whole(row['sessions'])} departures are below their target, by at most "
                f"{amount(row['short_kwh_max'])} kWh; with uncontrolled charging "
                f"{whole(row['short_uncontrolled'])} are."
            )
        else:
            found.append(
                f"Every vehicle leaves full: none of {whole(row['sessions'])} departures is below "
                "its target."
            )
    return found


def ramp_sentences(summary: Summary) -> list[str]:
    """Return where a rising export breaks a limit first, by reverse mode, and what changes it."""
    rows = [row for row in _rows(summary, "ramp") if row["asked"] == "over_voltage"]
    least: dict[tuple[str, str], Row] = {}
    for row in rows:
        if "kw" in row and (_key(row) not in least or _fails(row) < _fails(least[_key(row)])):
            least[_key(row)] = row
    own = {mode: row for (mode, change), row in least.items() if change == AS_STUDIED}
    if not own:
        return []
    first = min(own.values(), key=_fails)
    rating = kw(first["rating_kw"])
    if not is_known(first["fails_at_kw"]):
        found = [f"No voltage rises above its limit with all {rating} exported at once."]
    else:
        spread = [row["fails_at_kw"] for row in own.values() if is_known(row["fails_at_kw"])]
        over = f" ({kw_range(min(spread), max(spread))} over the reverse modes)"
        text = (
            f"Voltage rise appears first at bus {first['bus']}, phase {first['phase']}, from "
            f"{kw(first['fails_at_kw'])} of simultaneous export on{over if len(own) > 1 else ''}, "
            f"of {rating} that may export; {day_name(first['season'], first['day_type'])}, "
            f"{_clock(first['hour'])}: {value_text(first['value'], first['limit'], 'pu')}."
        )
        found = [text]
    if first["broken_before"]:
        found[0] += f" {whole(first['broken_before'])} places break it without any export."
    if len(own) > 1:
        found.append(f"By reverse mode: {'; '.join(map(_mode_text, own.values()))}.")
    for change in dict.fromkeys(change for _, change in least if change != AS_STUDIED):
        bought = [
            f"{plain(mode)} {_size(own[mode])} to {_size(row)}"
            for (mode, one), row in least.items()
            if one == change and mode in own
        ]
        found.append(f"{change[:1].upper()}{change[1:]}: {'; '.join(bought)}.")
    return [*found, *_any_limit(summary)]


def _any_limit(summary: Summary) -> list[str]:
    """Return the first limit of any kind."""
    rows = [row for row in _rows(summary, "ramp") if row["asked"] == "any" and "kw" in row]
    rows = [row for row in rows if is_known(row["fails_at_kw"])]
    if not rows:
        return []
    first = min(rows, key=_fails)
    at = f"bus {first['bus']}, phase {first['phase']}" if first["bus"] else first["element"]
    text = (
        f"Of all limits the first is {criterion_name(first['criterion'])} at {at}, from "
        f"{kw(first['fails_at_kw'])} on (reverse mode {plain(first['reverse_mode'])})."
    )
    return [text]


def _mode_text(row: Row) -> str:
    where = f", bus {row['bus']} phase {row['phase']}" if is_known(row["fails_at_kw"]) else ""
    return f"{plain(row['reverse_mode'])} {_size(row)}{where}"


def _size(row: Row) -> str:
    """Return the size at which a limit is broken, or that none is."""
    if is_known(row["fails_at_kw"]):
        return kw(row["fails_at_kw"])
    return f"none up to {kw(row['rating_kw'])}"


def _fails(row: Row) -> float:
    return float(row["fails_at_kw"]) if is_known(row["fails_at_kw"]) else float("inf")


def _key(row: Row) -> tuple[str, str]:
    return row["reverse_mode"], row["change"]


def solar_sentences(summary: Summary) -> list[str]:
    """Return the surplus that charging absorbs, the export left later, and reverse flow."""
    rows = summary["solar"]["absorbed"]
    case = _main_of([row["case"] for row in rows if row["policy"] == "managed"])
    by_run = {(row["policy"], row["case"], row["season"], row["day_type"]): row for row in rows}
    found = []
    for kind in dict.fromkeys(row["day_type"] for row in rows):
        parts, back = [], []
        for (policy, one, season, day_type), row in by_run.items():
            if (policy, one, day_type) != ("managed", case, kind) or not row["surplus_kwh"]:
                continue
            beside = by_run["uncontrolled", case, season, kind]["absorbed_kwh_mean"]
            span = kw_range(row["absorbed_kwh_min"], row["absorbed_kwh_max"])
            parts.append(
                f"{amount(row['absorbed_kwh_mean'])} ({span} by draw; uncontrolled "
                f"{amount(beside)}) of {amount(row['surplus_kwh'])} kWh in {plain(season)}"
            )
            back.append(
                f"{amount(row['reverse_hours_mean'])} instead of "
                f"{hours(row['reverse_hours_none'])} ({plain(season)})"
            )
        if parts:
            found.append(
                f"On a {plain(kind)} managed charging absorbs of the solar surplus {join(parts)}; "
                f"power flows back from the site in {join(back)}."
            )
    if not found:
        found.append("The site has no surplus: its load takes all that is generated.")
    head = {row["policy"]: row for row in summary["solar"]["head"]}
    if {"no_ev", "managed"} <= set(head):
        found.append(
            f"At the feeder head power flows back in {hours(head['no_ev']['reverse_hours'])} of "
            f"the modelled days without EVs and in {hours(head['managed']['reverse_hours'])} with "
            "managed charging."
        )
    asked = summary["study"]["export"]
    events = _of_case(summary["events"], case)
    if asked and events:
        window = asked["window"].replace("-", _DASH)
        mean = join([f"{kw(row['exported_kw_mean'])} in {plain(row['season'])}" for row in events])
        firm = join([kw(row["held_kw_in_95pct_of_days"]) for row in events])
        found.insert(
            1,
            f"Export left for {window}, {kw(asked['request_kw'])} asked for: {mean} on average; "
            f"through the whole window at least {firm} on 95 % of event-days.",
        )
    return found


def _rows(summary: Summary, name: str) -> Sequence[Row]:
    """Return a table of the pilot pack; empty in results that hold none."""
    rows: Sequence[Row] = summary.get("pilot", {}).get(name, [])
    return rows


def _of_case(rows: Sequence[Row], case: str) -> list[Row]:
    return [row for row in rows if row["case"] == case]


def _main(summary: Summary, name: str) -> str:
    return _main_of([row["case"] for row in _rows(summary, name)])


def _main_of(cases: Sequence[str]) -> str:
    """Return the case that is spoken of: expected, or the first there is."""
    return str(Case.EXPECTED) if Case.EXPECTED in cases or not cases else cases[0]


def _window(start_h: float, end_h: float) -> str:
    return f"{_clock(start_h)}{_DASH}{_clock(end_h)}"


def _clock(hour: float) -> str:
    return f"{int(hour):02d}:{round(hour % 1 * 60):02d}"
