"""Stacks whose workers take orders to die, or to stand still."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from sandbox import launch
from tests.e2e.orders import Orders
from tests.e2e.stacks import Stack, running

PROGRAM: Final = "-m tests.e2e.mortal_worker"

START_TIMEOUT: Final = 240.0
"""Seconds."""


@asynccontextmanager
async def mortal(run_dir: Path, **told: str) -> AsyncIterator[tuple[Stack, Orders]]:
    """A stack of mortal workers, and the way to give them orders."""
    directory = run_dir.with_name("orders")
    told = {"WORKERS": "3", **told, "WORKER_PROGRAM": PROGRAM, "CHAOS_KILL": str(directory)}
    with pytest.MonkeyPatch.context() as patience:
        # That many workers at once, on a machine that may have other things to do.
        patience.setattr(launch, "START_TIMEOUT", START_TIMEOUT)
        async with running(run_dir, **told) as stack:
            yield stack, Orders(directory)
