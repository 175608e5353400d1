"""The ``v2g-feeder`` command, its exit codes and the way it says what went wrong.

Exit codes: 0 done; 2 usage of the command line; 3 bad input; 4 the feeder cannot be solved;
5 partial (results written, but units were lost or steps invalid); 6 internal; 130 interrupted.
A violation is a result: the exit code does not depend on it.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

import click

import v2g_feeder
from v2g_feeder.cli.check import check
from v2g_feeder.cli.checklist import checklist
from v2g_feeder.cli.compare import compare
from v2g_feeder.cli.doctor import doctor
from v2g_feeder.cli.excel import excel
from v2g_feeder.cli.export import export
from v2g_feeder.cli.feeder import feeder
from v2g_feeder.cli.fit import fit
from v2g_feeder.cli.hosting import hosting
from v2g_feeder.cli.init import init
from v2g_feeder.cli.report import report
from v2g_feeder.cli.schema import schema
from v2g_feeder.cli.shapes import shapes
from v2g_feeder.cli.study import study
from v2g_feeder.cli.verify import verify
from v2g_feeder.errors import InputError, V2GFeederError
from v2g_feeder.workers import collect_rarely

__all__ = ["main"]

_MOST_SHOWN = 40
_INTERNAL = 6
_INTERRUPTED = 130


class _Commands(click.Group):
    """Turns errors into one screen of text and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click gives it
        return list(self.commands)  # as they were added, not by the alphabet

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except V2GFeederError as error:
            if ctx.params.get("debug"):
                raise
            _explain(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:  # the reader of the output has gone, as `| head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except Exception as error:  # the last line of defence
            if ctx.params.get("debug"):
                raise
            if os.strerror(errno.ENOSPC) in str(error):  # by the system, or by HDF5 in its words
                _leave_full_disk()
            words = " ".join(f"{type(error).__name__}: {error}".split())
            click.secho(f"internal error: {words[:500]}", fg="red", err=True)
            click.echo("v2g-feeder --debug ... shows the trace; please report it.", err=True)
            ctx.exit(_INTERNAL)


def _leave_full_disk() -> NoReturn:
    """Say that the disk is full, and end: HDF5 would crash over the file that it could not write.

    No result is whole yet: the units' folder is there until the last file of it is.
    """
    click.secho("error: the disk of the output folder is full", fg="red", err=True)
    click.echo("Free some space and run it again; --resume goes on with a study.", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(InputError.exit_code)


def _explain(error: V2GFeederError) -> None:
    """Print what is wrong, one line a problem."""
    if not isinstance(error, InputError):
        click.secho(f"error: {error}", fg="red", err=True)
        return
    count = len(error.problems)
    click.secho("1 problem:" if count == 1 else f"{count} problems:", fg="red", err=True)
    for problem in error.problems[:_MOST_SHOWN]:
        click.echo(f"  {problem}", err=True)
    if count > _MOST_SHOWN:
        click.echo(f"  and {count - _MOST_SHOWN} more", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(v2g_feeder.__version__)
@click.option("--debug", is_flag=True, help="Show the trace of an error.")
def main(debug: bool) -> None:  # noqa: ARG001  # read from the context by _Commands
    """Hosting-capacity studies of bidirectional EV charging on distribution feeders.

    From a model of your own to a report: `feeder Master.dss` looks at it, `init mine.yaml --model
    Master.dss --buses buses.csv` writes a study, `study mine.yaml` runs it.
    """
    collect_rarely()


_COMMANDS = (  # in the order in which they are used, with their line in the list
    (feeder, "Look at a feeder's model: what it holds, a drawing."),
    (init, "Write a study file to begin with."),
    (check, "Check a study without running it."),
    (study, "Run studies: report, tables, OpenDSS package."),
    (hosting, "Search hosting capacity: buses, fleet, envelopes."),
    (shapes, "Write a fleet's load shapes, without power flow."),
    (checklist, "Answer the checklist of feeders for a pilot."),
    (fit, "Fit an archetype to your own records."),
    (report, "Build the report of a result again."),
    (compare, "Say what differs between two results."),
    (excel, "Write the tables of a result as a workbook."),
    (export, "Write a result's package of another case or draw."),
    (verify, "Solve a result's package again and compare."),
    (schema, "Print the JSON Schema of a study file."),
    (doctor, "Say what is installed, and test it."),
)
for command, line in _COMMANDS:
    command.short_help = line
    main.add_command(command)
