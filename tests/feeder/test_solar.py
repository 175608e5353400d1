"""Generation of arrays: limit cases of sun and clouds, and the yield of a clear day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from v2g_feeder.calendar import season_calendar
from v2g_feeder.feeder.solar import SolarArray, solar_figures, solar_shape

ARRAY = SolarArray(kw=100.0, latitude=34.05, longitude=-117.75)
YEAR = season_calendar({"winter": [12, 1, 2], "summer": [6, 7, 8]}, ["weekday"])


def days(array, calendar=YEAR):
    return solar_shape(array, calendar).reshape(len(calendar.days), -1)


def test_a_clear_day():
    winter, summer = days(ARRAY)
    assert (winter >= 0).all()
    assert (summer <= 1).all()
    assert winter[:6].max() == winter[18:].max() == 0.0
    assert 11 <= winter.argmax() <= 12  # solar noon is at 11:53 on that day and longitude
    assert 6.0 < summer.sum() < 7.0  # kWh a kW, tilted 20 degrees, under a clear sky in July
    assert 4.0 < winter.sum() < 5.0


def test_clouds_scale_and_a_shorter_step_keeps_the_energy():
    assert solar_shape(replace(ARRAY, clear_share=0.6), YEAR) == pytest.approx(
        0.6 * solar_shape(ARRAY, YEAR)
    )
    fine = season_calendar({"winter": [12, 1, 2], "summer": [6, 7, 8]}, ["weekday"], 15)
    assert days(ARRAY, fine).sum() / 4 == pytest.approx(days(ARRAY).sum())
    assert not solar_shape(replace(ARRAY, clear_share=0.0), YEAR).any()


def test_the_south_has_its_summer_in_december():
    north = days(ARRAY)
    south = days(replace(ARRAY, latitude=-34.05, azimuth=0.0))
    assert north[1].sum() > north[0].sum()
    assert south[0].sum() > south[1].sum()


def test_west_is_later_and_a_wall_that_faces_north_has_little():
    def middle(shape):
        return float((shape * np.arange(24)).sum() / shape.sum())

    (east, _), (west, _) = (days(replace(ARRAY, azimuth=angle)) for angle in (90.0, 270.0))
    assert middle(west) > middle(east) + 0.5
    (wall, _) = days(replace(ARRAY, azimuth=0.0, tilt=90.0))
    assert wall.max() < 0.2


def test_every_figure_has_a_source_and_problems_name_the_key():
    assert {figure["mark"] for figure in solar_figures().values()} <= {"P", "A"}
    wrong = replace(ARRAY, latitude=91.0, tilt=-1.0)
    assert [problem.where for problem in wrong.validate("solar[0]")] == [
        "solar[0].latitude",
        "solar[0].tilt",
    ]
