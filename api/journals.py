"""The ledger's journals in plain words, for the people whose money it is: pure, from its rows."""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Final

from api.timeline_schemas import Movement
from models.ledger import Account, JournalKind, LedgerEntry, Side
from models.money import display
from models.states import Role

MEASURED_BY: Final[Mapping[JournalKind, tuple[Account, int]]] = {
    JournalKind.CAPTURE: (Account.STRIPE_BALANCE, 1),
    JournalKind.STRIPE_FEE: (Account.STRIPE_FEES, 1),
    JournalKind.REFUND: (Account.STRIPE_BALANCE, -1),
    JournalKind.REFUND_FAILURE: (Account.STRIPE_BALANCE, 1),
    JournalKind.DISPUTE: (Account.STRIPE_BALANCE, -1),
    JournalKind.DISPUTE_FEE: (Account.STRIPE_BALANCE, -1),
    JournalKind.ALLOCATION: (Account.PROVIDER_PAYABLE, -1),
    JournalKind.TRANSFER: (Account.STRIPE_BALANCE, -1),
    JournalKind.REVERSAL: (Account.STRIPE_BALANCE, 1),
    JournalKind.NETTING: (Account.PROVIDER_DEBT, -1),
    JournalKind.DEBT: (Account.PROVIDER_DEBT, 1),
    JournalKind.DEBT_RELIEF: (Account.PROVIDER_DEBT, -1),
    JournalKind.WAIVER: (Account.PLATFORM_REVENUE, -1),
}
"""The account whose movement is what a person would call the amount, and its usual direction (debit 1)."""

Words = Callable[[str], str]

WORDS: Final[Mapping[JournalKind, Words]] = {
    JournalKind.CAPTURE: lambda money: f"{money} was captured from the client",
    JournalKind.STRIPE_FEE: lambda money: f"Stripe kept {money}; the platform bears it",
    JournalKind.REFUND: lambda money: f"{money} was refunded to the client",
    JournalKind.REFUND_FAILURE: lambda money: f"A refund of {money} failed; the money came back",
    JournalKind.DISPUTE: lambda money: f"The client's bank withdrew {money} because of a dispute",
    JournalKind.DISPUTE_FEE: lambda money: f"The dispute cost a fee of {money}; the platform bears it",
    JournalKind.ALLOCATION: lambda money: f"The hold is over; {money} is the provider's share",
    JournalKind.TRANSFER: lambda money: f"{money} was transferred to the provider",
    JournalKind.REVERSAL: lambda money: f"{money} was taken back from the provider's account",
    JournalKind.NETTING: lambda money: f"{money} of the provider's share paid debts of earlier bookings",
    JournalKind.DEBT: lambda money: f"The provider owes {money}",
    JournalKind.DEBT_RELIEF: lambda money: f"The provider owes {money} less",
    JournalKind.WAIVER: lambda money: f"{money} stays with the platform",
}

THE_OTHER_WAY: Final[Mapping[JournalKind, Words]] = {
    JournalKind.DISPUTE: lambda money: f"The client's bank returned {money}: the dispute was won",
    JournalKind.DISPUTE_FEE: lambda money: f"Stripe gave the dispute's fee of {money} back",
}
"""Journals that go both ways, when they went against their usual direction."""

CLIENT_SEES: Final = frozenset(
    {
        JournalKind.CAPTURE,
        JournalKind.REFUND,
        JournalKind.REFUND_FAILURE,
        JournalKind.DISPUTE,
    }
)
"""The client's own money; what the provider gets is between provider and platform."""

PROVIDER_SEES: Final = frozenset(JournalKind) - {JournalKind.STRIPE_FEE, JournalKind.DISPUTE_FEE}
SEES: Final = {
    Role.CLIENT: CLIENT_SEES,
    Role.PROVIDER: PROVIDER_SEES,
    Role.OPS: frozenset(JournalKind),
}


def movements(entries: Iterable[LedgerEntry], role: Role) -> list[Movement]:
    """What the journals say to somebody in `role`, in the order of posting."""
    ordered = sorted(entries, key=lambda entry: (entry.posted_at, str(entry.journal_id), entry.line))
    journals = [list(lines) for _, lines in groupby(ordered, key=lambda entry: entry.journal_id)]
    return [_movement(lines, role) for lines in journals if lines[0].kind in SEES[role]]


def _movement(lines: list[LedgerEntry], role: Role) -> Movement:
    first = lines[0]
    amount = _amount(lines)
    words = THE_OTHER_WAY.get(first.kind, WORDS[first.kind]) if amount < 0 else WORDS[first.kind]
    return Movement(
        at=first.posted_at,
        journal=first.kind,
        amount=amount,
        currency=first.currency,
        told=words(display(abs(amount), first.currency)),
        stripe_object_id=first.stripe_object_id if role is Role.OPS else None,
    )


def _amount(lines: list[LedgerEntry]) -> int:
    account, direction = MEASURED_BY[lines[0].kind]
    signed = (
        line.amount if line.side is Side.DEBIT else -line.amount for line in lines if line.account is account
    )
    return direction * sum(signed)
