"""The page: whole, offline, escaped, and there for every kind of result."""

from __future__ import annotations

import json
import re
import warnings
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.report import html, read_result, write_report
from v2g_feeder.report.charts import shape_charts
from v2g_feeder.report.html import begin_report
from v2g_feeder.workers import Outcome, worker_pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd
    import xarray as xr

_VOID = {"meta", "link", "br", "img", "input", "col", "hr"}


class Page(HTMLParser):
    """Collects tags, addresses and text, and refuses tags that do not pair."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def built(folder: Path) -> Page:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_report(folder)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_is_whole_and_offline(write_result: Callable[..., Path]) -> None:
    folder = write_result()
    page = built(folder)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "link" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in page.ids
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(url\(|@import|https?://)", text)
    for number in ("200\N{NO-BREAK SPACE}kW", "What does it break?", "b2.1", "reserve_soc"):
        assert number in page.text


def test_figures_are_also_files(write_result: Callable[..., Path]) -> None:
    folder = write_result()
    write_report(folder)
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"shapes-weekday.svg", "ledger.svg", "broken-limits.svg"} <= names
    assert "feeder-export-expected.svg" in names


def test_a_day_type_is_drawn_as_if_it_were_the_only_one(
    write_result: Callable[..., Path], arrays: xr.Dataset
) -> None:
    weekend = arrays["day_type"] == "weekend"
    fleet = [name for name in arrays if str(name).startswith("ev_kw_")]
    arrays = arrays.assign({name: arrays[name].where(~weekend, 5 * arrays[name]) for name in fleet})
    charts = shape_charts(read_result(write_result(arrays=arrays)))
    both = {chart.key: chart.svg for chart in charts}
    assert set(both) == {"weekday", "weekend"}
    assert both["weekday"] != both["weekend"]
    alone = arrays.isel(step=np.flatnonzero(weekend))
    (chart,) = shape_charts(read_result(write_result(arrays=alone)))
    assert chart.svg == both["weekend"]


def test_the_same_files_make_the_same_page(write_result: Callable[..., Path]) -> None:
    folder = write_result()
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_parts_that_workers_make_or_lose_are_the_same(write_result, summary, monkeypatch):
    folder = write_result()
    alone = write_report(folder).read_bytes()
    asked = []
    with worker_pool(1) as pool:
        assert write_report(folder, begin_report(folder, summary, pool)).read_bytes() == alone

        def lose(_function, jobs, **_options):
            asked.extend(key for key, _ in jobs)
            return [Outcome(key, None, "it took longer than 600 s") for key, _ in jobs]

        monkeypatch.setattr(html, "run_units", lose)
        assert write_report(folder, begin_report(folder, summary, pool)).read_bytes() == alone
    assert asked == ["shapes", "map and ledger", "counts"]


def test_the_first_parts_need_neither_tables_nor_manifest(write_result, summary):
    """They are begun before those are there, and are the same."""
    folder = write_result()
    whole = write_report(folder).read_bytes()
    tables = {path: path.read_bytes() for path in folder.glob("*.[cj]s*")}
    for path in (*tables, folder / "report.html"):
        path.unlink()
    with worker_pool(1) as pool:
        begun = begin_report(folder, summary, pool)
        outcomes = [*begun.parts]
        for path, content in tables.items():
            path.write_bytes(content)
        assert not [outcome.lost for outcome in outcomes if outcome.lost]
        assert write_report(folder, begun._replace(parts=iter(outcomes))).read_bytes() == whole


def test_names_of_users_are_escaped(
    write_result: Callable[..., Path],
    summary: dict[str, Any],
    violations: pd.DataFrame,
    hourly: pd.DataFrame,
) -> None:
    bad = "</script><script>alert(1)</script>"
    summary.update(name=bad, question=bad, notes=[bad], unknowns=[bad])
    summary["feeder"]["circuit"] = bad
    violations["bus"] = bad
    violations["node"] = bad
    hourly["worst_element"] = bad
    folder = write_result(summary, violations=violations, hourly=hourly)
    page = built(folder)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert page.tags.count("script") == 4
    assert bad in page.text


def test_a_result_without_violations(
    write_result: Callable[..., Path],
    summary: dict[str, Any],
    violations: pd.DataFrame,
    hourly: pd.DataFrame,
) -> None:
    for row in summary["harm_and_relief"]:
        row.update(hours_mean=0.0, hours_min=0.0, hours_max=0.0)
    summary["feeder"]["elements_screened"] = 1
    page = built(write_result(summary, violations=violations[:0], hourly=hourly[:0]))
    assert "2 of 3 series elements have no known rating" in page.text
    assert "no violations" not in page.text.lower()


def test_a_result_without_vehicles(
    write_result: Callable[..., Path],
    summary: dict[str, Any],
    violations: pd.DataFrame,
    hourly: pd.DataFrame,
    arrays: xr.Dataset,
) -> None:
    summary["study"].update(
        vehicles=0,
        nameplate_kw=0.0,
        export_capable_kw=0.0,
        export=None,
        runs=[{"policy": "no_ev", "case": "expected"}],
    )
    summary.update(
        events=[], ledger=[], funnel=[], shortfall=[], harm_and_relief=[], reverse_flow=[],
        head=summary["head"][:1], assumptions=[],
    )  # fmt: skip
    fleet = [str(name) for name in arrays if str(name).startswith(("ev_kw", "ledger"))]
    folder = write_result(
        summary, violations=violations[:0], hourly=hourly[:0], arrays=arrays.drop_vars(fleet)
    )
    assert "no vehicles" in built(folder).text


def test_a_result_of_which_no_step_is_valid(
    write_result: Callable[..., Path],
    summary: dict[str, Any],
    violations: pd.DataFrame,
    hourly: pd.DataFrame,
    arrays: xr.Dataset,
) -> None:
    summary["validity"]["invalid"] = summary["validity"]["steps"]
    summary.update(head=[], events=[], harm_and_relief=[])
    for name in ("head_kw", "flow_kw_range", "v_min_of_all", "v_max_of_all", "loading_max_of_all"):
        arrays[name] = arrays[name] * np.nan
    rows = violations[violations["criterion"] == "invalid"]
    folder = write_result(summary, violations=rows, hourly=hourly[:0], arrays=arrays)
    assert "gives no answer" in built(folder).text


def test_null_figures_are_printed_as_none(
    write_result: Callable[..., Path], summary: dict[str, Any]
) -> None:
    for row in summary["events"]:
        row.update(relief_kw_mean=None, relief_kw_min=None, relief_kw_max=None,
                   rebound_kw_mean=None, rebound_kw_max=None)  # fmt: skip
    for row in summary["harm_and_relief"]:
        row.update(peak_mean=None, peak_min=None, peak_max=None)
    assert "nan" not in built(write_result(summary)).text.lower().split()


def test_a_feeder_without_coordinates(
    write_result: Callable[..., Path], without_coordinates: xr.Dataset
) -> None:
    assert "img" in built(write_result(arrays=without_coordinates)).tags


def test_one_draw_has_no_ranges(
    write_result: Callable[..., Path], summary: dict[str, Any], arrays: xr.Dataset
) -> None:
    summary["study"]["draws"] = 1
    assert built(write_result(summary, arrays=arrays.drop_vars("flow_kw_range"))).text


def test_a_bus_called_na_keeps_its_name(
    write_result: Callable[..., Path], violations: pd.DataFrame
) -> None:
    violations["bus"] = "NA"
    result = read_result(write_result(violations=violations))
    assert set(result.violations["bus"]) == {"NA"}


def test_every_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_report(tmp_path)
    assert len(caught.value.problems) == 5


def test_another_schema_is_refused(
    write_result: Callable[..., Path], summary: dict[str, Any]
) -> None:
    folder = write_result(summary | {"schema_version": 999})
    with pytest.raises(InputError, match="999"):
        write_report(folder)


def test_the_choice_of_counts_holds_every_run_and_criterion(
    write_result: Callable[..., Path],
) -> None:
    text = write_report(write_result()).read_text(encoding="utf-8")
    source = re.search(r'id="counts">(.*?)</script>', text, re.DOTALL)
    assert source is not None
    data = json.loads(source.group(1))["data"]
    assert data["export-expected"]["over_voltage"]["count"][0][17] == pytest.approx(1.5)
