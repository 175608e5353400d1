"""``v2g-feeder feeder``: a look at a model before any study."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from v2g_feeder.cli.shown import json_option, show_table

if TYPE_CHECKING:
    from v2g_feeder.study.look import FeederLook

__all__ = ["feeder"]

_DRAWINGS: Final = (".svg", ".png", ".pdf")


@click.command()
@click.argument("model")
@click.option(
    "--draw",
    type=click.Path(path_type=Path),
    help="One-line drawing, .svg, .png or .pdf; default results/CIRCUIT-feeder.svg.",
)
@json_option
def feeder(model: str, draw: Path | None, *, as_json: bool) -> None:
    """Look at MODEL: a shipped feeder, or an OpenDSS master file.

    What the model holds, its nominal load solved, and what a study must know about it: ratings
    that are not stated, transformers that may have lost their regulator controls, islands.
    """
    from v2g_feeder.errors import InputError, Problem
    from v2g_feeder.store import plain
    from v2g_feeder.study.look import look_at_feeder

    if draw is not None and draw.suffix.lower() not in _DRAWINGS:
        hint = f"end it in {', '.join(_DRAWINGS)}"
        raise InputError(Problem("--draw", f"{draw.name!r} is no drawing", hint))
    look = look_at_feeder(model, Path.cwd())
    if draw is None and not as_json:
        name = re.sub(r"[^\w.-]+", "-", look.feeder.name)
        draw = Path("results") / f"{name}-feeder.svg"
    if draw is not None:
        _draw(look, draw)
    if as_json:
        findings = [
            {"kind": str(found.kind), "message": found.message, "count": found.count,
             "elements": list(found.elements)}
            for found in look.feeder.findings
        ]  # fmt: skip
        click.echo(json.dumps(plain(look.figures() | {"findings": findings})))
        return
    _print(model, look)
    click.echo(f"\ndrawing: {draw}")
    name = f'"{model}"' if " " in model else model
    click.echo(
        f"next: v2g-feeder init mine.yaml --model {name} (--buses: where the chargers stand)"
    )


def _draw(look: FeederLook, path: Path) -> None:
    """Write the drawing."""
    from v2g_feeder.report.figures import svg_text
    from v2g_feeder.store import write_text
    from v2g_feeder.study.look import feeder_figure

    figure = feeder_figure(look)
    if path.suffix.lower() == ".svg":
        write_text(path, svg_text(figure))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _print(model: str, look: FeederLook) -> None:
    """Print the figures and the findings."""
    rows = [[_words(name), _shown(value)] for name, value in look.figures().items()]
    show_table(f"{model}, at its nominal load, controls settled", ["", "in the model"], rows)
    if not look.feeder.findings:
        click.echo("\nnothing in the model that a study must be warned of")
    for found in look.feeder.findings:
        click.echo(f"\n{found.kind}: {found.message}")
        if found.elements:
            more = ", ..." if found.count > len(found.elements) else ""
            click.echo(f"  {', '.join(look.named(name) for name in found.elements)}{more}")


def _words(name: str) -> str:
    """Return a figure's name with its unit at the end: ``load kW``."""
    units = {
        "kw": "kW",
        "kvar": "kvar",
        "pct": "%",
        "km": "km",
        "pu": "pu",
        "v": "voltage",
        "hz": "Hz",
    }
    return " ".join(units.get(part, part) for part in name.replace("kv_", "kV ").split("_"))


def _shown(value: Any) -> str:
    """Return a figure as text."""
    if isinstance(value, list):
        return ", ".join(f"{item:g}" for item in value)
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value) if isinstance(value, str) else f"{value:,}"
