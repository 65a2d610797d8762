"""Dying at a chosen boundary: after a commit, before a write to Stripe, after Stripe has acted."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities import stripe_calls
from models.database import Database
from tests.support.wrote import wrote

T = TypeVar("T")


class Killed(Exception):
    """The process died here; nothing that it would have done next was done."""


class Tripwire:
    """Counts the boundaries that a crash can fall on, and kills at the chosen one."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.crossed: list[str] = []

    def cross(self, boundary: str) -> None:
        self.crossed.append(boundary)
        if len(self.crossed) == self._at:
            raise Killed(boundary)

    @contextmanager
    def on_writes(self) -> Iterator[None]:
        """Stand on both sides of every write to Stripe: they all leave through one function."""
        write = stripe_calls.write

        async def mortal(call: Coroutine[Any, Any, Any]) -> Any:
            try:
                self.cross("before the write")
            except Killed:
                call.close()
                raise
            answer = await write(call)
            self.cross("after the write")
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stripe_calls, "write", mortal)
            yield


class MortalDatabase(Database):
    """Every transaction that is committed and was not for reading only is a boundary."""

    def __init__(self, database: Database, tripwire: Tripwire) -> None:
        super().__init__(database.engine)
        self._tripwire = tripwire

    async def run(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async def watched(session: AsyncSession) -> tuple[T, bool]:
            return await work(session), await wrote(session)

        result, changed = await super().run(watched)
        if changed:
            self._tripwire.cross("after a commit")
        return result
