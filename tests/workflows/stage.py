"""Where a step is played: what was called, and what may go wrong in it."""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from temporalio.exceptions import ApplicationError

from workflows.contracts import Message

SOON_SECONDS = 15


def broken(kind: str = "StripeRejected", *, lasting: bool = True) -> ApplicationError:
    """A failure of a step; a lasting one parks at once, another is tried again in seconds."""
    return ApplicationError("made to fail", type=kind, non_retryable=lasting)


@dataclass
class Gate:
    """Keeps a step from going on: inside it, before or after it has acted."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_through(self) -> None:
        self.entered.set()
        await self.opened.wait()


@dataclass
class Trouble:
    """What happens to one call of a step: before it acts, or after (the caller never learns that it did)."""

    before: ApplicationError | None = None
    gate: Gate | None = None
    after: ApplicationError | None = None


@dataclass
class Call:
    step: str
    message: Message

    @property
    def at(self) -> datetime:
        """The saga's instant that came with the call."""
        at: datetime = getattr(self.message, "at", None) or self.message.outcome.at  # type: ignore[attr-defined]
        return at


@dataclass
class Stage:
    """Writes down every call, plays it by the method of the same name, and makes trouble."""

    calls: list[Call] = field(default_factory=list)
    troubles: dict[str, deque[Trouble]] = field(default_factory=lambda: defaultdict(deque))
    gates: list[Gate] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    # --- what a test does to it -------------------------------------------------------------

    def fails(self, step: str, *, times: int = 1, error: ApplicationError | None = None) -> None:
        self.troubles[step].extend([Trouble(before=error or broken())] * times)

    def loses_its_answer(self, step: str) -> None:
        """The step acts, and nobody learns of it: as after a timeout."""
        self.troubles[step].append(Trouble(after=broken("StripeIndeterminate")))

    def stops_in(self, step: str) -> Gate:
        gate = Gate()
        self.gates.append(gate)
        self.troubles[step].append(Trouble(gate=gate))
        return gate

    def opens_every_gate(self) -> None:
        for gate in self.gates:
            gate.opened.set()

    def steps(self, *names: str) -> list[str]:
        """The steps that were called, in order; only those of `names`, if there are any."""
        return [call.step for call in self.calls if not names or call.step in names]

    def call(self, step: str) -> Call:
        """The latest call of `step`."""
        return [call for call in self.calls if call.step == step][-1]

    async def reached(self, step: str, times: int = 1) -> None:
        """Until `step` was called so often."""
        async with asyncio.timeout(SOON_SECONDS), self.changed:
            await self.changed.wait_for(lambda: self.steps().count(step) >= times)

    # --- what the saga does to it -------------------------------------------------------------

    async def perform(self, step: str, message: Message) -> Any:
        """Play the call `step`; a note of attention is named by what it says."""
        called = step
        if step == "record_attention":
            called = f"attention {getattr(message, 'step', None) or 'over'}"
        async with self.changed:
            self.calls.append(Call(called, message))
            self.changed.notify_all()
        trouble = self.troubles[called].popleft() if self.troubles[called] else Trouble()
        if trouble.before:
            raise trouble.before
        if trouble.gate:
            await trouble.gate.pass_through()
        result = getattr(self, step)(message)
        if trouble.after:
            raise trouble.after
        return result
