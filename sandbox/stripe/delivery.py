"""Sending what is queued: signed, several at a time, again with growing waits until the receiver says 2xx."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import sqlite3
import time
from itertools import groupby

import httpx

from sandbox.stripe import webhooks
from sandbox.stripe.render import render
from sandbox.stripe.store import Object, Store

CONCURRENT_DELIVERIES = 50
# Each event gets this much time to arrive before the next one sets off, so that they normally come in order.
HEAD_START_SECONDS = 0.05
TIMEOUT_SECONDS = 30.0
IDLE_SECONDS = 3600.0
ERROR_LENGTH = 200


def sign(payload: str, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over `timestamp.payload` (docs.stripe.com/webhooks/signature)."""
    digest = hmac.new(secret.encode(), f"{timestamp}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Deliverer:
    """The task that empties the queue. What it has not finished when the process dies is sent after the restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wake = asyncio.Event()
        self._places = asyncio.Semaphore(CONCURRENT_DELIVERIES)
        self._under_way: set[int] = set()

    def wake(self) -> None:
        """There may be something new to send."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                self._wake.clear()
                now = time.time()
                ordinary, reordered = self._due(now)
                if reordered:
                    tasks.create_task(self._send_in_turn(client, reordered))
                for _, copies in groupby(ordinary, key=lambda row: row["event"]):
                    sending = [tasks.create_task(self._send(client, row)) for row in copies]
                    await asyncio.wait(sending, timeout=HEAD_START_SECONDS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), timeout=self._seconds_until_next(now))

    def _due(self, now: float) -> tuple[list[sqlite3.Row], list[sqlite3.Row]]:
        rows = self._store.db.execute(
            "SELECT * FROM deliveries WHERE status = 'pending' AND next_at <= ? ORDER BY id", (now,)
        ).fetchall()
        rows = [row for row in rows if row["id"] not in self._under_way]
        self._under_way.update(row["id"] for row in rows)
        return [row for row in rows if not row["reordered"]], [row for row in rows if row["reordered"]][::-1]

    def _seconds_until_next(self, now: float) -> float:
        row = self._store.db.execute(
            "SELECT min(next_at) AS at FROM deliveries WHERE status = 'pending' AND next_at > ?", (now,)
        ).fetchone()
        return IDLE_SECONDS if row["at"] is None else max(0.0, row["at"] - time.time())

    async def _send_in_turn(self, client: httpx.AsyncClient, rows: list[sqlite3.Row]) -> None:
        for row in rows:
            await self._send(client, row)

    async def _send(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        try:
            async with self._places:
                await self._attempt(client, row)
        finally:
            self._under_way.discard(row["id"])
            self.wake()

    async def _attempt(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        endpoint, event = self._store.find(row["endpoint"]), self._store.find(row["event"])
        if endpoint is None or event is None:
            self._record(row, "failed", None, "the endpoint or the event is gone")
            return
        try:
            response = await self._post(client, endpoint, event)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._retry(row, None, repr(error))
            return
        if response.is_success:
            self._record(row, "delivered", response.status_code, None)
        else:
            self._retry(row, response.status_code, response.text)

    async def _post(self, client: httpx.AsyncClient, endpoint: Object, event: Object) -> httpx.Response:
        payload = json.dumps(render(self._store, event), indent=2)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(payload, endpoint["_secret"], int(time.time())),
        }
        return await client.post(endpoint["url"], content=payload.encode(), headers=headers)

    def _retry(self, row: sqlite3.Row, status: int | None, error: str) -> None:
        wait = webhooks.wait_after(row["attempts"] + 1)
        given_up = time.time() + wait > row["give_up_at"]
        self._record(row, "failed" if given_up else "pending", status, error, wait=wait)

    def _record(
        self, row: sqlite3.Row, state: str, status: int | None, error: str | None, *, wait: float = 0.0
    ) -> None:
        self._store.db.execute(
            "UPDATE deliveries SET status = ?, attempts = attempts + 1, next_at = ?, last_status = ?, last_error = ? "
            "WHERE id = ?",
            (state, time.time() + wait, status, error and error[:ERROR_LENGTH], row["id"]),
        )
