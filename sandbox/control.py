"""The sandbox's Stripe, played with: what banks, cards and networks do to a booking from outside.

`sandbox/stripe/README.md` describes the requests. Real Stripe has nothing of the kind.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import httpx

from sandbox.asking import Json

AUTHORIZATION_WINDOW: Final = timedelta(days=7)


class Turnstile:
    """Many pass at a time, or one alone."""

    def __init__(self) -> None:
        self._inside = 0
        self._taken = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def among_others(self) -> AsyncIterator[None]:
        """Pass as soon as nobody wants to be alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._taken)
            self._inside += 1
        try:
            yield
        finally:
            async with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Pass when everybody has left, and let nobody in meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._taken)
            self._taken = True
            await self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            async with self._changed:
                self._taken = False
                self._changed.notify_all()


class Control:
    """What can be done to the sandbox's Stripe; amounts are minor units."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self.authorizing = Turnstile()
        """Whoever pays passes it: how long an authorization stands is a setting for everybody."""

    async def post(self, path: str, **body: Any) -> Json:
        """Ask the control API to do something."""
        answer = await self._http.post(f"{self._url}{path}", json=body)
        answer.raise_for_status()
        done: Json = answer.json()
        return done

    async def list(self, path: str, **query: str) -> list[Json]:
        """What the control API lists."""
        answer = await self._http.get(f"{self._url}{path}", params=query)
        answer.raise_for_status()
        found: list[Json] = answer.json()["data"]
        return found

    async def dispute(self, charge_id: str) -> str:
        """The client's bank contests a charge: the money is withdrawn, with a fee; answers with the dispute's id."""
        return str((await self.post(f"/charges/{charge_id}/dispute"))["id"])

    async def decide(self, dispute_id: str, status: str) -> None:
        """The bank decides a dispute: `won` or `lost`."""
        await self.post(f"/disputes/{dispute_id}", status=status)

    async def account(self, account_id: str, **changes: Any) -> None:
        """Change what a connected account may do, as its owner or Stripe's risk team would."""
        await self.post(f"/accounts/{account_id}", **changes)

    async def drain(self, account_id: str) -> None:
        """The provider's bank gets everything that is available."""
        await self.post(f"/accounts/{account_id}", drain=True)

    async def advance(self, seconds: int) -> None:
        """Move Stripe's clock."""
        await self.post("/clock", advance_seconds=seconds)

    @asynccontextmanager
    async def short_authorizations(self, window: timedelta) -> AsyncIterator[None]:
        """Whoever pays in this block is authorized for `window` only; nobody else pays meanwhile."""
        async with self.authorizing.alone():
            await self._authorize_for(window)
            try:
                yield
            finally:
                await self._authorize_for(AUTHORIZATION_WINDOW)

    async def _authorize_for(self, window: timedelta) -> None:
        await self.post("/settings", authorization_window=f"PT{window.total_seconds():g}S")

    @asynccontextmanager
    async def webhooks_lost(self, types: Sequence[str] = ("*",)) -> AsyncIterator[None]:
        """No event of these types arrives, for as long as the block lasts, or ever."""
        await self.post("/webhooks", mode="drop", types=list(types))
        try:
            yield
        finally:
            await self.post("/webhooks", mode="normal")

    async def lost(self) -> set[str]:
        """The types of the events that were lost so far."""
        return {each["type"] for each in await self.list("/deliveries", status="dropped")}
