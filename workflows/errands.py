"""What people ordered and the saga has still to do: one thing at a time, in the order of asking."""

from collections import deque
from dataclasses import dataclass

from workflows.orders import HoldOrder, Objection, RefundOrder, Reschedule

Order = RefundOrder | Reschedule | Objection | HoldOrder


@dataclass
class Errand:
    """An order and what became of it."""

    order: Order
    done: bool = False
    refusal: str | None = None
    """A problem code, when it was refused."""
    detail: str = ""

    def refuse(self, code: str, detail: str) -> None:
        """It cannot be done, and nothing was."""
        self.done, self.refusal, self.detail = True, code, detail


class Errands:
    """A queue that remembers nothing of what is done: whoever ordered it holds the errand."""

    def __init__(self) -> None:
        self._waiting: deque[Errand] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, order: Order) -> Errand:
        """Queue an order."""
        errand = Errand(order)
        self._waiting.append(errand)
        return errand

    def take(self) -> Errand:
        """The one that was asked for first."""
        return self._waiting.popleft()
