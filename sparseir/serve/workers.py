"""Threads for what must not hold up the event loop, with a bound on how much may wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

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
        answer: asyncio.Future[T] = loop.create_future()
        self._pool.submit(self._work, call, loop, answer)
        late = None if self._seconds is None else loop.call_later(self._seconds, self._too_late, answer)
        try:
            return await answer
        finally:
            if late is not None:
                late.cancel()

    def _work(self, call: Callable[[], T], loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T]) -> None:
        """On the thread. The loop is told once, by a plain callback: futures of asyncio around those of threads cost more
        than a short search."""
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody counts any more
            loop.call_soon_threadsafe(self._ended, answer, result, error)

    def _ended(self, answer: asyncio.Future[T], result: Any, error: BaseException | None) -> None:
        self._pending -= 1
        if answer.done():  # answered as too late, or given up by the client
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    def _too_late(self, answer: asyncio.Future[T]) -> None:
        if not answer.done():
            message = f"the {self._what} took longer than {self._seconds:g} s; ask for less"
            answer.set_exception(ApiError(503, "timeout", message))

    def close(self) -> None:
        """Wait for what was accepted."""
        self._pool.shutdown(wait=True)
