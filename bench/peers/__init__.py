"""The systems that are compared."""

from __future__ import annotations

from importlib import import_module

from bench.peers.protocol import Peer

NAMES = ("sparseir", "seismic", "sindi", "bmp", "pisa", "qdrant", "kannolo", "lucene", "milvus", "numba", "scipy")


def find(name: str) -> Peer:
    """The peer of a name; its adapter imports the peer's own package only when it is used."""
    if name not in NAMES:
        raise SystemExit(f"unknown peer {name!r}; known: {', '.join(NAMES)}")
    return import_module(f"bench.peers.{name}").PEER
