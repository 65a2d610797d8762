"""What happens by the clock alone: authorizations expire, funds become available.

A deadline is a row; it comes due when a request or the ticking task finds the sandbox's clock past it, so a moved
clock takes effect before the next answer.
"""

import asyncio
import contextlib
from collections.abc import Callable

from sandbox.stripe.clock import Clock
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object, Store

Handler = Callable[[Scope, Object], None]
HANDLERS: dict[str, Handler] = {}
IDLE_SECONDS = 3600.0


def on_due(kind: str) -> Callable[[Handler], Handler]:
    """Register what happens to an object when a deadline of this kind comes due."""

    def register(handler: Handler) -> Handler:
        HANDLERS[kind] = handler
        return handler

    return register


def schedule(scope: Scope, kind: str, body: Object, at: int) -> None:
    """Let `kind` happen to an object at a Unix time of the sandbox's clock."""
    scope.store.db.execute("INSERT INTO due (at, kind, object) VALUES (?, ?, ?)", (at, kind, body["id"]))


def run(scope: Scope) -> None:
    """Let everything happen whose time has come, oldest first; inside the caller's transaction."""
    db = scope.store.db
    while row := db.execute(
        "SELECT * FROM due WHERE at <= ? ORDER BY at, id LIMIT 1", (scope.now,)
    ).fetchone():
        db.execute("DELETE FROM due WHERE id = ?", (row["id"],))
        body = scope.store.find(row["object"])
        if body is not None:
            HANDLERS[row["kind"]](scope.on(scope.store.owner(body["id"])), body)


def seconds_until_next(store: Store, clock: Clock) -> float:
    """Real seconds until the next deadline."""
    row = store.db.execute("SELECT min(at) AS at FROM due").fetchone()
    return IDLE_SECONDS if row["at"] is None else max(0.0, row["at"] - clock.now())


async def tick(store: Store, clock: Clock, act: Callable[[], None], changed: asyncio.Event) -> None:
    """Run `act` whenever a deadline passes; `changed` says that deadlines or the clock have moved."""
    while True:
        changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), timeout=seconds_until_next(store, clock))
        act()
