"""Every legal move can be made: short lives that take each of them, through the reducer and its invariants."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import pytest

from models.policy import Policy
from models.saga.events import (
    Answered,
    AuthorizeDue,
    BankSays,
    Cancelled,
    CardRefused,
    DisputeSays,
    Event,
    FixEnds,
    PaymentSays,
    Rebalance,
    RefundOrdered,
    RefundSays,
    Reported,
    Rescheduled,
    ReversalSays,
    Settle,
    TransferDue,
    TransferSays,
    WindowEnds,
)
from models.saga.standing import MOVES, Saga
from models.states import (
    BankPayoutStatus,
    DisputeStatus,
    PaymentStatus,
    RefundStatus,
    ReportedOutcome,
    Role,
)
from tests.model.shop import CONFIRMED, DAY, HELD, HOUR, PAID, PAID_OUT, WINDOW, Shop

pytestmark = pytest.mark.fault("M1")

BY_BANK: Final = Policy(payout_schedule="manual")
ASKING: Final = Policy(approval="provider")
AT_ONCE: Final = Policy(capture="on_payment")
MACHINES: Final = ("session", "booking", "payment", "payout", "refund", "dispute", "bank_payout")
PRICE: Final = ("eur", 12_000)
SHARE: Final = 9_600


@dataclass
class Walk:
    """One booking's life; every step has to happen."""

    shop: Shop
    policy: Policy = field(default_factory=Policy)
    stage: int = 0
    ahead: timedelta = 26 * HOUR

    def __post_init__(self) -> None:
        self.name = self.shop.order(self.policy, PRICE, self.ahead, self.stage)

    @property
    def saga(self) -> Saga:
        return self.shop.sagas[self.name]

    def tell(self, make: Callable[..., Event], *facts: object, **named: bool) -> None:
        before = self.saga
        assert self.shop.tell(self.name, make(self.shop.now, *facts, **named)), f"{make.__name__} was refused"
        assert self.saga != before, f"{make.__name__} changed nothing"

    def pay(self, status: PaymentStatus) -> None:
        self.tell(PaymentSays, status, self.shop.now + WINDOW)

    def wait(self) -> None:
        self.shop.now = self.shop.deadlines(self.name)[0]

    def wait_and_work(self) -> None:
        self.wait()
        self.shop.work(self.name)

    def dispute(self, status: DisputeStatus = DisputeStatus.OPEN, *moves: tuple[str, int]) -> None:
        self.tell(DisputeSays, "dp", PRICE[1], status, moves)


# --- lives ------------------------------------------------------------------------------------------


def nobody_pays(shop: Shop) -> None:
    walk = Walk(shop)
    walk.wait()
    walk.tell(WindowEnds)
    walk.tell(Settle)


def a_bank_takes_its_time(shop: Shop) -> None:
    for policy, said in (
        (Policy(), PaymentStatus.AUTHORIZED),
        (AT_ONCE, PaymentStatus.CAPTURED),
        (Policy(), PaymentStatus.FAILED),
    ):
        walk = Walk(shop, policy)
        walk.pay(PaymentStatus.PROCESSING)
        walk.pay(said)
    walk.tell(Settle)


def cards_are_refused_for_good(shop: Shop) -> None:
    strict = Walk(shop, Policy(strict_payment_failure=True))
    strict.tell(CardRefused)
    unrepaired = Walk(shop, stage=CONFIRMED, ahead=30 * DAY)
    unrepaired.wait()
    unrepaired.tell(AuthorizeDue, None)
    unrepaired.wait()
    unrepaired.tell(FixEnds)


def a_provider_is_asked(shop: Shop) -> None:
    for accepts in (True, False):
        walk = Walk(shop, ASKING, PAID)
        walk.tell(Answered, accepts)
    walk.tell(Settle)
    silent = Walk(shop, ASKING, PAID)
    silent.wait()
    silent.wait_and_work()


def cards_are_kept(shop: Shop) -> None:
    charged = Walk(shop, stage=CONFIRMED, ahead=30 * DAY)
    charged.wait()
    charged.tell(AuthorizeDue, shop.now + WINDOW)
    charged.tell(Rescheduled, Role.PROVIDER, shop.now + 60 * DAY)
    charged.tell(Cancelled, Role.PROVIDER)
    charged.tell(Settle)
    lost = Walk(shop, stage=CONFIRMED)
    lost.tell(Cancelled, Role.OPS)
    lost.tell(Settle)
    late = Walk(shop, stage=PAID)
    shop.now += 8 * DAY
    shop.work(late.name)


def outcomes_are_reported(shop: Shop) -> None:
    for kind in (ReportedOutcome.COMPLETED, ReportedOutcome.CLIENT_NO_SHOW):
        walk = Walk(shop, stage=CONFIRMED)
        walk.wait()
        shop.now = walk.saga.starts_at
        walk.tell(Reported, kind, Role.PROVIDER)
        walk.tell(Settle)
    late = Walk(shop, stage=CONFIRMED)
    shop.now += 20 * HOUR
    late.tell(Cancelled, Role.CLIENT)
    late.tell(Settle)


def refunds_come_and_go(shop: Shop) -> None:
    walk = Walk(shop, AT_ONCE, CONFIRMED)
    walk.tell(RefundOrdered, "r1", 12_000)
    walk.tell(RefundSays, "r1", 12_000, RefundStatus.FAILED)
    walk.tell(RefundOrdered, "r2", 2_000)
    walk.tell(RefundSays, "r2", 2_000, RefundStatus.SUCCEEDED)
    walk.tell(RefundOrdered, "r3", 10_000)
    walk.tell(RefundSays, "r3", 10_000, RefundStatus.FAILED)
    walk.tell(RefundSays, "r2", 2_000, RefundStatus.FAILED)


def a_bank_contests_the_hold(shop: Shop) -> None:
    won = Walk(shop, stage=HELD)
    won.dispute(DisputeStatus.OPEN, ("out", 12_000))
    won.dispute(DisputeStatus.WON, ("out", 12_000), ("back", -12_000))
    lost = Walk(shop, stage=HELD)
    lost.dispute(DisputeStatus.OPEN, ("out", 12_000))
    lost.dispute(DisputeStatus.LOST, ("out", 12_000))
    given_up = Walk(shop, stage=HELD)
    given_up.tell(RefundOrdered, "all", 12_000)


def a_provider_cannot_be_paid(shop: Shop) -> None:
    walk = Walk(shop, stage=HELD)
    walk.wait()
    walk.tell(TransferDue, 0, payable=False)
    walk.tell(TransferDue, 0, payable=True)
    walk.tell(TransferSays, 1, made=False)
    walk.dispute()
    walk.dispute(DisputeStatus.WON)
    walk.tell(RefundOrdered, "all", 12_000)


def a_share_comes_back_and_goes_again(shop: Shop) -> None:
    walk = Walk(shop, stage=PAID_OUT)
    walk.dispute(DisputeStatus.OPEN, ("out", 12_000))
    walk.tell(Rebalance, 10**9)
    walk.dispute(DisputeStatus.WON, ("out", 12_000), ("back", -12_000))
    walk.tell(Rebalance, 0)
    walk.tell(TransferSays, 2, made=True)
    by_hand = Walk(shop, stage=PAID_OUT)
    by_hand.tell(ReversalSays, "trr_1", 600)
    by_hand.tell(Rebalance, 0, by_ops=True)
    by_hand.tell(TransferSays, 2, made=True)
    by_hand.tell(ReversalSays, "trr_2", 600)
    by_hand.tell(ReversalSays, "trr_3", SHARE - 600)


def a_bank_sends_the_share_back(shop: Shop) -> None:
    walk = Walk(shop, BY_BANK, PAID_OUT)
    walk.tell(BankSays, 1, BankPayoutStatus.FAILED)
    walk.tell(BankSays, 2, BankPayoutStatus.PENDING)
    walk.tell(BankSays, 2, BankPayoutStatus.FAILED)
    walk.tell(BankSays, 3, BankPayoutStatus.PENDING)
    walk.tell(BankSays, 3, BankPayoutStatus.PAID)


LIVES: Final = (
    nobody_pays,
    a_bank_takes_its_time,
    a_provider_is_asked,
    cards_are_kept,
    outcomes_are_reported,
    refunds_come_and_go,
    cards_are_refused_for_good,
    a_bank_contests_the_hold,
    a_provider_cannot_be_paid,
    a_share_comes_back_and_goes_again,
    a_bank_sends_the_share_back,
)


def test_every_legal_move_is_made_by_some_life() -> None:
    taken: set[tuple[str, str, str]] = set()
    for live in LIVES:
        shop = Shop()
        live(shop)
        taken |= shop.taken
    names = dict(zip(MOVES, MACHINES, strict=True))
    legal = {
        (names[machine], str(source), str(target))
        for machine, moves in MOVES.items()
        for source, targets in moves.items()
        for target in targets
    }
    assert legal - taken == set()
    assert taken <= legal
