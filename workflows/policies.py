"""How long a step may take and how it is retried: fast first, then parked and slow."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

ATTEMPT_TIMEOUT: Final = timedelta(seconds=30)
"""One attempt. Our Stripe call gives up after 10 s, so a live attempt never gets near it."""

FAST: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=10,
)
"""About three minutes of quick attempts. Counted, not timed: while no worker is up nothing was tried,
and nothing should park."""

RECORDING_WINDOW: Final = timedelta(minutes=1)

RELAY_LIFE: Final = timedelta(hours=1)
"""One relay activity; then a fresh one, so that a history never grows old."""

RELAY_HEARTBEAT: Final = timedelta(seconds=15)

RELAY_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)


def slow_retry(round_number: int) -> timedelta:
    """How long a parked step waits for a person before it tries again: 5 min doubling to 6 h."""
    return min(timedelta(minutes=5 << min(round_number, 10)), timedelta(hours=6))


OVERSIGHT_TIMEOUT: Final = timedelta(minutes=30)

OVERSIGHT_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=1), maximum_attempts=4
)
"""The next run of the schedule tries again anyway."""
