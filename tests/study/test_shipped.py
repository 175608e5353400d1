"""The shipped studies: all are valid, and each answers its question in its first line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from v2g_feeder.report.answer import answer
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

STUDIES = Path(__file__).parents[2] / "studies"
FIRST = {
    "aggregated_contract": r"(Yes|No|In part): of 60 kW contracted, .* for 1 h, .* for 4 h",
    "evening_overload": r"(Yes|No|Not dependably): in \w+ most .* closes on \d+ of \d+ event-days",
    "school_bus_depot": r"At 17:00.21:00, on 95 % of event-days \(with 95 % confidence\), the",
    "weak_end_of_line": r"Voltage rise appears first at bus \d+, phase [ABC], from .* kW",
    "workplace_solar": r"On a weekday managed charging absorbs .* kWh in spring",
}


def test_every_shipped_study_is_valid_and_has_a_question():
    files = sorted(STUDIES.glob("*.yaml"))
    assert {*FIRST, "evening_export"} <= {path.stem for path in files}
    for path in files:
        assert load_study(path).content.question


@pytest.mark.long
@pytest.mark.parametrize("name", list(FIRST))
def test_the_first_line_answers_the_question(name, tmp_path):
    study = load_study(STUDIES / f"{name}.yaml")
    summary = run_study(study, tmp_path / "result", workers=2)
    assert not summary["validity"]["lost_units"]
    first = answer(summary)[0].replace("\N{NO-BREAK SPACE}", " ")
    assert re.match(FIRST[name], first), first
