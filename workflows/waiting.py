"""Waiting: for something until an absolute instant, and for a story that nothing may cut short."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow

T = TypeVar("T")


async def wait_until(deadline: datetime, ready: Callable[[], bool], summary: str) -> bool:
    """Wait for `ready` until `deadline` (UTC, by the workflow's clock); say whether it came.

    The state is looked at again after a timeout: what was waited for may have arrived in the same
    workflow task as the timer (TRAPS 12, TEMPORAL 1.2).
    """
    remaining = deadline - workflow.now()
    if not ready() and remaining > timedelta(0):
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(ready, timeout=remaining, timeout_summary=summary)
    return ready()


async def uninterrupted(story: Coroutine[Any, Any, T], cancelled: Callable[[], None]) -> T:
    """Play `story` to its end; a Temporal cancellation is only told to `cancelled`."""
    playing = asyncio.create_task(story)
    while not playing.done():
        try:
            await asyncio.shield(playing)
        except asyncio.CancelledError:
            cancelled()
    return playing.result()
