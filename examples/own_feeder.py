"""A model of your own, before any study: what it holds, how it stands, what to be warned of.

Run it from anywhere: ``python examples/own_feeder.py [Master.dss] [drawing.svg]``. Without a file
it looks at the shipped IEEE 34 node feeder.
"""

import sys
from pathlib import Path

from v2g_feeder.report.figures import svg_text
from v2g_feeder.study.look import feeder_figure, look_at_feeder


def main() -> None:
    """Print what the model holds and its findings; draw it if a file is named."""
    model = sys.argv[1] if len(sys.argv) > 1 else "ieee34"
    drawing = sys.argv[2] if len(sys.argv) > 2 else ""
    look = look_at_feeder(model, Path.cwd())
    for name, value in look.figures().items():
        print(f"{name:>24s}  {value:.4g}" if isinstance(value, float) else f"{name:>24s}  {value}")
    for finding in look.feeder.findings:
        print(f"{finding.kind}: {finding.message}")

    # the tables that every later stage reads: here the buses farthest out
    farthest = look.feeder.buses.sort_values("km", ascending=False).head(3)
    print(farthest[["km", "kv_base_ln", "phase", "impedance_pu"]].round(3).to_string())
    if drawing:
        Path(drawing).write_text(svg_text(feeder_figure(look)), encoding="utf-8")


if __name__ == "__main__":  # the model is read in a process of its own
    main()
