"""The parts of one running sandbox, put together once."""

import asyncio
from pathlib import Path

from sandbox.stripe import due
from sandbox.stripe.clock import Clock
from sandbox.stripe.delivery import Deliverer
from sandbox.stripe.faults import Faults
from sandbox.stripe.idempotency import Keys
from sandbox.stripe.scope import Scope
from sandbox.stripe.settings import Settings
from sandbox.stripe.store import Store


class State:
    """Store, clock, keys, faults and deliverer of one sandbox; `base_url` is set when the port is known."""

    def __init__(self, settings: Settings, database: Path | None) -> None:
        self.settings = settings
        self.store = Store(database)
        self.clock = Clock(self.store)
        self.keys = Keys(self.store)
        self.faults = Faults()
        self.deliverer = Deliverer(self.store)
        self.base_url = ""
        self._deadlines = asyncio.Event()

    def scope(self) -> Scope:
        """A view for work that no request asked for."""
        return Scope(self.store, self.settings, self.clock.now(), self.base_url)

    def poke(self) -> None:
        """Something was written: there may be events to send and new deadlines to watch."""
        self._deadlines.set()
        self.deliverer.wake()

    def run_due(self) -> None:
        """Let everything happen whose time has come."""
        with self.store.transaction():
            due.run(self.scope())
        self.deliverer.wake()

    async def run(self) -> None:
        """Deliver webhooks and watch deadlines until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.deliverer.run())
            tasks.create_task(due.tick(self.store, self.clock, self.run_due, self._deadlines))

    def reset(self, *, webhook_endpoints: bool) -> None:
        """Forget objects, keys, deliveries, faults, go back to real time; endpoints go only when asked to."""
        with self.store.transaction():
            self.clock.reset()
            self.store.clear(keeping=None if webhook_endpoints else "webhook_endpoint")
        self.faults.clear()
        self.poke()
