"""What a service is started with: the indexes, where it listens, who may ask, and a limit on everything."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparseir.errors import ConfigError
from sparseir.search.remote.addresses import is_address
from sparseir.search.stores.places import is_store

KEY_VARIABLE = "SPARSEIR_API_KEY"
MIN_KEY_LENGTH = 16


Places = Path | list[str]
"""A folder, or the addresses of shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what one request may ask; each is answered with an error that names it.

    Parameters
    ----------
    k : hits a query.
    queries : of one request.
    query_chars, filter_chars : length of a text.
    terms : of a query given as weighted terms.
    filter_docnos : names in a filter that is a list. feedback : hits that a query may learn from.
    documents : of one write.
    body, write_body : bytes of a request's body; the second for routes that write.
    header : bytes of a request's line and headers.
    in_flight : requests that wait for a thread or run on one; more are answered 429.
    writes : writes that wait or run; more are answered 429. snapshots : the same of these.
    seconds : a search may take; then the answer is 503.
    lock_seconds : a write waits for another process that writes the index; then 503.
    receive_seconds : a client may take to send a request; then 408.
    """

    k: int = 1000
    queries: int = 256
    query_chars: int = 4000
    filter_chars: int = 4000
    terms: int = 4096
    filter_docnos: int = 10_000
    feedback: int = 10
    documents: int = 10_000
    body: int = 1 << 20
    write_body: int = 64 << 20
    header: int = 16 << 10
    in_flight: int = 64
    writes: int = 16
    snapshots: int = 4
    seconds: float = 10.0
    lock_seconds: float = 5.0
    receive_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How a service runs.

    Parameters
    ----------
    indexes : name in addresses → folder of an index or of shards, or addresses of services that serve a shard each.
    partial : answer without shards that do not.
    host, port : where it listens; port 0 takes a free one.
    threads : of one batch, and of searches that run beside each other.
    engine : of requests that name none.
    model : encodes queries where an index carries no query side, and the documents of writes.
    writable : documents may be added, replaced and deleted.
    keys : API keys, any of which opens the service; none: open to everybody who reaches it.
    open_to_all : an address other than this machine's own may be served without keys.
    origins : other web origins whose pages may call the service.
    request_log : one JSON object a request goes there; '-' is the standard output.
    log_queries : with the text of the query.
    reload_seconds : between looks for a new commit of an index.
    snapshots : folder for snapshots that clients ask for; None takes none.
    """

    indexes: dict[str, Places]
    partial: bool = False
    host: str = "127.0.0.1"
    port: int = 8080
    threads: int = 2
    engine: str = "auto"
    model: str | None = None
    writable: bool = False
    keys: tuple[str, ...] = ()
    open_to_all: bool = False
    origins: tuple[str, ...] = ()
    request_log: str | None = None
    log_queries: bool = False
    reload_seconds: float = 1.0
    snapshots: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.keys and not self.open_to_all and not is_loopback(self.host):
            raise ConfigError(
                f"{self.host} can be reached from other machines and no API key is set; give one with --api-key-file "
                f"or {KEY_VARIABLE}, or say --no-auth to serve everybody"
            )

    @property
    def hosts(self) -> frozenset[str] | None:
        """Names a request may address; None for any.

        Without keys the only protection is that the address is this machine's own. A web page could get around it by
        pointing its own domain at this machine, so requests for other names are refused.
        """
        return None if self.keys or self.open_to_all else frozenset({"localhost", "127.0.0.1", "[::1]", self.host})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def named_folders(arguments: Sequence[str]) -> dict[str, Places]:
    """'name=folder', or 'folder', whose name is then its last part; in the order given. Shards: 'name=address,address'.

    Raises
    ------
    ConfigError : two indexes of one name, or a name that has no place in an address; a collection of another store.
    """
    found: dict[str, Places] = {}
    for argument in arguments:
        name, sign, folder = argument.partition("=")
        if is_address(argument):
            raise ConfigError(f"{argument!r} gives shards no name; give it: NAME={argument}")
        if is_store(argument) or is_store(folder):
            raise ConfigError(
                f"{argument!r}: a collection is not served; ask it by 'sparseir search', or serve a folder"
            )
        if not sign or "/" in name:
            name, folder = Path(argument).resolve().name, argument
        if not name or any(c in name for c in "/?#%") or not name.isprintable():
            raise ConfigError(f"{argument!r} gives an index the name {name!r}; name it otherwise: NAME={folder}")
        if name in found:
            raise ConfigError(f"two indexes are named {name!r}; tell them apart: NAME={folder}")
        found[name] = folder.split(",") if is_address(folder) else Path(folder)
    return found


def read_keys(path: Path | None, variable: str | None) -> tuple[tuple[str, ...], list[str]]:
    """API keys of a file, one a line ('#' begins a comment), and of an environment variable; and warnings.

    Raises
    ------
    ConfigError : a file that cannot be read or is without keys, or a key that is too short to keep anybody out.
    """
    keys, warnings = [], []
    if path is not None:
        try:
            mode, lines = path.stat().st_mode, path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigError(
                f"--api-key-file {path}: {error.strerror}; expected a file with one API key a line"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"--api-key-file {path} is no text; expected one API key a line") from None
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            warnings.append(f"{path} can be read by every user of this machine; chmod 600 it")
        keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not keys:
            raise ConfigError(f"{path} holds no API key; write one a line")
    if variable:
        keys.append(variable)
    for key in keys:
        if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(
                f"an API key of {len(key)} characters; a key is {MIN_KEY_LENGTH} or more printable ASCII characters "
                "without spaces, for example from: openssl rand -hex 24"
            )
    return tuple(dict.fromkeys(keys)), warnings
