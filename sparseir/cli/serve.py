"""`sparseir serve`: indexes behind HTTP, and the page that shows why a hit is a hit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments


def serve_command(
    indexes: Annotated[
        list[str],
        arguments.Argument(
            metavar="INDEX…",
            help="Folders of indexes or of shards, or NAME=FOLDER; or NAME=ADDRESS,ADDRESS… of shards.",
        ),
    ],
    host: Annotated[str, arguments.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, arguments.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    threads: Annotated[int, arguments.Option(min=1, help="Threads of searches.")] = 2,
    engine: Annotated[str, arguments.Option(help="Engine of requests that name none.")] = "auto",
    model: Annotated[
        str | None, arguments.Option(help="Encodes queries where an index carries no query side, and new documents.")
    ] = None,
    writable: Annotated[
        bool, arguments.Option("--writable", help="Let clients add, replace and delete documents.")
    ] = False,
    api_key_file: Annotated[Path | None, arguments.Option(help="API keys, one a line.")] = None,
    no_auth: Annotated[
        bool, arguments.Option("--no-auth", help="Serve other machines without API keys; with keys, leave it out.")
    ] = False,
    origins: Annotated[
        list[str] | None,
        arguments.Option("--cors", metavar="ORIGIN", help="Let pages of this origin call; repeatable."),
    ] = None,
    request_log: Annotated[
        str | None, arguments.Option(help="File for one JSON object a request; - for stdout.")
    ] = None,
    log_queries: Annotated[bool, arguments.Option("--log-queries", help="With the texts of queries.")] = False,
    max_k: Annotated[int, arguments.Option(min=1, help="Hits a query, at most.")] = 1000,
    max_in_flight: Annotated[int, arguments.Option(min=1, help="Searches that wait or run, at most.")] = 64,
    timeout: Annotated[float, arguments.Option(min=0.001, help="Seconds a search may take.")] = 10.0,
    lock_seconds: Annotated[
        float, arguments.Option(min=0, help="Seconds a write waits for another process that writes the index.")
    ] = 5.0,
    partial: Annotated[
        bool, arguments.Option("--partial", help="Answer without shards that do not; the answer says their share.")
    ] = False,
    snapshots: Annotated[
        Path | None, arguments.Option(metavar="DIR", help="Let clients take snapshots, which go there.")
    ] = None,
    reload_seconds: Annotated[float, arguments.Option(min=0.01, help="Between looks for new commits.")] = 1.0,
) -> None:
    """Serve indexes over HTTP: search, explanations, documents, metrics, and a page at /.

    examples:
      sparseir serve my-index
      sparseir serve all=http://one:8080,http://two:8080
      sparseir serve my-index --writable --snapshots backups
      sparseir serve en=english-index de=german-index --port 9000 --api-key-file keys
    """
    import os

    from sparseir.cli.options.engine import check_engine

    check_engine(engine)
    from sparseir.cli.output.console import note
    from sparseir.errors import ConfigError
    from sparseir.serve.settings import KEY_VARIABLE, Limits, ServeSettings, named_folders, read_keys

    keys, warnings = read_keys(api_key_file, os.environ.get(KEY_VARIABLE))
    if no_auth and keys:
        raise ConfigError("--no-auth serves everybody, and API keys are set; give one of them")
    for line in warnings:
        note(f"warning: {line}")
    settings = ServeSettings(
        indexes=named_folders(indexes),
        host=host,
        port=port,
        threads=threads,
        engine=engine,
        model=model,
        writable=writable,
        keys=keys,
        open_to_all=no_auth,
        origins=tuple(origins or ()),
        request_log=request_log,
        log_queries=log_queries,
        reload_seconds=reload_seconds,
        snapshots=snapshots,
        partial=partial,
        limits=Limits(k=max_k, in_flight=max_in_flight, seconds=timeout, lock_seconds=lock_seconds),
    )
    from sparseir.serve.server import serve

    serve(settings, announce=lambda address: note(f"serving {', '.join(settings.indexes)} at {address}"))
