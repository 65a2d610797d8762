"""The provider's share: transferred, sent to its bank, and brought in line with what it is now."""

from dataclasses import replace

from models import ledger
from models.books import netting, recovery, restitution
from models.holds import payout_after
from models.ledger import JournalKind
from models.saga.caring import called_off, divided, followed
from models.saga.events import (
    BankSays,
    DebtRepaid,
    Rebalance,
    ReversalSays,
    TransferDue,
    TransferSays,
    Waived,
)
from models.saga.standing import Saga, moved, require
from models.states import BankPayoutStatus, PayoutStatus

PAYABLE = frozenset({PayoutStatus.HELD, PayoutStatus.BLOCKED})


def transfer_due(saga: Saga, event: TransferDue) -> Saga:
    """Freeze the transfer, computed from the books: what is due, less debts up to the policy's cap."""
    if saga.in_flight is not None:
        return saga
    hold = saga.hold
    ready = hold is not None and hold.status in PAYABLE and saga.waits_to_be_paid
    require(ready, "invalid_state", "no share is to be paid")
    require(hold is not None and event.at >= hold.due_at, "invalid_state", "it is on hold")
    if saga.books.division.provider_share == 0:
        return called_off(saga.paid_as(PayoutStatus.CANCELLED, share=0))
    if not event.payable:
        return saga.paid_as(PayoutStatus.BLOCKED)
    return frozen(saga, event.debts)


def frozen(saga: Saga, debts: int) -> Saga:
    """The next transfer's request, with its division and its netting, in one transaction."""
    saga = divided(saga)
    row = f"transfer {len(saga.transfers) + 1}"
    netted = netting(saga.books.due, debts, saga.policy.debt_cap_bps, saga.currency)
    done = any(one.kind is JournalKind.NETTING and one.reference == row for one in saga.journals)
    if netted and not done:  # a transfer that failed for good has netted already
        saga = saga.posted(JournalKind.NETTING, row, ledger.netting(netted))
    if saga.books.due <= 0:  # all of it has paid debts
        return saga.paid_as(PayoutStatus.PROCESSING).paid_as(PayoutStatus.PAID)
    asked = {"in_flight": saga.books.due, "attempts": saga.attempts + 1, "at_bank": False}
    return saga.paid_as(PayoutStatus.PROCESSING, **asked)


def transfer_says(saga: Saga, event: TransferSays) -> Saga:
    """Stripe made the transfer, or definitely did not: then the provider has to put its account right."""
    require(event.attempt <= saga.attempts, "invalid_state", "not asked for")
    if saga.in_flight is None or event.attempt < saga.attempts:
        return saga
    if not event.made:
        # A dispute may have been opened, or everything given back, while the request was under way.
        return followed(saga.paid_as(PayoutStatus.BLOCKED, in_flight=None), event)
    amount, number = saga.in_flight, len(saga.transfers) + 1
    sent = saga.posted(JournalKind.TRANSFER, f"transfer {number}", ledger.transfer(amount))
    sent = sent.but(transfers=(*sent.transfers, amount), in_flight=None, at_bank=True)
    if saga.policy.payout_schedule == "manual":
        return sent
    return sent.paid_as(PayoutStatus.PAID)


def bank_says(saga: Saga, event: BankSays) -> Saga:
    """One attempt after the other; a share is paid when it is at the bank, and may still come back."""
    require(saga.policy.payout_schedule == "manual", "invalid_state", "Stripe sends it to the bank")
    if event.number > len(saga.bank):
        return _sent(saga, event)
    known = saga.bank[event.number - 1]
    if known is event.status or event.status is BankPayoutStatus.PENDING or known is BankPayoutStatus.FAILED:
        return saga
    attempts = [*saga.bank]
    attempts[event.number - 1] = moved(known, event.status)
    saga = saga.but(bank=tuple(attempts))
    if event.number < len(attempts) or not saga.at_bank:
        return saga
    if event.status is BankPayoutStatus.PAID:
        return saga.paid_as(PayoutStatus.PAID)
    # One that had arrived came back, and is sent again; one that did not waits for the provider.
    again = PayoutStatus.BLOCKED if saga.payout is PayoutStatus.PROCESSING else PayoutStatus.PROCESSING
    return saga.paid_as(again) if saga.payout in {PayoutStatus.PROCESSING, PayoutStatus.PAID} else saga


def _sent(saga: Saga, event: BankSays) -> Saga:
    pending = BankPayoutStatus.PENDING
    waits = saga.at_bank and saga.payout in {PayoutStatus.PROCESSING, PayoutStatus.BLOCKED}
    next_one = event.status is pending and event.number == len(saga.bank) + 1
    require(waits and next_one and pending not in saga.bank, "invalid_state", "one attempt at a time")
    return saga.paid_as(PayoutStatus.PROCESSING, bank=(*saga.bank, pending))


def rebalance(saga: Saga, event: Rebalance) -> Saga:
    """After the transfer: take back what is too much, as far as it can be had; pay what is missing."""
    if not saga.unbalanced:
        return saga
    if saga.books.due < 0:
        return _taken_back(saga, event.available)
    require(event.by_ops or not saga.parked, "invalid_state", "ops decide whether it is paid again")
    mended = restitution(saga.books, saga.open_debt)
    if mended.forgive:
        reference = f"relief {len(saga.journals)}"
        saga = saga.posted(JournalKind.DEBT_RELIEF, reference, ledger.debt_relief(mended.forgive))
    return frozen(saga.but(parked=False), debts=0) if mended.transfer else saga.but(parked=False)


def _taken_back(saga: Saga, available: int) -> Saga:
    covered = min(-saga.books.due, saga.books.waived)
    if covered:  # what ops had left with the platform bears it first: the provider never had it
        saga = saga.posted(JournalKind.WAIVER, f"waiver {len(saga.journals)}", ledger.waiver(-covered))
    reversible = saga.books.transferred - saga.books.reversed
    found = recovery(saga.books, reversible, available)
    if found.reverse:
        saga = saga.posted(JournalKind.REVERSAL, f"own {len(saga.journals)}", ledger.reversal(found.reverse))
        saga = saga.paid_as(payout_after(saga.books))
    if found.owe:
        saga = saga.posted(JournalKind.DEBT, f"debt {len(saga.journals)}", ledger.debt(found.owe))
    return saga


def waived(saga: Saga, event: Waived) -> Saga:
    """Ops give up a transfer that was reversed by hand: the money stays with the platform."""
    del event
    parked = saga.parked and saga.unbalanced and saga.books.due > 0
    require(parked, "invalid_state", "nothing waits for ops")
    lines = ledger.waiver(saga.books.due)
    return saga.posted(JournalKind.WAIVER, f"waiver {len(saga.journals)}", lines).but(parked=False)


def reversal_says(saga: Saga, event: ReversalSays) -> Saga:
    """Mirror a reversal that was made by hand; what is due after it waits for ops."""
    if any(one.kind is JournalKind.REVERSAL and one.reference == event.id for one in saga.journals):
        return saga
    there = saga.books.transferred - saga.books.reversed
    require(saga.transferred, "invalid_state", "nothing was transferred")
    require(0 < event.amount <= there, "validation_failed", "Stripe reverses no more than was transferred")
    back = saga.posted(JournalKind.REVERSAL, event.id, ledger.reversal(event.amount))
    return back.paid_as(payout_after(back.books), parked=back.books.due > 0)


def debt_repaid(saga: Saga, event: DebtRepaid) -> Saga:
    """A later payout has paid a part of what the provider owes because of this booking."""
    if event.by in saga.repaid:
        return saga
    require(0 < event.amount <= saga.open_debt, "validation_failed", "so much is not owed")
    return replace(saga, repaid={**saga.repaid, event.by: event.amount})
