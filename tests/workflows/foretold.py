"""One booking in the pure model, whose clock is told: what has to become of it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from models.policy import Policy
from models.saga import events
from models.saga.standing import Saga
from models.states import BankPayoutStatus, PayoutStatus, StatusReason
from tests.model.shop import Reduce, Shop
from tests.workflows.rows import PRICE

ALL: Final = 10**9
Picture = dict[str, Any]


@dataclass
class Foretold:
    """The booking in the model, whose clock is told."""

    shop: Shop
    name: str
    payable: bool = True

    @classmethod
    def begin(cls, policy: Policy, starts_in: timedelta, at: datetime, reduce: Reduce) -> "Foretold":
        shop = Shop(reduce, now=at)
        name = shop.reserve(policy, PRICE, "eur", starts_in)
        shop.sagas[name] = replace(shop.sagas[name], zone="UTC")
        return cls(shop, name)

    @property
    def saga(self) -> Saga:
        return self.shop.sagas[self.name]

    @property
    def now(self) -> datetime:
        return self.shop.now

    def until(self, instant: datetime | None) -> None:
        """Let every deadline on the way come; None lets them all come."""
        while ahead := self.shop.deadlines(self.name):
            if instant is not None and ahead[0] > instant:
                break
            self.shop.now = ahead[0]
            self._work()
        self.shop.now = instant or self.shop.now

    def tell(self, *happened: events.Event) -> bool:
        """Let it happen, and everybody do what is due then; False when something of it was refused."""
        taken = [self.shop.tell(self.name, event) for event in happened]
        self._work()
        return all(taken)

    def _work(self) -> None:
        at, tell = self.now, self.shop.tell
        self.shop.work(self.name, payable=self.payable)
        while True:
            before = self.saga
            if before.unbalanced:
                tell(self.name, events.Rebalance(at, ALL))
            if self.saga.in_flight is not None:
                tell(self.name, events.TransferSays(at, self.saga.attempts, made=True))
            if self.saga.at_bank and self.saga.payout is PayoutStatus.PROCESSING:
                number = len(self.saga.bank) + 1
                for status in (BankPayoutStatus.PENDING, BankPayoutStatus.PAID):
                    tell(self.name, events.BankSays(at, number, status))
            if self.saga == before:
                return

    def picture(self) -> Picture:
        saga, books = self.saga, self.saga.books
        reason = saga.decision.reason if saga.decision else None
        return {
            "booking": saga.booking,
            "reason": reason if reason in {*StatusReason} else None,
            "payment": saga.payment,
            "payout": saga.payout,
            "money": [books.captured, books.refunded, books.disputed, books.transferred, books.reversed],
            "transfers": [*saga.transfers],
        }
