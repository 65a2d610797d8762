"""Stacks whose workers take orders to die, or to stand still."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.e2e.orders import Orders
from tests.e2e.stacks import Stack, running

PROGRAM: Final = "-m tests.e2e.mortal_worker"


@asynccontextmanager
async def mortal(run_dir: Path, **told: str) -> AsyncIterator[tuple[Stack, Orders]]:
    """A stack of mortal workers, and the way to give them orders."""
    directory = run_dir.with_name("orders")
    told = {"WORKERS": "3", **told, "WORKER_PROGRAM": PROGRAM, "CHAOS_KILL": str(directory)}
    async with running(run_dir, **told) as stack:
        yield stack, Orders(directory)
