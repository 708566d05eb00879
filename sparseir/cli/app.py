"""The tree of commands. Each command's module imports what it needs when it runs, so that starting costs little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from sparseir.cli import config, demo, encode, evaluate, index, model, search, serve, train

_INTERRUPTED = 130


def command_tree() -> Any:
    """Every command with its options, as click has them."""
    app = typer.Typer(
        name="sparseir",
        help="Learned sparse retrieval: train an encoder, build an index, search it, evaluate it.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command("train")(train.train_command)
    app.command("encode")(encode.encode_command)
    app.add_typer(index.app, name="index")
    app.command("search")(search.search_command)
    app.command("explain")(search.explain_command)
    app.command("evaluate")(evaluate.evaluate_command)
    app.command("serve")(serve.serve_command)
    app.add_typer(model.app, name="model")
    app.add_typer(config.app, name="config")
    app.command("demo")(demo.demo_command)
    return typer.main.get_command(app)


def make_command() -> Callable[[list[str]], int]:
    """The whole program as a function of its arguments that returns the exit code."""
    command = command_tree()

    def call(arguments: list[str]) -> int:
        try:
            result = command.main(args=arguments, prog_name="sparseir", standalone_mode=False)
        except typer.Abort:  # how Ctrl-C leaves the parser
            raise KeyboardInterrupt from None
        except Exception as error:
            # Wrong usage. Recent typer carries its own copy of click, so the class has no one name to catch.
            if not (hasattr(error, "exit_code") and hasattr(error, "show")):
                raise
            error.show()
            return int(error.exit_code)
        if result == _INTERRUPTED:  # how recent typer leaves it; our commands return nothing
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0

    return call


def _show_version(wanted: bool) -> None:
    if wanted:
        from sparseir import __version__

        typer.echo(f"sparseir {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learned sparse retrieval: train an encoder, build an index, search it, evaluate it."""
