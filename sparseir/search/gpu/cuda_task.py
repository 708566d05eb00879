"""The one argument of every kernel: SirTask of native/cuda/task.h, field by field."""

from __future__ import annotations

import ctypes

POINTERS = (
    "local",
    "impact",
    "entry_row",
    "entry_start",
    "window_entry",
    "window_posting",
    "ordinals",
    "live",
    "head",
    "query_start",
    "query_slot",
    "query_weight",
    "rows",
    "bin_shift",
    "window_order",
    "head_low",
    "head_high",
    "slots",
    "threshold",
    "histogram",
    "count",
    "candidates",
    "best",
    "scores",
)
WIDE_NUMBERS = ("first_entry", "first_posting")
NUMBERS = (
    "first_group_window",
    "num_docs",
    "num_windows",
    "window_shift",
    "num_queries",
    "num_rows",
    "first_window",
    "k",
    "capacity",
    "clear",
    "head_terms",
)

BINS = 2048
"""Bins of a query's score histogram (SIR_BINS)."""


class Task(ctypes.Structure):
    """SirTask. Pointers are device addresses, 0 where there is none."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in (*POINTERS, *WIDE_NUMBERS)),
        *((name, ctypes.c_uint32) for name in NUMBERS),
    )
