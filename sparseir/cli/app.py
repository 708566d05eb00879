"""The tree of commands. A command's module is imported when it is asked for, and imports what it needs when it runs."""

from __future__ import annotations

from sparseir.cli.arguments import Group

_COMMANDS = {
    "data": "data:app",
    "mine": "mine:mine_command",
    "score": "score:score_command",
    "train": "train:train_command",
    "encode": "encode:encode_command",
    "index": "index:app",
    "search": "search:search_command",
    "explain": "explain:explain_command",
    "evaluate": "evaluate:evaluate_command",
    "ablate": "ablate:ablate_command",
    "serve": "serve:serve_command",
    "inspect": "inspect:inspect_command",
    "mcp": "mcp:mcp_command",
    "model": "model:app",
    "config": "config:app",
    "demo": "demo:demo_command",
    "completion": "completion:completion_command",
}


def command_tree() -> Group:
    """Every command with its options."""
    root = Group(help="Learned sparse retrieval: train an encoder, build an index, search it, evaluate it.")
    for name, place in _COMMANDS.items():
        root.add_lazy(name, f"sparseir.cli.{place}")
    return root


def run_command(arguments: list[str]) -> int:
    """The whole program as a function of its arguments; returns the exit code."""
    if arguments == ["--version"]:
        from indexer.version import __version__

        print(f"sparseir {__version__}")
        return 0
    try:
        return command_tree().run(arguments)
    except SystemExit as end:  # how argparse leaves after --help and wrong usage
        return int(end.code or 0)
