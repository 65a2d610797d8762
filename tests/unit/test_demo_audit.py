"""The demo's check of the money can fail: every figure is tampered with in turn."""

import io
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from rich.console import Console

from models.books import Books, Division
from models.ledger import JournalKind, Line, allocation, capture, shift, transfer
from sandbox.client import Json
from sandbox.demo.__main__ import verdict
from sandbox.demo.audit import AtStripe, Entry, Figures, Moved, findings
from sandbox.demo.play import Played
from sandbox.demo.scenarios import SCENARIOS, Ending, Scenario

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
    "payout": {"status": "PAID", "amount": 8_000},
}


def journal(kind: JournalKind, lines: tuple[Line, ...], object_id: str | None) -> tuple[Entry, ...]:
    return tuple(
        Entry(f"journal-{kind}", kind, line.account, line.side, line.amount, "eur", object_id)
        for line in lines
    )


CAPTURED = Books(currency="eur", fee_bps=2_000, captured=12_000)
REFUNDED = CAPTURED.model_copy(update={"refunded": 2_000})
DIVIDED = Division(platform_fee=2_000, provider_share=8_000)

GOOD = Figures(
    booking=BOOKING,
    ledger=(
        *journal(JournalKind.CAPTURE, capture(12_000), "ch_1"),
        *journal(JournalKind.REFUND, shift(CAPTURED, REFUNDED), "re_1"),
        *journal(JournalKind.ALLOCATION, allocation(DIVIDED), None),
        *journal(JournalKind.TRANSFER, transfer(8_000), "tr_1"),
    ),
    stripe=AtStripe(
        intents=("succeeded",),
        captured=(Moved("ch_1", 12_000, "eur"),),
        refunds=(Moved("re_1", 2_000, "eur"),),
        transfers=(Moved("tr_1", 8_000, "eur", destination="acct_1"),),
        provider_account="acct_1",
    ),
)


def without(kind: JournalKind) -> Figures:
    return replace(GOOD, ledger=tuple(line for line in GOOD.ledger if line.kind != kind))


def with_line(number: int, **changes: object) -> Figures:
    lines = list(GOOD.ledger)
    lines[number] = replace(lines[number], **changes)  # type: ignore[arg-type]
    return replace(GOOD, ledger=tuple(lines))


def at_stripe(**changes: object) -> Figures:
    return replace(GOOD, stripe=replace(GOOD.stripe, **changes))  # type: ignore[arg-type]


def shown(part: str, name: str, value: int) -> Figures:
    booking = deepcopy(BOOKING)
    booking[part][name] = value
    return replace(GOOD, booking=booking)


def moved(amount: int, **changes: object) -> tuple[Moved, ...]:
    return (replace(GOOD.stripe.transfers[0], amount=amount, **changes),)  # type: ignore[arg-type]


def test_what_adds_up_is_not_complained_about() -> None:
    assert findings(GOOD) == []


TAMPERED: dict[str, tuple[Figures, str]] = {
    "a line that is a cent off": (with_line(0, amount=12_001), "journal-capture is 1 eur out of balance"),
    "a line in another currency": (with_line(0, currency="usd"), "the ledger has usd, the booking is in eur"),
    "money left in the hold": (without(JournalKind.ALLOCATION), "held in the end is 10000, nothing 0"),
    "a share that was never sent": (
        without(JournalKind.TRANSFER),
        "payable to the provider in the end is 8000",
    ),
    "a transfer a cent short": (at_stripe(transfers=moved(7_999)), "tr_1 (7999)"),
    "a transfer that was reversed": (at_stripe(transfers=moved(8_000, reversed=1)), "provider_share is 8000"),
    "a transfer to somebody else": (
        at_stripe(transfers=moved(8_000, destination="acct_2")),
        "transfer tr_1 went to acct_2, not to acct_1",
    ),
    "a transfer made twice": (
        at_stripe(transfers=(*moved(8_000), *moved(8_000, id="tr_2"))),
        "Stripe has 2 transfers for one booking",
    ),
    "a capture nobody booked": (without(JournalKind.CAPTURE), "of kind capture, the ledger nothing"),
    "a refund nobody booked": (without(JournalKind.REFUND), "Stripe has re_1 (2000) of kind refund"),
    "a refund that never happened": (at_stripe(refunds=()), "Stripe has nothing of kind refund"),
    "a second intent": (
        at_stripe(intents=("succeeded", "canceled")),
        "Stripe has 2 PaymentIntents for one booking",
    ),
    "an authorization that was not let go": (
        at_stripe(intents=("requires_capture",)),
        "the PaymentIntent is left requires_capture",
    ),
    "a wrong captured amount shown": (shown("payment", "amount_captured", 1), "amount_captured is 1"),
    "a wrong refund shown": (shown("payment", "amount_refunded", 1), "amount_refunded is 1"),
    "a wrong fee shown": (shown("payment", "platform_fee", 1), "platform_fee is 1, the ledger's 2000"),
    "a wrong payout shown": (shown("payout", "amount", 1), "the payout's amount is 1, the transfer 8000"),
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
        (lambda it: it.update(payout=None), "its payout is None, not PAID"),
        (lambda it: it["payment"].update(amount_captured=1), "its amount captured is 1, not 12000"),
    ],
)
def test_a_booking_that_ends_elsewhere_is_noticed(tamper: Callable[[Json], None], complaint: str) -> None:
    ending = Ending("COMPLETED", "PARTIALLY_REFUNDED", "PAID", captured=12_000, refunded=2_000)
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
    fine, said = judged(Played(a_scenario(), BOOKING, figures=GOOD))
    assert fine
    assert said.startswith(
        "The money adds up: captured 120.00 EUR = refunded 20.00 EUR + platform 20.00 EUR + providers 80.00 EUR"
    )
    fine, said = judged(
        Played(a_scenario(), BOOKING, figures=GOOD), Played(a_scenario(), wrong=["it is late"])
    )
    assert not fine
    assert said == "NOT AS IT SHOULD BE: happy path: it is late\n"
