"""Options that many commands have. Light: a command's module is imported to start any of them."""

from __future__ import annotations

from typing import Annotated

from sparseir.cli import arguments

Quiet = Annotated[bool, arguments.Option("--quiet", "-q", help="No progress on stderr.")]
Device = Annotated[
    str,
    arguments.Option(
        help="What the model runs on: auto, cpu, cuda or cuda:NUMBER.",
        pattern=r"auto|cpu|cuda(:\d+)?",
        expected="auto, cpu, cuda or cuda:NUMBER",
    ),
]
Untrained = Annotated[
    bool,
    arguments.Option("--untrained", help="Encode with a base that no training has made an encoder of all the same."),
]
MaxActiveDims = Annotated[
    int | None, arguments.Option(min=1, help="Keep so many terms of a model for each document, the heaviest.")
]
