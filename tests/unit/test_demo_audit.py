"""The demo's check of the money can fail: every figure is tampered with in turn."""

import io
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from rich.console import Console

from models.books import Books, Division
from models.ledger import (
    JournalKind,
    Line,
    allocation,
    capture,
    debt,
    dispute_fee,
    netting,
    reversal,
    shift,
    stripe_fee,
    transfer,
)
from sandbox.asking import Json
from sandbox.demo.__main__ import verdict
from sandbox.demo.audit import KINDS, AtStripe, Entry, Figures, findings
from sandbox.demo.play import Played
from sandbox.demo.scenario import Ending, Scenario
from sandbox.demo.scenarios import SCENARIOS

BOOKING: Json = {
    "id": "b",
    "status": "COMPLETED",
    "status_reason": None,
    "attention": None,
    "payment": {
        "status": "PARTIALLY_REFUNDED",
        "currency": "eur",
        "amount_captured": 12_000,
        "amount_refunded": 2_000,
        "platform_fee": 2_000,
        "provider_share": 8_000,
    },
    "payout": {"status": "PAID", "amount": 8_000, "debt_netted": 500},
}


def journal(kind: JournalKind, lines: tuple[Line, ...], object_id: str | None) -> tuple[Entry, ...]:
    return tuple(
        Entry(f"journal-{kind}-{object_id}", kind, line.account, line.side, line.amount, "eur", object_id)
        for line in lines
        if line.amount
    )


CAPTURED = Books(currency="eur", fee_bps=2_000, captured=12_000)
REFUNDED = CAPTURED.model_copy(update={"refunded": 3_000})
DIVIDED = REFUNDED.model_copy(update={"allocated": True})
BACK = DIVIDED.model_copy(update={"refunded": 2_000})
DISPUTED = BACK.model_copy(update={"disputed": 10_000})

GOOD = Figures(
    booking=BOOKING,
    ledger=(
        *journal(JournalKind.CAPTURE, capture(12_000), "ch_1"),
        *journal(JournalKind.STRIPE_FEE, stripe_fee(378), "txn_0"),
        *journal(JournalKind.REFUND, shift(CAPTURED, REFUNDED), "re_1"),
        *journal(
            JournalKind.ALLOCATION, allocation(Division(platform_fee=1_800, provider_share=7_200)), None
        ),
        *journal(JournalKind.NETTING, netting(500), None),
        *journal(JournalKind.TRANSFER, transfer(6_700), "tr_1"),
        *journal(JournalKind.REFUND_FAILURE, shift(DIVIDED, BACK), "re_1"),
        *journal(JournalKind.DISPUTE, shift(BACK, DISPUTED), "txn_1"),
        *journal(JournalKind.DISPUTE_FEE, dispute_fee(1_500), "txn_1"),
        *journal(JournalKind.REVERSAL, reversal(6_000), "trr_1"),
        *journal(JournalKind.DEBT, debt(1_200), None),
        *journal(JournalKind.DISPUTE, shift(DISPUTED, BACK), "txn_2"),
        *journal(JournalKind.TRANSFER, transfer(8_000), "tr_2"),
    ),
    stripe=AtStripe(
        intents=("succeeded", "canceled"),
        moved={
            "capture": {"ch_1": 12_000},
            "stripe_fee": {"txn_0": -378},
            "refund": {"re_1": -3_000},
            "refund_failure": {"re_1": 1_000},
            "dispute": {"txn_1": -10_000, "txn_2": 10_000},
            "dispute_fee": {"txn_1": -1_500},
            "transfer": {"tr_1": -6_700, "tr_2": -8_000},
            "reversal": {"trr_1": 6_000},
        },
        destinations=("acct_1", "acct_1"),
        provider_account="acct_1",
    ),
)
"""A life of everything: refunded, part of it in vain, netted, disputed, taken back, owed, won, paid again."""


def without(kind: JournalKind) -> Figures:
    return replace(GOOD, ledger=tuple(line for line in GOOD.ledger if line.kind != kind))


def with_line(number: int, **changes: object) -> Figures:
    lines = list(GOOD.ledger)
    lines[number] = replace(lines[number], **changes)  # type: ignore[arg-type]
    return replace(GOOD, ledger=tuple(lines))


def at_stripe(**changes: object) -> Figures:
    return replace(GOOD, stripe=replace(GOOD.stripe, **changes))  # type: ignore[arg-type]


def moved(kind: str, **objects: int) -> Figures:
    return at_stripe(moved={**GOOD.stripe.moved, kind: objects})


def shown(part: str, name: str, value: int) -> Figures:
    booking = deepcopy(BOOKING)
    booking[part][name] = value
    return replace(GOOD, booking=booking)


def test_what_adds_up_is_not_complained_about() -> None:
    assert findings(GOOD) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_movement_at_stripe_has_to_be_on_the_books(kind: str) -> None:
    complaint = f"of kind {kind}, the ledger nothing"
    assert complaint in "; ".join(findings(without(JournalKind(kind))))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_on_the_books_has_to_have_happened_at_stripe(kind: str) -> None:
    assert f"Stripe has nothing of kind {kind}, the ledger " in "; ".join(findings(moved(kind)))


TAMPERED: dict[str, tuple[Figures, str]] = {
    "a line that is a cent off": (
        with_line(0, amount=12_001),
        "journal-capture-ch_1 is 1 eur out of balance",
    ),
    "a line in another currency": (with_line(0, currency="usd"), "the ledger has usd, the booking is in eur"),
    "money left in the hold": (without(JournalKind.ALLOCATION), "held in the end is 9000, nothing 0"),
    "a share that was never sent": (
        without(JournalKind.TRANSFER),
        "payable to the provider in the end is 14700",
    ),
    "a debt nobody wrote down": (without(JournalKind.DEBT), "payable to the provider in the end is -1200"),
    "a transfer a cent short": (moved("transfer", tr_1=-6_699, tr_2=-8_000), "tr_1 (-6699)"),
    "a transfer to somebody else": (
        at_stripe(destinations=("acct_1", "acct_2")),
        "a transfer went to acct_2, not to acct_1",
    ),
    "a transfer made twice": (
        moved("transfer", tr_1=-6_700, tr_2=-8_000, tr_3=-8_000),
        "the provider has 16700 of 12000 that were captured",
    ),
    "a charge made twice": (
        moved("capture", ch_1=12_000, ch_2=12_000),
        "Stripe has 2 captured charges for one booking",
    ),
    "an authorization that was not let go": (
        at_stripe(intents=("succeeded", "requires_capture")),
        "a PaymentIntent is left requires_capture",
    ),
    "a wrong captured amount shown": (shown("payment", "amount_captured", 1), "amount_captured is 1"),
    "a wrong refund shown": (shown("payment", "amount_refunded", 1), "amount_refunded is 1"),
    "a wrong fee shown": (shown("payment", "platform_fee", 1), "platform_fee is 1, the ledger's 2000"),
    "a wrong share shown": (shown("payment", "provider_share", 1), "provider_share is 1, what was sent"),
    "a wrong payout shown": (shown("payout", "amount", 1), "the payout's amount is 1, what was sent"),
    "a wrong debt shown": (shown("payout", "debt_netted", 1), "debt_netted is 1, the ledger's 500"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_does_not_add_up_is_named(name: str) -> None:
    figures, complaint = TAMPERED[name]
    assert complaint in "; ".join(findings(figures))


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (lambda it: it.update(status="CANCELLED"), "its status is CANCELLED, not COMPLETED"),
        (lambda it: it.update(status_reason="x"), "its reason is x, not None"),
        (lambda it: it["payout"].update(status="HELD"), "its payout is HELD, not PAID"),
        (lambda it: it["payment"].update(amount_captured=1), "its amount captured is 1, not 12000"),
        (lambda it: it["payment"].update(provider_share=1), "its provider's share is 1, not 8000"),
        (lambda it: it["payout"].update(debt_netted=0), "its debt netted is 0, not 500"),
        (lambda it: it.update(attention="x"), "its attention is x, not None"),
    ],
)
def test_a_booking_that_ends_elsewhere_is_noticed(tamper: Callable[[Json], None], complaint: str) -> None:
    ending = Ending("COMPLETED", "PARTIALLY_REFUNDED", "PAID", captured=12_000, refunded=2_000, netted=500)
    booking = deepcopy(BOOKING)
    assert ending.departures(booking) == []
    tamper(booking)
    assert ending.departures(booking) == [complaint]


def judged(*played: Played) -> tuple[bool, str]:
    written = io.StringIO()
    return verdict(Console(file=written), played, 1.0), written.getvalue()


def a_scenario() -> Scenario:
    return SCENARIOS[0]


def test_the_demo_succeeds_only_when_nothing_is_wrong() -> None:
    good = Played(a_scenario(), (BOOKING,), figures=(GOOD,))
    fine, said = judged(good)
    assert fine
    assert said.startswith(
        "The money adds up: captured 120.00 EUR = refunded 20.00 EUR + disputed 0.00 EUR + platform 20.00 EUR "
        "+ providers 87.00 EUR - owed by providers 7.00 EUR, and nothing is held or authorized."
    )
    fine, said = judged(good, Played(a_scenario(), wrong=["it is late"]))
    assert not fine
    assert said == "NOT AS IT SHOULD BE: happy path: it is late\n"
