"""A running service under what is malformed and under what does not stop; `make fuzz-requests` prints the figures."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

from tests.fuzz.mutate_requests import attack
from tests.fuzz.soak import soak


@pytest.mark.slow
def test_malformed_requests_end_in_errors_that_are_theirs(tmp_path):
    outcome, _ = attack(tmp_path, count=20_000, seed=2)
    assert outcome.faults == []
    assert sum(outcome.statuses.values()) == 20_000
    assert {200, 400, 404, 405, 415, 431} <= set(outcome.statuses)


@pytest.mark.slow
def test_no_request_is_dropped_while_two_writers_commit(tmp_path):
    result = soak(tmp_path, seconds=30)
    assert result.dropped == []
    assert result.statuses["search", 200] > 100
    assert len(result.generations) > 10
    assert result.growth() < 8  # megabytes; what grows without bound grows more in ten seconds of such load
