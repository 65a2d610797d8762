"""Several bookings of one provider, with its debts between them: events go in, invariants are checked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from models.books import repay
from models.policy import Policy
from models.saga import events, promising, reducer
from models.saga.events import Event
from models.saga.standing import Refused, Saga
from models.states import BankPayoutStatus, BookingStatus, PaymentStatus, PayoutStatus
from tests.model.invariants import check, check_debts, check_step

NOON = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WINDOW = 7 * DAY
PAID, CONFIRMED, HELD, PAID_OUT = range(1, 5)
LASTING = (
    events.RefundOrdered,
    events.RefundSays,
    events.DisputeSays,
    events.TransferSays,
    events.BankSays,
    events.ReversalSays,
    events.DebtRepaid,
    events.Settle,
    events.CardRefused,
)
"""Facts that stay true: hearing them again, however late, changes nothing. A stale word about an
authorization is not one of them: the intent is read again."""

Reduce = Callable[[Saga, Event], Saga]


@dataclass
class Shop:
    """The provider's bookings and the clock."""

    reduce: Reduce = reducer.reduce
    now: datetime = NOON
    sagas: dict[str, Saga] = field(default_factory=dict)
    past: list[tuple[str, Event]] = field(default_factory=list)
    taken: set[tuple[str, str, str]] = field(default_factory=set)
    """Moves that were made: machine, from, to."""

    def reserve(self, policy: Policy, amount: int, currency: str, ahead: timedelta) -> str:
        name = f"b{len(self.sagas) + 1}"
        starts_at = self.now + ahead
        self.sagas[name] = promising.reserve(
            policy=policy,
            amount=amount,
            currency=currency,
            slot=(starts_at, starts_at + HOUR),
            at=self.now,
            window=WINDOW,
        )
        return name

    def order(self, policy: Policy, price: tuple[str, int], ahead: timedelta, stage: int) -> str:
        """A booking that has come as far as `stage`, by the way that most bookings go."""
        currency, amount = price
        name = self.reserve(policy, amount, currency, ahead)
        if stage >= PAID:
            paid = promising.ANSWERS[self.sagas[name].plan]
            self.tell(name, events.PaymentSays(self.now, paid, self.now + WINDOW))
            self.tell(name, events.Proceed(self.now))
        if stage >= CONFIRMED:
            self.work(name)
            self.tell(name, events.Answered(self.now, accepts=True))
        if stage >= HELD:
            self._until(name, lambda saga: saga.ended)
        if stage >= PAID_OUT:
            self._until(name, lambda saga: saga.payout is not PayoutStatus.HELD)
            self.tell(name, events.TransferSays(self.now, 1, made=True))
            self.tell(name, events.BankSays(self.now, 1, BankPayoutStatus.PENDING))
            self.tell(name, events.BankSays(self.now, 1, BankPayoutStatus.PAID))
        return name

    def debt(self, currency: str, amount: int) -> str:
        """A booking that was paid out, refunded, and could not be reversed: its provider owes the share."""
        name = self.order(Policy(), (currency, amount), DAY, PAID_OUT)
        self.tell(name, events.RefundOrdered(self.now, "all of it", amount))
        self.tell(name, events.Rebalance(self.now, available=0))
        return name

    def _until(self, name: str, there: Callable[[Saga], bool]) -> None:
        while not there(self.sagas[name]) and (ahead := self.deadlines(name)):
            self.now = ahead[0]
            self.work(name)

    def tell(self, name: str, event: Event) -> bool:
        """Let it happen, and once more as if its worker had crashed; False when it was refused."""
        before = self.sagas[name]
        try:
            after = self.reduce(before, event)
        except Refused:
            return False
        self.sagas[name] = after
        self._again(name, event)
        if after is before:
            return True
        self._note(before, after)
        check_step(before, after, event.at)
        check(after)
        self.past.append((name, event))
        self._net(name, before.books.netted, len(self.past))
        check_debts(self.sagas.values())
        return True

    def again(self, place: int) -> None:
        """An earlier fact is heard once more (I9)."""
        lasting = [(name, event) for name, event in self.past if isinstance(event, LASTING)]
        if lasting:
            self._again(*lasting[place % len(lasting)])

    def _again(self, name: str, event: Event) -> None:
        stands = self.sagas[name]
        try:
            repeated = self.reduce(stands, event)
        except Refused:
            return
        assert repeated == stands, f"{event} changes something when it is repeated"

    def _net(self, name: str, netted_before: int, turn: int) -> None:
        paying = self.sagas[name]
        netted = paying.books.netted - netted_before
        owing = [one for one in self.sagas if one != name and self._debt(one, paying.currency)]
        debts = [self._debt(one, paying.currency) for one in owing]
        for debtor, part in zip(owing, repay(debts, netted), strict=True):
            if part:
                repaid = events.DebtRepaid(self.now, by=f"{name}:{turn}", amount=part)
                self.sagas[debtor] = self.reduce(self.sagas[debtor], repaid)
                self._again(debtor, repaid)
                check(self.sagas[debtor])
                self.past.append((debtor, repaid))

    def debts_but_of(self, name: str) -> int:
        currency = self.sagas[name].currency
        return sum(self._debt(one, currency) for one in self.sagas if one != name)

    def _debt(self, name: str, currency: str) -> int:
        saga = self.sagas[name]
        return saga.open_debt if saga.currency == currency else 0

    def _note(self, before: Saga, after: Saga) -> None:
        for part in ("session", "booking", "payment", "payout"):
            self._took(part, getattr(before, part), getattr(after, part))
        for key, refund in before.refunds.items():
            self._took("refund", refund.status, after.refunds[key].status)
        for key, dispute in before.disputes.items():
            self._took("dispute", dispute.status, after.disputes[key].status)
        for was, is_ in zip(before.bank, after.bank, strict=False):
            self._took("bank_payout", was, is_)

    def _took(self, machine: str, source: object, target: object) -> None:
        if source is not None and source is not target:
            self.taken.add((machine, str(source), str(target)))

    # --- what the saga does by itself ---------------------------------------------------------

    def deadlines(self, name: str) -> list[datetime]:
        saga = self.sagas[name]
        pending = saga.booking is BookingStatus.PENDING
        asked = saga.booking is BookingStatus.AWAITING_APPROVAL
        confirmed = saga.booking is BookingStatus.CONFIRMED
        every = [
            saga.expires_at if pending else None,
            saga.approval_due_at if asked else None,
            saga.authorize_at if saga.fix_by is None else None,
            saga.fix_by,
            saga.renew_at if confirmed else None,
            saga.capture_before if saga.payment is PaymentStatus.AUTHORIZED else None,
            saga.starts_at if confirmed else None,
            saga.completion_due_at if confirmed else None,
            saga.hold.due_at if saga.hold else None,
        ]
        return sorted(instant for instant in every if instant is not None and instant > self.now)

    def work(self, name: str, *, renewed: bool = True, payable: bool = True) -> None:
        """Whatever is due: each step is tried, and refuses when it is not its turn."""
        at, later = self.now, self.now + WINDOW if renewed else None
        for event in (
            events.Expired(at),
            events.WindowEnds(at),
            events.Proceed(at),
            events.Silence(at),
            events.FixEnds(at),
            events.AuthorizeDue(at, later),
            events.RenewDue(at, later),
            events.GraceEnds(at),
            events.Settle(at),
            events.TransferDue(at, self.debts_but_of(name), payable),
        ):
            self.tell(name, event)
