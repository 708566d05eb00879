"""The routes of snapshots: take one, list them, delete one."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from sparseir.serve.faults import ApiError
from sparseir.serve.snapshots import Snapshots
from sparseir.serve.state import Service


class SnapshotBody(BaseModel):
    """Which index, and what the snapshot is to be called."""

    model_config = ConfigDict(extra="forbid", strict=True)
    index: str | None = None
    name: str | None = Field(
        default=None, max_length=100, description="Of a folder, or of a file: NAME.tar, NAME.tar.zst."
    )


def add_snapshot_routes(app: FastAPI, service: Service) -> None:
    """POST /snapshot, GET /snapshots, DELETE /snapshots/{name}."""

    def opened() -> Snapshots:
        if service.snapshots is None:
            raise ApiError(403, "no_snapshots", "this service takes no snapshots; start it with --snapshots DIR")
        return service.snapshots

    asked = Depends(opened)

    @app.post("/snapshot", status_code=201, summary="Copy the last commit", tags=["operations"], dependencies=[asked])
    async def take(body: SnapshotBody) -> Response:
        served = service.catalogue.get(body.index)
        return _json(await service.copies.run(lambda: opened().take(served, body.name)), 201)

    @app.get("/snapshots", summary="The snapshots", tags=["operations"], dependencies=[asked])
    async def listed() -> Response:
        return _json({"snapshots": await service.copies.run(opened().listed)})

    @app.delete("/snapshots/{name}", summary="Delete a snapshot", tags=["operations"], dependencies=[asked])
    async def delete(name: str) -> Response:
        await service.copies.run(lambda: opened().delete(name))
        return _json({"deleted": name})


def _json(value: Any, status: int = 200) -> Response:
    return Response(to_json(value, inf_nan_mode="null"), status, media_type="application/json")
