"""`sparseir mcp`: indexes as tools of agents."""

from __future__ import annotations

from typing import Annotated

from sparseir.cli import arguments


def mcp_command(
    indexes: Annotated[list[str], arguments.Argument(metavar="INDEX…", help="Folders of indexes, or NAME=FOLDER.")],
    http: Annotated[bool, arguments.Option("--http", help="Listen at http://HOST:PORT/mcp, not on stdin.")] = False,
    host: Annotated[str, arguments.Option(help="With --http: an address of this machine alone.")] = "127.0.0.1",
    port: Annotated[int, arguments.Option(min=1, max=65535, help="With --http.")] = 8765,
    engine: Annotated[str, arguments.Option(help="Engine of the searches.")] = "auto",
    threads: Annotated[int, arguments.Option(min=1, help="Threads of a search of many.")] = 1,
    model: Annotated[str | None, arguments.Option(help="Encodes queries where an index carries no query side.")] = None,
) -> None:
    """Offer indexes to agents over the Model Context Protocol: search, get_document, list_indexes, explain, fuse_search_results.

    examples:
      sparseir mcp my-index
      sparseir mcp en=english-index de=german-index --http --port 9000
    """
    from sparseir.cli.options.engine import check_engine
    from sparseir.cli.output.console import note
    from sparseir.serve.settings import named_folders

    check_engine(engine)
    folders = named_folders(indexes)
    from sparseir.integrations.mcp_server import HTTP_PATH, check_host, run_http, run_stdio
    from sparseir.integrations.mcp_tools import Tools

    if http:
        check_host(host)
    tools = Tools(folders, engine=engine, threads=threads, model=model)
    if not http:
        run_stdio(tools)
        return
    note(f"serving {', '.join(folders)} at http://{host}:{port}{HTTP_PATH}")
    run_http(tools, host, port)
