"""The report is used in headless Chromium: slider, hover, choice, sort and filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from v2g_feeder.report import write_report

from .browser import drive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELPERS = """
const at = (id) => document.getElementById(id);
const set = async (id, value, kind = "change") => {
  at(id).value = value;
  at(id).dispatchEvent(new Event(kind, { bubbles: true }));
  await later();
};
const wait = async (test) => { for (let i = 0; i < 100 && !test(); i += 1) await later(); };
await wait(() => !at("map").hidden);
"""


@pytest.fixture
def page(write_result: Callable[..., Path]) -> Path:
    return write_report(write_result())


def test_the_map_follows_slider_day_run_and_pointer(page: Path) -> None:
    found = drive(
        page,
        HELPERS
        + """
const dots = () => [...at("map-svg").querySelectorAll("path")]
  .filter((path) => path.getAttribute("d") && /h0/.test(path.getAttribute("d")))
  .map((path) => path.getAttribute("stroke"));
const out = { hidden: [at("map").hidden, at("map-still").hidden] };
out.all = at("map-count").textContent;
out.dots = dots();
await set("map-hour", 16, "input");
out.hour = at("map-hour-name").textContent;
out.calm = at("map-count").textContent;
await set("map-hour", 17, "input");
await set("map-day", 1);
out.weekend = at("map-count").textContent;
await set("map-day", 0);
out.seventeen = at("map-count").textContent;
const box = at("map-svg").getBoundingClientRect();
const matrix = at("map-svg").getScreenCTM();
const place = new DOMPoint(1000, 0).matrixTransform(matrix);
const where = { clientX: place.x, clientY: place.y, bubbles: true };
at("map-svg").dispatchEvent(new PointerEvent("pointermove", where));
out.hover = at("map-told").textContent;
at("map-svg").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
out.key = at("map-told").textContent;
await set("map-find", "B2");
out.find = at("map-told").textContent;
await set("map-run", "no_ev-expected");
out.run = at("map-told").textContent;
at("map-in").click();
out.nearer = at("map-svg").getAttribute("viewBox").split(" ").map(Number)[2];
at("map-all").click();
out.whole = at("map-svg").getAttribute("viewBox").split(" ").map(Number)[2];
return out;
""",
    )
    assert found["hidden"] == [False, True]
    assert found["all"] == "2 of 3 places break a limit"
    assert found["hour"] == "16:00"
    assert found["calm"] == found["weekend"] == "0 of 3 places break a limit"
    assert found["seventeen"] == "2 of 3 places break a limit"
    assert found["hover"].startswith("Bus b2: 1.070 pu farthest from 1; Line.l2 130 %")
    assert "at this place, Line.l3 rating unknown" in found["hover"]
    assert found["hover"].endswith("new or worse.")
    assert found["key"].startswith("Bus b1: 1.020 pu")
    assert found["find"] == found["hover"]
    assert "broken" not in found["run"]
    assert found["nearer"] < found["whole"] == 1040
    assert "#b5480f" in found["dots"]


def test_heat_map_tables_and_choices(page: Path) -> None:
    found = drive(
        page,
        HELPERS
        + """
const heat = at("count-table").tBodies[0];
const cell = heat.rows[0].querySelectorAll("td")[17];
const out = { count: cell.textContent, shade: cell.className };
cell.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
out.told = at("count-told").textContent;
cell.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
out.right = at("count-told").textContent;
await set("count-run", "export-high");
out.none = !at("count-none").hidden && cell.textContent === "";
const table = document.querySelector("#shapes table.wide");
const column = () => [...table.tBodies[0].rows].map((row) => row.cells[1].textContent);
out.before = column();
const sort = table.tHead.rows[0].cells[1].querySelector("button");
sort.click();
out.up = column();
out.aria = table.tHead.rows[0].cells[1].ariaSort;
sort.click();
out.down = column();
sort.click();
out.again = column();
const field = document.querySelector(".filter input");
out.filter = Boolean(field);
return out;
""",
        size="390,844",
    )
    assert found["count"] == "1.5"
    assert found["shade"] == "k2"
    assert found["told"].startswith("winter weekday 17:00: 1.5 places, mean of draws; worst 1.0600")
    assert found["right"].startswith("winter weekday 18:00: 0.2 places")
    assert found["none"]
    assert found["up"] == sorted(found["before"], key=lambda text: float(text.replace(",", "")))
    assert found["down"] == found["up"][::-1]
    assert found["again"] == found["before"]
    assert found["aria"] == "ascending"


def test_filter_keeps_the_rows_with_all_words(
    write_result: Callable[..., Path], summary: dict[str, object]
) -> None:
    row = summary["assumptions"][0]  # type: ignore[index]
    summary["assumptions"] = [row | {"name": f"figure_{number}"} for number in range(12)]
    found = drive(
        write_report(write_result(summary)),
        """
const region = document.querySelector("#assumptions .scroll");
const line = region.previousElementSibling;
const field = line.querySelector("input");
field.value = "FIGURE_1 fleet";
field.dispatchEvent(new Event("input"));
const rows = [...region.querySelectorAll("tbody tr")];
return {
  shown: rows.filter((row) => !row.hidden).map((row) => row.cells[1].textContent),
  told: line.querySelector("output").textContent,
};
""",
    )
    assert found["shown"] == ["figure_1", "figure_10", "figure_11"]
    assert found["told"] == "3 of 12 rows"


def test_nothing_is_wider_than_a_phone(page: Path) -> None:
    found = drive(
        page,
        HELPERS
        + """
return {
  page: document.documentElement.scrollWidth,
  out: [...document.querySelectorAll("main *")].filter((part) =>
    part.getBoundingClientRect().right > window.innerWidth + 1 && !part.closest(".scroll")
  ).map((part) => part.tagName + "." + part.className),
  width: window.innerWidth,
};
""",
        size="390,844",
    )
    assert found["page"] <= found["width"]
    assert found["out"] == []
