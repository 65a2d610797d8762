from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from sandbox import person
from sandbox.demo import stage
from sandbox.launch import temporary_run_dir
from tests.e2e.stacks import Stack, running

LOOK_EVERY: Final = 0.5
"""Seconds."""


@pytest.fixture(autouse=True)
def unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """People look at their bookings twice a second, or as seldom as a module says: more would be most of the load."""
    seconds = getattr(request.module, "LOOK_EVERY", LOOK_EVERY)
    for module in (person, stage):
        monkeypatch.setattr(module, "LOOK_EVERY", seconds)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with temporary_run_dir() as directory:
        yield directory


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """One stack for all of a module's tests."""
    with temporary_run_dir() as directory:
        async with running(
            directory, PAYMENT_WINDOW="PT5S", COMPLETION_GRACE="PT2S", PAYOUT_HOLD="PT2S"
        ) as ready:
            yield ready
