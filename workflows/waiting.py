"""Waiting for something until an absolute instant."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow


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
