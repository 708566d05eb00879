"""Memory of a process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

OWN = Path("/proc/self")


def memory(field: str, process: Path = OWN, file: str = "status") -> int:
    """Bytes of a field such as VmRSS.

    Raises
    ------
    KeyError : the kernel reports no such field.
    """
    for line in (process / file).read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def reset_peak() -> None:
    """Count VmHWM, the largest resident set, from here on."""
    (OWN / "clear_refs").write_text("5", encoding="ascii")
