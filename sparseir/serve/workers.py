"""Threads for what must not hold up the event loop, with a bound on how much may wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sparseir.serve.faults import ApiError, busy

T = TypeVar("T")


class Workers:
    """A few threads.

    Parameters
    ----------
    threads : that run at a time.
    waiting : calls that may wait or run; more are refused.
    seconds : a caller waits; None for as long as it takes.
    what : is done, for the error.
    """

    def __init__(self, threads: int, *, waiting: int, seconds: float | None, what: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"sparseir-{what}")
        self._waiting, self._seconds, self._what = waiting, seconds, what
        self._pending = 0

    async def run(self, call: Callable[[], T]) -> T:
        """The result of a call on one of the threads.

        A call that takes too long is answered with an error but not stopped, since C code cannot be. It counts until it
        ends.

        Raises
        ------
        ApiError : 429, too many calls; 503, the call takes too long.
        """
        if self._pending >= self._waiting:
            raise busy(f"{self._pending} requests wait for a {self._what} thread already")
        self._pending += 1
        loop = asyncio.get_running_loop()
        future = self._pool.submit(call)
        future.add_done_callback(lambda done: self._ended(loop, done))
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self._seconds)
        except TimeoutError:
            raise ApiError(
                503, "timeout", f"the {self._what} took longer than {self._seconds:g} s; ask for less"
            ) from None

    def _ended(self, loop: asyncio.AbstractEventLoop, future: Future[T]) -> None:
        def count() -> None:
            self._pending -= 1
            if not future.cancelled():
                future.exception()  # retrieved even if nobody waits: asyncio would warn about it

        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody counts any more
            loop.call_soon_threadsafe(count)

    def close(self) -> None:
        """Wait for what was accepted."""
        self._pool.shutdown(wait=True)
