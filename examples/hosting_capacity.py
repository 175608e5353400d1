"""Hosting capacity of two buses, export and import, hour by hour.

Run it from anywhere: ``python examples/hosting_capacity.py``.
"""

import tempfile
from pathlib import Path

import pandas as pd

from v2g_feeder.study.config import load_study
from v2g_feeder.study.hosting import run_hosting

STUDY = """
name: capacity
feeder: {model: ieee13}
base_load: {source: standard}
calendar: {seasons: {summer: [7]}, day_types: [min_day]}
screening: {limits: ica}
hosting:
  buses: ["671", "675"]
  connections: [ABC]
  check_pairs: 5
  conditions: {regulators: locked}
"""


def main() -> None:
    """Print capacity by hour, and the least of each bus with what limits it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "study.yaml"
        path.write_text(STUDY, encoding="utf-8")
        summary = run_hosting(load_study(path), Path(name) / "result", workers=1)
        tables = [
            pd.read_csv(Path(name) / "result" / f"hosting_{kind}.csv", dtype={"bus": str})
            for kind in ("capacity", "minima")
        ]
    # a capacity holds under these conditions, and under no others
    print(*summary["conditions"], sep="\n")
    hours, minima = tables
    by_hour = hours.pivot_table(index="hour", columns=["bus", "direction"], values="kw")
    print(by_hour.round(0).to_string())
    columns = ["bus", "direction", "hour", "kw", "fails_at_kw", "limiting_criterion", "status"]
    print(minima[columns].round(0).to_string(index=False))
    check = summary["check"]
    print(f"OpenDSS solved {check['checked']} answers again: {check['passes_at_kw']} pass")


if __name__ == "__main__":  # days are searched in worker processes
    main()
