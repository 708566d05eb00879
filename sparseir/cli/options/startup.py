"""Starting quickly, for commands that are over in less time than their modules take to load."""

from __future__ import annotations

import gc
import os
import sys

_THREADS = "OPENBLAS_NUM_THREADS"
_OBJECTS = 100_000


def start_quickly() -> None:
    """Load numpy without threads of its linear algebra, and look for garbage seldom.

    Starting a thread for each core, and ending it, takes more processor time than all else that numpy loads, and a search has
    no linear algebra. What the user has set counts, and processes that this one starts inherit nothing. Modules are some ten
    thousands of objects and hold no garbage; Python would go through them every 700.
    """
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    if "numpy" in sys.modules or _THREADS in os.environ:
        return
    os.environ[_THREADS] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        del os.environ[_THREADS]
