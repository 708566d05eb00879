"""Where an index may be: in a folder, or behind an address. Apart from what talks to addresses, which most searches never load."""

from __future__ import annotations


def is_address(place: object) -> bool:
    """Whether a place is that of a service, not a folder."""
    return isinstance(place, str) and place.startswith(("http://", "https://"))
