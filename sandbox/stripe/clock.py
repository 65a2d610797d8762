"""The sandbox's test clock: real time plus an offset that the control API moves.

Objects, idempotency expiry and authorizations live by it. Webhook signatures and retries use real time, because the
receiver compares them with its own clock.
"""

import time

from sandbox.stripe.store import Store

_OFFSET = "clock_offset"


class Clock:
    """Tells the sandbox's time, in Unix seconds; the offset survives restarts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._offset = int(store.setting(_OFFSET) or 0)

    def now(self) -> int:
        """The sandbox's time."""
        return int(time.time()) + self._offset

    def advance(self, seconds: int) -> None:
        """Move the clock by this many seconds."""
        self._offset += seconds
        self._store.remember(_OFFSET, str(self._offset))

    def set(self, instant: int) -> None:
        """Move the clock to a Unix time, from where it runs on."""
        self.advance(instant - self.now())

    def reset(self) -> None:
        """Back to real time."""
        self.advance(-self._offset)
