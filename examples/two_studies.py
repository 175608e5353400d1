"""What a change of a study changes: two results beside each other.

The same feeder and fleet, once with homes behind services of their own and once without: an
export that looks harmless at the primary is another thing behind a transformer. Run it from
anywhere: ``python examples/two_studies.py``.
"""

import tempfile
from pathlib import Path

from v2g_feeder.report.compare import compare_results
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

STUDY = """
name: {name}
feeder: {{model: ieee13{secondaries}}}
base_load: {{source: standard, head_peak_kw: 3000}}
calendar: {{seasons: {{summer: [6, 7, 8]}}, day_types: [peak_day]}}
fleets:
  - {{name: homes, vehicles: 120, export_capable: 0.6}}
dispatch: {{export: {{window: "17:00-21:00", request_kw: 200}}}}
participation: [expected]
draws: 1
"""


def main() -> None:
    """Run both studies and print what differs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, secondaries in (("primary", ""), ("services", ", secondaries: {}")):
            path = folder / f"{kind}.yaml"
            path.write_text(STUDY.format(name=kind, secondaries=secondaries), encoding="utf-8")
            run_study(load_study(path), folder / kind, workers=1)
        found = compare_results(folder / "primary", folder / "services")

    print("went in:", *(f"{row['input']}: {row['a']} -> {row['b']}" for row in found["inputs"]))
    print("broken limits, place-hours:")
    for row in found["violations"]:
        run = f"{row['policy']}, {row['case']}"
        hours = f"{row['place_hours_a']:.0f} -> {row['place_hours_b']:.0f}"
        print(f"  {run:<24s} {row['criterion']:<16s} {hours}")


if __name__ == "__main__":  # days are solved in a process of their own
    main()
