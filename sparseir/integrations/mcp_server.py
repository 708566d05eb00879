"""Indexes as tools of agents: a server of the Model Context Protocol, over stdio or streamable HTTP."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from indexer.version import __version__
from sparseir.errors import ConfigError
from sparseir.integrations.mcp_tools import Tools, told
from sparseir.serve.settings import is_loopback

HTTP_PATH = "/mcp"
_INSTRUCTIONS = (
    "Search engines over fixed collections. list_indexes tells which there are; search finds documents; get_document reads "
    "one whole; explain tells why a document has its score; fuse_search_results asks several wordings or indexes at once."
)


def make_server(tools: Tools) -> MCPServer:
    """A server with the five tools; it is not running."""
    server: MCPServer = MCPServer("sparseir", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING")
    for tool in (tools.search, tools.get_document, tools.list_indexes, tools.explain, tools.fuse_search_results):
        server.add_tool(_answering(tool))
    return server


def run_stdio(tools: Tools) -> None:
    """Answer over standard input and output until the client closes them."""
    make_server(tools).run("stdio")


def run_http(tools: Tools, host: str, port: int) -> None:
    """Answer at http://host:port/mcp until interrupted.

    Raises
    ------
    ConfigError : an address that other machines reach; the protocol's server asks nobody who he is.
    """
    check_host(host)
    make_server(tools).run("streamable-http", host=host, port=port, streamable_http_path=HTTP_PATH, stateless_http=True)


def check_host(host: str) -> None:
    """Refuse an address that other machines reach.

    Raises
    ------
    ConfigError
    """
    if not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines, and this server asks for no key; serve 127.0.0.1, and put a proxy "
            "with authentication before it"
        )


def _answering(tool: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The tool with errors as the protocol has them: what the caller did wrong is said, what broke here is not."""

    @functools.wraps(tool)
    def answer(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return tool(*args, **kwargs)
        except Exception as error:
            message = told(error)
            if message is None:
                raise
            raise ToolError(message) from error

    return answer
