"""The command line: the same verbs, for terminals, scripts and CI.

A command module holds `register(app)`. It imports its rooms inside its functions, so that `attribution --help` costs
next to nothing.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from attribution.errors import AttributionError
from attribution.showing import visible

#: Exit codes: all is well; the answer is no; it could not be answered; the user stopped it.
WELL, NO, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 130

#: Command modules in the order in which help lists them.
MODULES = (
    "audit",
    "coverage",
    "reconcile",
    "hops",
    "check",
    "quality",
    "ownership",
    "report",
    "export",
    "chargeback",
    "disputes",
    "inspect",
    "sources",
    "prices",
    "true_up",
    "changes",
    "sample",
    "pull",
    "notebooks",
)


class Commands(TyperGroup):
    """Commands whose errors are one clear message, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what we raise on purpose becomes a message and exit code 2."""
        try:
            return super().invoke(ctx)
        except AttributionError as error:
            typer.echo(f"attribution: {visible(error)}", err=True)
            raise typer.Exit(COULD_NOT_RUN) from None
        except BrokenPipeError:
            raise  # whoever read us has seen enough
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            typer.echo(f"attribution: {visible(what)}. Nothing was answered.", err=True)
            raise typer.Exit(COULD_NOT_RUN) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with their whole first sentence, wrapped, where click would cut it."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        shown = [
            (name, command.get_short_help_str(200)) for name, command in commands if command and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(shown)


app = typer.Typer(
    name="attribution",
    cls=Commands,
    help="Who owns each dollar of an AI API bill, and can you prove it? Nothing leaves this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from attribution import __version__

        typer.echo(f"attribution {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Who owns each dollar of an AI API bill, and can you prove it? Nothing leaves this machine."""


def main() -> None:
    """Run the command line; a fault of ours exits with 2, so that CI never takes it for a verdict."""
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.exit(COULD_NOT_RUN)


for _name in MODULES:
    import_module(f"{__name__}.{_name}").register(app)
