"""What the routes of a running service share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sparseir.serve.indexes import Catalogue, ServedIndex
from sparseir.serve.journal import Journal
from sparseir.serve.metrics import Metrics
from sparseir.serve.settings import ServeSettings
from sparseir.serve.snapshots import Snapshots
from sparseir.serve.workers import Workers
from sparseir.serve.writing import Writer

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Service:
    """A running service.

    Attributes
    ----------
    searches, writes, copies : threads for each; writes have one, snapshots another.
    snapshots : their folder, where the service takes any.
    ready : requests are welcome: after the start, until the stop.
    """

    settings: ServeSettings
    catalogue: Catalogue
    writer: Writer
    journal: Journal
    metrics: Metrics
    searches: Workers
    writes: Workers
    copies: Workers
    snapshots: Snapshots | None = None
    ready: bool = False

    @classmethod
    def open(cls, settings: ServeSettings) -> Service:
        """Open every index, and the model where documents are to be encoded.

        Raises
        ------
        SparseIRError : an index, a model or the request log that cannot be opened.
        """
        opened = {
            name: ServedIndex(
                name,
                path,
                engine=settings.engine,
                threads=settings.threads,
                model=settings.model,
                partial=settings.partial,
            )
            for name, path in settings.indexes.items()
        }
        encoder = None
        if settings.writable and settings.model is not None:
            from sparseir.models.encoder import SparseEncoder

            encoder = SparseEncoder.load(settings.model)
        limits = settings.limits
        return cls(
            settings=settings,
            catalogue=Catalogue(opened),
            writer=Writer(encoder, lock_seconds=limits.lock_seconds),
            journal=Journal(settings.request_log, queries=settings.log_queries),
            metrics=Metrics(),
            searches=Workers(settings.threads, waiting=limits.in_flight, seconds=limits.seconds, what="search"),
            writes=Workers(1, waiting=limits.writes, seconds=None, what="write"),
            snapshots=None if settings.snapshots is None else Snapshots(settings.snapshots, settings),
            copies=Workers(1, waiting=limits.snapshots, seconds=None, what="snapshot"),
        )

    async def watch(self) -> None:
        """Open new commits of other processes as they are made."""
        while True:
            await asyncio.sleep(self.settings.reload_seconds)
            for served in self.catalogue.indexes.values():
                await asyncio.to_thread(self._refresh, served)

    @staticmethod
    def _refresh(served: ServedIndex) -> None:
        try:
            if served.refresh():
                logger.info("index %s: commit %d", served.name, served.current.generation)
        except Exception:  # the previous commit continues to answer; the next look may find a sound one
            logger.exception("index %s: its new commit cannot be opened", served.name)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the start to the stop, which waits for every write that was accepted."""
        watch = asyncio.create_task(self.watch())
        self.ready = True
        try:
            yield
        finally:
            self.ready = False
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Finish what was accepted."""
        self.writes.close()
        self.copies.close()
        self.searches.close()
        self.journal.__exit__(None, None, None)
