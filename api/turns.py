"""One caller at a time per booking, in this process.

Temporal lets ten updates of a workflow be under way at once and refuses the eleventh. A crowd that
says the same thing is served one after the other instead, and whoever comes later finds it done.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

from api import sagas


class Turns:
    """Hands out turns; a booking that nobody talks to takes no memory."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, booking_id: UUID) -> AsyncIterator[None]:
        """Wait for a turn, as long as for an answer.

        Raises:
            Unreachable: whoever is before takes too long; nothing was said yet.
        """
        lock = self._locks.setdefault(booking_id, asyncio.Lock())
        try:
            async with asyncio.timeout(sagas.ANSWER_WITHIN.total_seconds()):
                await lock.acquire()
        except TimeoutError:
            raise sagas.Unreachable from None
        try:
            yield
        finally:
            lock.release()
