"""Servers that skip time: one whose steps are played in memory, and one with the real activities."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.workflows.saga import Sagas, played_worker, skipping_time
from tests.workflows.world import Steps

TEST_SERVER = str(Path(sys.executable).parent / "temporal-test-server")


@pytest.fixture(
    scope="session", params=[pytest.param(1000, id="cached"), pytest.param(0, id="replayed-every-task")]
)
async def theatre(request: pytest.FixtureRequest) -> AsyncIterator[Sagas]:
    """Every test runs twice: the second time, every workflow task replays the whole history."""
    steps = Steps()
    async with skipping_time(TEST_SERVER) as env, played_worker(env.client, steps, request.param):
        yield Sagas(env, steps)


@pytest.fixture
def sagas(theatre: Sagas) -> Iterator[Sagas]:
    yield theatre
    theatre.let_go()
