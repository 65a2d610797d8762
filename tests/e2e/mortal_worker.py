"""The product's worker with one thing more: it kills or stops itself where an order says so.

`python -m tests.e2e.mortal_worker`, with `CHAOS_KILL` naming the directory of the orders. A step crosses
boundaries: it has begun, a write to Stripe is about to be sent, is in flight, was accepted, a transaction
has been committed, the step has returned or failed but nobody has heard. An order names step, boundary and booking;
it is taken by renaming it, so that it strikes once however many workers there are. With `CHAOS_UNGUARDED`
writes have no keys of ours and nothing is looked up: for showing that the harm would be seen.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

import worker
from activities import relay, stripe_calls
from activities.interceptor import StepInterceptor
from models.database import Database
from sandbox.process import LIBC, PR_SET_PDEATHSIG
from tests.e2e.orders import ANYBODY, Boundary, Orders, Place
from tests.support.wrote import wrote

FLIGHT: Final = 0.5
"""Seconds after which a write is on its way, if Stripe is slow."""

RELAY_LIFE: Final = timedelta(seconds=15)
"""Instead of an hour, so that the relay returns while somebody watches."""

ORDERS: Final = Orders(Path(os.environ["CHAOS_KILL"]))


class Step:
    """One attempt at a step, on its way through its boundaries."""

    def __init__(self, name: str, whose: str) -> None:
        self._name = name
        self._whose = whose
        self._crossed: Counter[str] = Counter()

    def cross(self, boundary: str) -> None:
        """Go past a boundary, or end here."""
        if signum := self.doomed(boundary):
            strike(signum)

    def doomed(self, boundary: str) -> signal.Signals | None:
        """The signal that an order has for this boundary; the order is taken."""
        self._crossed[boundary] += 1
        place = Place(Boundary(self._name, f"{boundary}-{self._crossed[boundary]}"), self._whose)
        ORDERS.note(place)
        return ORDERS.take(place)


STEP: Final[ContextVar[Step | None]] = ContextVar("step", default=None)


def strike(signum: signal.Signals) -> None:
    """Send this process a signal that it cannot catch."""
    os.kill(os.getpid(), signum)


def whose(workflow_id: str) -> str:
    """The booking that a workflow is about."""
    kind, _, booking_id = workflow_id.partition("-")
    return booking_id if kind in ("booking", "aftercare") else ANYBODY


class Mortal(Interceptor):
    """Outermost: before a step does anything, and after everything that it does."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        return _MortalStep(next)


class _MortalStep(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        info = activity.info()
        step = Step(info.activity_type, whose(info.workflow_id or ""))
        STEP.set(step)
        step.cross("begun")
        try:
            result = await super().execute_activity(input)
        except Exception:
            step.cross("failed")
            raise
        step.cross("returned")
        return result


real_write = stripe_calls.write
real_transaction = Database.transaction


async def mortal_write(call: Coroutine[Any, Any, Any]) -> Any:
    """A write to Stripe: they all leave through one function."""
    step = STEP.get()
    if step is None:
        return await real_write(call)
    step.cross("sent")
    flying = asyncio.create_task(real_write(call))
    if signum := step.doomed("flying"):
        await asyncio.sleep(FLIGHT)
        strike(signum)
    answer = await flying
    step.cross("accepted")
    return answer


@asynccontextmanager
async def mortal_transaction(self: Database) -> AsyncIterator[AsyncSession]:
    """A transaction; one that has only read is no boundary."""
    step, changed = STEP.get(), False
    async with real_transaction(self) as session:
        yield session
        if step is not None:
            changed = await wrote(session)
    if step is not None and changed:
        step.cross("committed")


async def nothing_found(*_: Any) -> None:
    """A look-up that does not look."""


def become_mortal() -> None:
    """Put the boundaries into the product."""
    mortal: dict[object, dict[str, Any]] = {
        stripe_calls: {"write": mortal_write},
        Database: {"transaction": mortal_transaction},
        relay: {"RELAY_LIFE": RELAY_LIFE},
        worker: {"workers": partial(worker.workers, interceptors=[Mortal(), StepInterceptor()])},
    }
    if os.environ.get("CHAOS_UNGUARDED"):
        mortal[stripe_calls] |= {"find": nothing_found, "once": lambda _: {"idempotency_key": str(uuid4())}}
    for owner, names in mortal.items():
        for name, replaced in names.items():
            setattr(owner, name, replaced)


class Line:
    """One worker after the other, each a process of its own that is forked when the last one was killed.

    Whoever starts a worker anew pays for its imports; hundreds of deaths would be hundreds of them.
    """

    def __init__(self) -> None:
        self._child = 0
        self._ends = False

    def run(self) -> int:
        """Until somebody says stop, or a worker ends of its own accord; answers its status."""
        signal.signal(signal.SIGTERM, self._stop)
        while True:
            self._child = os.fork()
            if self._child == 0:
                self._live()
            if self._ends:
                os.kill(self._child, signal.SIGTERM)
            _, status = os.waitpid(self._child, 0)
            if self._ends or not os.WIFSIGNALED(status):
                return os.waitstatus_to_exitcode(status)

    def _stop(self, *_: object) -> None:
        self._ends = True
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGTERM)

    @staticmethod
    def _live() -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        asyncio.run(worker.main())
        sys.exit(0)


if __name__ == "__main__":
    become_mortal()
    sys.exit(Line().run())
