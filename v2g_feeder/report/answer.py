"""The answer in sentences: pure functions of ``summary.json``.

Managed charging comes first, then export, then harm, then the bounds. A study with steps that
failed or ratings that are unknown is never said to be free of violations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.conventions import Case, Policy
from v2g_feeder.report.first_lines import credit_sentences, first_lines
from v2g_feeder.report.words import (
    amount,
    criterion_name,
    hours,
    is_bounding,
    is_known,
    join,
    kw,
    kw_range,
    mid_sentence,
    plain,
    run_name,
    whole,
)
from v2g_feeder.screening import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "answer",
    "binding_limit",
    "bounding_sentences",
    "caveats",
    "confidence_sentences",
    "curtailed_sentences",
    "export_sentences",
    "firm_sentences",
    "harm_sentences",
    "headline",
    "main_case",
    "managed_sentences",
    "measures",
    "modelled_hours",
]

_WHY_FALLS: Final = "who states an earlier departure than the real one is kept full for it"
_WHY_RISES: Final = "who leaves before the stated departure is drawn on and leaves short"


def answer(summary: Mapping[str, Any]) -> list[str]:
    """Return the whole answer, one statement a line: what the first screen says, for a terminal."""
    own = first_lines(summary)
    parts = [
        ("Managed charging", managed_sentences(summary)),
        ("Export", export_sentences(summary)),
        ("Capacity credit", credit_sentences(summary)),
        ("Harm", harm_sentences(summary)),
        ("If all acted at once (bounds that ignore state of charge)", bounding_sentences(summary)),
        ("Binding limit", [f"{binding_limit(summary)}."]),
        ("Confidence", confidence_sentences(summary)),
    ]
    lines = [f"{name}: {' '.join(sentences)}" for name, sentences in parts if sentences]
    return [*own, headline(summary), *lines]


def modelled_hours(summary: Mapping[str, Any]) -> float:
    """Return the hours of the modelled days."""
    study = summary["study"]
    return float(study["steps"] * study["step_minutes"] / 60)


def measures(
    summary: Mapping[str, Any], policy: str, case: str, outcome: str
) -> list[Mapping[str, Any]]:
    """Return the rows of harm or relief of a run that are not zero, most hours first."""
    rows = [
        row
        for row in summary["harm_and_relief"]
        if (row["policy"], row["case"], row["outcome"]) == (policy, case, outcome)
        and row["hours_max"]
    ]
    return sorted(rows, key=lambda row: (-row["hours_mean"], row["criterion"]))


def caveats(summary: Mapping[str, Any]) -> list[str]:
    """Return why this result cannot be called free of violations; empty if it can."""
    validity, feeder = summary["validity"], summary["feeder"]
    found = []
    if validity["invalid"]:
        found.append(
            f"{whole(validity['invalid'])} of {whole(validity['steps'])} solved steps failed the "
            "validity gate and are not screened"
        )
    if validity["lost_units"]:
        found.append(f"{len(validity['lost_units'])} units of work were lost")
    missing = feeder["elements"] - feeder["elements_screened"]
    if missing:
        found.append(
            f"{whole(missing)} of {whole(feeder['elements'])} series elements have no known rating"
        )
    return found


def main_case(summary: Mapping[str, Any]) -> str:
    """Return the case that the answer speaks of: expected, or the first that was run."""
    cases = _export_cases(summary)
    return str(Case.EXPECTED) if Case.EXPECTED in cases or not cases else cases[0]


def headline(summary: Mapping[str, Any]) -> str:
    """Return the answer in one sentence."""
    validity, study = summary["validity"], summary["study"]
    if validity["steps"] and validity["invalid"] >= validity["steps"]:
        return "No step could be solved to a valid state: this study gives no answer."
    if not study["vehicles"]:
        return "The study holds no vehicles: its figures are those of the feeder alone."
    parts = []
    before, after = _peak(summary, Policy.UNCONTROLLED), _peak(summary, Policy.MANAGED)
    if before and after:
        fall = before["peak_kw_mean"] - after["peak_kw_mean"]
        verb = "takes" if fall >= 0 else "adds"
        end = "off" if fall >= 0 else "to"
        parts.append(f"Managed charging {verb} {kw(abs(fall))} {end} the feeder's peak")
    events = _events(summary, main_case(summary))
    if events:
        held = join([f"{kw(row['held_kw_mean'])} in {plain(row['season'])}" for row in events])
        asked = kw(events[0]["request_kw"])
        parts.append(
            f"{'export' if parts else 'Export'}, asked for {asked}, holds {held} "
            "through the event window"
        )
    if not parts:
        return "No pair of runs can be compared: see the head peaks below."
    return "; ".join(parts) + "."


def managed_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what managed charging does against uncontrolled charging."""
    none = _peak(summary, Policy.NO_EV)
    before, after = _peak(summary, Policy.UNCONTROLLED), _peak(summary, Policy.MANAGED)
    found = []
    if before:
        start = f" from {kw(none['peak_kw_mean'])}" if none else ""
        found.append(
            f"Uncontrolled charging moves the head's peak{start} to {_peak_text(before)}, "
            f"{plain(before['peak_at'])}."
        )
    if not after:
        return [*found, "Managed charging was not run."] if summary["study"]["vehicles"] else found
    if before:
        fall = before["peak_kw_mean"] - after["peak_kw_mean"]
        more = "less" if fall >= 0 else "more"
        found.append(f"Managed charging brings it to {_peak_text(after)}: {kw(abs(fall))} {more}.")
    else:
        found.append(f"With managed charging the head peaks at {_peak_text(after)}.")
    relief = measures(summary, Policy.MANAGED, after["case"], Outcome.RELIEF)
    harm = measures(summary, Policy.MANAGED, after["case"], Outcome.HARM)
    found.append(
        f"It cures or eases {_hours_list(relief)}; it breaks or worsens {_hours_list(harm)}."
    )
    return found


def export_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what the export events deliver, relieve and leave behind."""
    asked, case = summary["study"]["export"], main_case(summary)
    events = _events(summary, case)
    if asked is None:
        return ["The study has no export event."]
    if not events:
        return ["No export event could be compared with managed charging."]
    window = asked["window"].replace("-", "\N{EN DASH}")
    days = events[0]["event_days"]
    held = join([f"{kw(row['held_kw_mean'])} in {plain(row['season'])}" for row in events])
    firm_by = [(row["held_kw_in_95pct_of_days"], plain(row["season"])) for row in events]
    firm = join([f"{kw(amount_kw)} ({season})" for amount_kw, season in firm_by])
    found = []
    found.append(
        f"Asked for {kw(asked['request_kw'])} at {window}, {plain(case)} participation holds "
        f"{held} on average; in 95 % of event-days ({whole(days)} a season) at least {firm}."
    )
    if any(row["case"] != case for row in summary["events"]):
        low = min(summary["events"], key=lambda row: row["held_kw_mean"])
        high = max(summary["events"], key=lambda row: row["held_kw_mean"])
        found.append(
            f"Over the cases the average runs from {kw(low['held_kw_mean'])} "
            f"({plain(low['case'])}) to {kw(high['held_kw_mean'])} ({plain(high['case'])})."
        )
    if case != Case.FIRM:
        found += firm_sentences(summary)
    found += curtailed_sentences(summary)
    found.append(
        f"Against managed charging the head is {join([*map(_relief_text, events)])} in the window."
    )
    rebounds = [row for row in events if is_known(row["rebound_kw_mean"])]
    if rebounds:
        most = max(rebounds, key=lambda row: row["rebound_kw_mean"])
        found.append(
            f"Afterwards it is up to {kw(most['rebound_kw_mean'])} higher (rebound; "
            f"{kw(most['rebound_kw_max'])} in the worst draw, {plain(most['season'])})."
        )
    return found


def curtailed_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what the chargers' curves cut of the export that is asked for."""
    rows = {(row["policy"], row["case"]): row for row in summary.get("curtailed", ())}
    row = rows.get((str(Policy.EXPORT), main_case(summary)))
    if row is None:
        return []
    if not row["curtailed_kwh_max"]:
        return ["The chargers' own voltage control cuts none of it."]
    share = 100 * row["curtailed_kwh_mean"] / row["asked_kwh_mean"]
    words = (
        f"Of its export over the modelled days, {row['asked_kwh_mean']:.0f} kWh, the chargers' own "
        f"voltage control cuts {amount(row['curtailed_kwh_mean'])} kWh ({amount(share)} %; up to "
        f"{kw(row['curtailed_kw_max'])} at once), which nothing makes up for; what is said above "
        "is before the cut, the head and every voltage after it."
    )
    return [words]


def firm_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what firm participation holds, and what the error of stated departures takes."""
    found = []
    for row in (row for row in summary["events"] if row["case"] == Case.FIRM):
        known = row.get("held_kw_in_95pct_of_days_departures_known")
        firm, season = row["held_kw_in_95pct_of_days"], plain(row["season"])
        if row.get("departures") != "stated" or not is_known(known):
            found.append(f"Firm participation holds {kw(firm)} in 95 % of event-days in {season}.")
            continue
        mean = row.get("held_kw_mean_departures_known")
        now, means = row["held_kw_mean"], ""
        if is_known(mean) and amount(mean) != amount(now):
            means = f"; on average it {_moves(mean, now)} from {kw(mean)} to {kw(now)}"
        if amount(known) == amount(firm):
            found.append(
                f"Firm participation holds {kw(firm)} in 95 % of event-days in {season}, whether "
                f"departures are known or as drivers state them{means}."
            )
        else:
            found.append(
                f"With departures as drivers state them instead of known, firm participation in "
                f"95 % of event-days {_moves(known, firm)} from {kw(known)} to {kw(firm)} in "
                f"{season}{means}: {_WHY_FALLS if firm < known else _WHY_RISES}."
            )
    return found


def _moves(before: float, after: float) -> str:
    return "falls" if after < before else "rises"


def harm_sentences(
    summary: Mapping[str, Any], worst: Mapping[tuple[str, str], str] | None = None
) -> list[str]:
    """Return what export breaks against managed charging.

    Parameters
    ----------
    summary
        Contents of ``summary.json``.
    worst
        The worst broken place of a (policy, case), in words.
    """
    cases = _export_cases(summary)
    if not cases:
        return _clean(summary, "no run with export to judge") if _harmless(summary) else []
    case = main_case(summary)
    rows = measures(summary, Policy.EXPORT, case, Outcome.HARM)
    found = []
    if rows:
        place = (worst or {}).get((str(Policy.EXPORT), case), "")
        found.append(
            f"Export ({plain(case)}) breaks or worsens {_hours_list(rows, with_range=True)} that "
            f"managed charging does not{f'; worst: {place}' if place else ''}."
        )
    else:
        found += _clean(
            summary, f"export ({plain(case)}) newly breaks or worsens no screened limit"
        )
    others = [other for other in cases if other != case]
    ranked = sorted(others, key=lambda other: -_harm_hours(summary, other))
    if ranked and _harm_hours(summary, ranked[0]) > _harm_hours(summary, case):
        rows = measures(summary, Policy.EXPORT, ranked[0], Outcome.HARM)
        found.append(f"Most harm: {plain(ranked[0])} participation, {_hours_list(rows)}.")
    return found


def bounding_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what the bounding cases break; they ignore state of charge."""
    study = summary["study"]
    power = {
        str(Case.COINCIDENT_EXPORT): kw(study["export_capable_kw"]),
        str(Case.COINCIDENT_CHARGE): kw(study["nameplate_kw"]),
    }
    found = []
    for row in summary["head"]:
        policy, case = row["policy"], row["case"]
        if not is_bounding(case):
            continue
        rows = measures(summary, policy, case, Outcome.HARM)
        shown = f" ({power[case]})" if case in power else ""
        head = (
            f"head down to {kw(row['lowest_kw'])}"
            if case == Case.COINCIDENT_EXPORT
            else f"head peak {kw(row['peak_kw_mean'])}"
        )
        found.append(f"{run_name(policy, case)}{shown}: {head}; breaks {_hours_list(rows)}.")
    return found


def confidence_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return how far the numbers carry: draws, validity, unknowns."""
    draws = summary["study"]["draws"]
    missed = 1 - 0.05 ** (1 / draws) if draws else 1.0
    found = []
    if summary["study"]["vehicles"]:
        found.append(
            f"{draws} {'draw' if draws == 1 else 'draws'} of drivers' days, one placement of "
            f"vehicles; what no draw shows may still occur in up to {100 * missed:.0f} % of draws "
            "(95 % confidence)."
        )
    total = whole(modelled_hours(summary))
    found.append(f"Hours are of the {total} modelled, mean of draws; not hours a year.")
    validity = summary["validity"]
    reasons = caveats(summary)
    if reasons:
        found.append(f"Incomplete: {join(reasons)}.")
    else:
        found.append(
            f"All {whole(validity['steps'])} solved steps are valid, every rating is known."
        )
    if validity["flagged"]:
        found.append(
            f"{whole(validity['flagged'])} of {whole(validity['steps'])} steps are flagged (a load "
            "model switched at high voltage) and still screened."
        )
    count = len(summary["unknowns"])
    if count:
        found.append(f"{count} {'unknown is' if count == 1 else 'unknowns are'} listed below.")
    return found


def binding_limit(summary: Mapping[str, Any]) -> str:
    """Return the criterion that export meets first, with the run that shows it.

    The run is the first that breaks or worsens any limit of: export in the main case, in the other
    participation cases, in the bounds. The criterion is the one with the most hours.
    """
    if not _export_cases(summary, bounds=True):
        return "Not determined: export was not run"
    cases = [main_case(summary), *_export_cases(summary), *_export_cases(summary, bounds=True)]
    for case in dict.fromkeys(cases):
        rows = measures(summary, Policy.EXPORT, case, Outcome.HARM)
        if rows:
            name = criterion_name(rows[0]["criterion"]).capitalize()
            run = mid_sentence(run_name(Policy.EXPORT, case))
            return f"{name}, with the most hours of harm in {run}"
    return "None met at the places screened"


def _peak(summary: Mapping[str, Any], policy: str) -> Mapping[str, Any] | None:
    """Return the head peak of a policy, in the expected case if that was run."""
    rows = [
        row for row in summary["head"] if row["policy"] == policy and not is_bounding(row["case"])
    ]
    rows.sort(key=lambda row: row["case"] != Case.EXPECTED)
    return rows[0] if rows else None


def _peak_text(row: Mapping[str, Any]) -> str:
    """Return a peak with its range over draws."""
    spread = kw_range(row["peak_kw_min"], row["peak_kw_max"])
    return kw(row["peak_kw_mean"]) + (f" ({spread})" if " to " in spread else "")


def _export_cases(summary: Mapping[str, Any], *, bounds: bool = False) -> list[str]:
    """Return the participation cases of export, or its bounds."""
    return [
        run["case"]
        for run in summary["study"]["runs"]
        if run["policy"] == Policy.EXPORT and (bounds or not is_bounding(run["case"]))
    ]


def _events(summary: Mapping[str, Any], case: str) -> list[Mapping[str, Any]]:
    """Return the events of a case, a row a season."""
    return [row for row in summary["events"] if row["case"] == case]


def _relief_text(row: Mapping[str, Any]) -> str:
    """Return relief at the head in a season, with its range over draws."""
    fall, low, high = row["relief_kw_mean"], row["relief_kw_min"], row["relief_kw_max"]
    if not is_known(fall):
        return f"not known in {plain(row['season'])} (no valid step)"
    if fall >= 0:
        return f"{kw(fall)} lower ({kw_range(low, high)}) in {plain(row['season'])}"
    return f"{kw(-fall)} higher ({kw_range(-high, -low)}) in {plain(row['season'])}"


def _hours_list(rows: Sequence[Mapping[str, Any]], *, with_range: bool = False) -> str:
    """Return hours by criterion in words."""
    if not rows:
        return "nothing that was screened"
    parts = []
    for row in rows:
        spread = f"{amount(row['hours_min'])} to {amount(row['hours_max'])}"
        shown = f" ({spread})" if with_range and row["draws"] > 1 else ""
        parts.append(f"{criterion_name(row['criterion'])} in {hours(row['hours_mean'])}{shown}")
    return join(parts)


def _harm_hours(summary: Mapping[str, Any], case: str) -> float:
    """Return hours of harm of an export case, added over criteria, for ranking."""
    rows = measures(summary, Policy.EXPORT, case, Outcome.HARM)
    return float(sum(row["hours_mean"] for row in rows))


def _harmless(summary: Mapping[str, Any]) -> bool:
    """Whether no run shows any harm."""
    return not any(
        row["hours_max"] for row in summary["harm_and_relief"] if row["outcome"] == Outcome.HARM
    )


def _clean(summary: Mapping[str, Any], statement: str) -> list[str]:
    """Return a statement of no harm, with what keeps it from being a clean result."""
    reasons = caveats(summary)
    text = f"{statement[0].upper()}{statement[1:]}"
    if summary["validity"]["invalid"]:
        text += " in its valid steps"
    return [f"{text}. This is not a clean result: {join(reasons)}." if reasons else f"{text}."]
