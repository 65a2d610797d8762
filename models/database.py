"""The door to Postgres: short transactions, and none of them open while Stripe is called."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Self, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

T = TypeVar("T")

SERIALIZATION_FAILURE: Final = "40001"
DEADLOCK: Final = "40P01"
RETRIED: Final = frozenset({SERIALIZATION_FAILURE, DEADLOCK})
ATTEMPTS: Final = 8
POOL_TIMEOUT_SECONDS: Final = 10.0
"""How long to wait for a connection: shorter than any attempt at a step, so that the step itself says why it failed."""


class Database:
    """Makes transactions; one per process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @classmethod
    def connect(cls, url: str, *, pool_size: int = 10, pool_timeout: float = POOL_TIMEOUT_SECONDS) -> Self:
        """Open a pool that notices a restarted server before it hands out a connection."""
        return cls(
            create_async_engine(
                url,
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_timeout=pool_timeout,
                pool_pre_ping=True,
                hide_parameters=True,  # an error that is logged must not quote a person's row
                connect_args={
                    "timeout": 5,
                    "command_timeout": 15,
                    "server_settings": {"application_name": "bookings", "timezone": "UTC"},
                },
            )
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back on any exception."""
        async with self._sessions.begin() as session:
            yield session

    async def run(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run `work` in one transaction, again when Postgres says it lost a race.

        Deadlocks (40P01) and serialization failures (40001) are promises that nothing happened.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self.transaction() as session:
                    return await work(session)
            except DBAPIError as error:
                if sqlstate(error) not in RETRIED or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the pool."""
        await self.engine.dispose()


def sqlstate(error: DBAPIError) -> str | None:
    """Postgres' five-letter code of what went wrong."""
    return getattr(error.orig, "sqlstate", None)
