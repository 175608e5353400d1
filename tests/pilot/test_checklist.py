"""Verdict and ranking, from candidates made by hand."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g_feeder.errors import InputError
from v2g_feeder.pilot import (
    ITEMS,
    Answer,
    Candidate,
    Checked,
    Item,
    Measure,
    Verdict,
    check_candidate,
    default_thresholds,
    rank,
    threshold_figures,
)


def checked(name, passed=5, points=1.0, relieved=1.0):
    answers = [("x.csv",)] * passed + [()] * (5 - passed)
    items = tuple(Item(key, evidence=files) for key, files in zip(ITEMS, answers, strict=True))
    return Checked(name, items, {}, (), Verdict.WAIT, None, points, relieved)


def test_ranking_by_items_then_points_per_mw_then_relief():
    order = [
        checked("a", 5, 9.0, 1.0),
        checked("b", 4, 1.0, 5.0),
        checked("c", 4, 1.0, 4.0),
        checked("d", 4, 1.0, math.nan),
        checked("e", 4, 2.0, 9.0),
        checked("f", 4, math.nan, 99.0),
        checked("g", 0, 1.0, 99.0),
        checked("h", 0, 1.0, 99.0),
    ]
    for shuffled in itertools.islice(itertools.permutations(order), 0, 40320, 1009):
        assert [feeder.name for feeder in rank(shuffled)] == list("abcdefgh")


def test_a_candidate_without_evidence_is_unknown_throughout():
    found = check_candidate(Candidate("bare"), default_thresholds())
    assert {item.answer for item in found.items} == {Answer.UNKNOWN}
    assert all(item.missing for item in found.items)
    assert found.verdict == Verdict.COLLECT
    assert set(found.questions.values()) == {Answer.UNKNOWN}
    assert math.isnan(found.points_per_mw)


measures = st.builds(
    Measure,
    name=st.just("m"),
    value=st.floats(-10, 10) | st.just(math.nan),
    unit=st.just(""),
    at_least=st.none() | st.floats(-10, 10),
    at_most=st.none() | st.floats(-10, 10),
)


@given(st.lists(measures, max_size=4), st.lists(st.just("x"), max_size=2), st.booleans())
def test_missing_evidence_is_never_a_pass(found, missing, evidence):
    item = Item("plug_in", tuple(found), ("f.csv",) if evidence else (), tuple(missing))
    answers = {measure.answer for measure in found}
    if Answer.FAIL in answers:
        assert item.answer == Answer.FAIL
    elif missing or not evidence or Answer.UNKNOWN in answers:
        assert item.answer == Answer.UNKNOWN
    else:
        assert item.answer == Answer.PASS


def test_every_threshold_has_a_source_and_changes():
    assert all(figure.source and figure.mark in "PDA" for figure in threshold_figures().values())
    own = default_thresholds().changed({"plugged_share": 0.9})
    assert (own.plugged_share, own.peak_share) == (0.9, 0.8)
    with pytest.raises(InputError) as caught:
        own.changed({"plugd_share": 0.9, "peak_share": 80.0})
    text = str(caught.value)
    assert "did you mean 'plugged_share'" in text
    assert "did you mean 0.8" in text
    with pytest.raises(InputError, match="after midnight"):
        own.changed({"peak_start_h": 22.0})
