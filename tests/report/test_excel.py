"""The workbook, read back by another library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.errors import InputError
from v2g_feeder.report.excel import hour_ending, write_workbook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def sheet(path: Path, name: str) -> pd.DataFrame:
    rows = list(openpyxl.load_workbook(path)[name].values)
    return pd.DataFrame(rows[1:], columns=list(rows[0]))


def test_every_sheet_is_a_table_with_its_figures(write_result: Callable[..., Path]) -> None:
    folder = write_result()
    path = folder / "out" / "made-up.xlsx"
    names = write_workbook(folder, path)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == names
    for one in book.worksheets:
        assert len(one.tables) == 1
        assert one.freeze_panes == "A2"
    head = sheet(path, "head")
    assert head.loc[head["policy"] == "managed", "peak_kw_mean"].item() == 1100
    about = sheet(path, "about").set_index("about")["value"]
    assert about["content_sha256"] == "0" * 64
    assert "hour-beginning" in about["hours"]
    assert about["not known"] == "protection is not screened"


def test_a_place_stands_once_a_run_with_its_worst_row(write_result: Callable[..., Path]) -> None:
    folder = write_result()
    write_workbook(folder, folder / "x.xlsx")
    places = sheet(folder / "x.xlsx", "by_place")
    mine = places[(places["case"] == "expected") & (places["node"] == "b2.1")]
    # two of four draws break it in one hour
    assert mine["place_hours"].item() == 0.5
    assert (mine["draws_with"].item(), mine["draws"].item()) == (2, 4)
    assert mine["value"].item() == 1.06
    assert "b1.1" not in set(places["node"])  # cured
    assert len(places) == 5


def test_load_shapes_have_the_range_over_draws(write_result: Callable[..., Path]) -> None:
    folder = write_result()
    write_workbook(folder, folder / "x.xlsx")
    shapes = sheet(folder / "x.xlsx", "load_shapes")
    mine = shapes[(shapes["policy"] == "export") & (shapes["case"] == "high")]
    assert len(mine) == 96
    # two points of 0, 1, 2, 3 kW by draw
    assert mine["fleet_kw_mean"].iloc[0] == pytest.approx(3.0)
    assert mine["fleet_kw_p95"].iloc[0] == pytest.approx(5.7)
    assert mine["head_kw_p05"].iloc[0] == 1055


def test_hours_by_their_end(write_result: Callable[..., Path]) -> None:
    folder = write_result()
    write_workbook(folder, folder / "x.xlsx", ending=True)
    hours = sheet(folder / "x.xlsx", "by_hour")
    assert list(hours["hour_ending"]) == [18, 19]
    assert not {"hour", "minute", "interval"} & set(hours)
    assert set(sheet(folder / "x.xlsx", "head")["peak_at"]) == {"winter peak_day HE19"}
    assert "hour-ending" in sheet(folder / "x.xlsx", "about").set_index("about")["value"]["hours"]
    quarter = hour_ending(pd.DataFrame({"hour": [23, 23], "minute": [0, 45], "kw": [1, 2]}), 15)
    assert quarter.to_dict("list") == {"hour_ending": [24, 24], "interval": [1, 4], "kw": [1, 2]}


def test_no_cell_runs_or_opens(write_result: Callable[..., Path], summary: dict[str, Any]) -> None:
    summary["head"][0]["peak_at"] = '=HYPERLINK("http://x")'
    summary["question"] = "=1+1"
    folder = write_result(summary)
    write_workbook(folder, folder / "x.xlsx")
    book = openpyxl.load_workbook(folder / "x.xlsx")
    cells = [cell for one in book.worksheets for row in one.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    assert '=HYPERLINK("http://x")' in {cell.value for cell in cells}


def test_a_folder_of_tables(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"name": "h", "conditions": ["limits: ica"]}')
    (tmp_path / "hosting_minima.csv").write_text("bus,hour,kw\nNA,3,10.5\n")
    assert write_workbook(tmp_path, tmp_path / "h.xlsx") == ["about", "hosting_minima"]
    assert sheet(tmp_path / "h.xlsx", "hosting_minima").to_dict("list") == {
        "bus": ["NA"], "hour": [3], "kw": [10.5]
    }  # fmt: skip


def test_the_command_says_what_it_wrote(write_result: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_result()
    run = CliRunner()
    done = run.invoke(main, ["excel", str(folder), "--hour-ending"])
    assert done.exit_code == 0, done.output
    assert "by_place" in done.output
    assert (folder / f"{folder.name}.xlsx").is_file()
    assert run.invoke(main, ["excel", str(folder), "--out", "x.ods"]).exit_code == 3
    with pytest.raises(InputError, match="not a result folder"):
        write_workbook(tmp_path / "none", tmp_path / "x.xlsx")
