"""The undo stack: every undo is registered before its do and unwound last-in-first-out.

An undo must be safe when its do never happened, or was applied and timed out.
"""

from collections.abc import Awaitable, Callable

from workflows.contracts import Actor


class Abandoned(Exception):
    """The booking will not take place: unwind, and end it for this reason."""

    def __init__(self, reason: str, actor: Actor) -> None:
        super().__init__(reason)
        self.reason = reason
        self.actor = actor


class Interrupted(Abandoned):
    """A parked step has to wait: something more urgent was said. Nothing is given up."""


Undo = Callable[[Abandoned], Awaitable[None]]


class UndoStack:
    """What has to be taken back if the booking is abandoned."""

    def __init__(self) -> None:
        self._undos: list[Undo] = []

    def push(self, undo: Undo) -> None:
        """Register `undo` before doing what it takes back."""
        self._undos.append(undo)

    async def unwind(self, because: Abandoned) -> None:
        """Run every undo, the latest first. An undo that fails parks; it is never skipped."""
        while self._undos:
            await self._undos.pop()(because)
