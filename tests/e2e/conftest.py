from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sandbox import person
from sandbox.demo import stage
from sandbox.launch import temporary_run_dir
from tests.e2e.stacks import Stack, running


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """People look at their bookings twice a second: more would be most of the load."""
    for module in (person, stage):
        monkeypatch.setattr(module, "LOOK_EVERY", 0.5)


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
