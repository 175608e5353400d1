"""``v2g-feeder schema``: the JSON Schema of a study file."""

from __future__ import annotations

import click

__all__ = ["schema"]


@click.command()
@click.argument("kind", type=click.Choice(["study", "checklist"]), default="study")
def schema(kind: str) -> None:
    """Print the JSON Schema of a study file, or of a checklist file.

    With it an editor completes keys and marks errors. `init` writes it beside the study, with the
    line that points to it: # yaml-language-server: $schema=study.schema.json
    """
    from v2g_feeder.study.schema import schema_text

    click.echo(schema_text(kind), nl=False)
