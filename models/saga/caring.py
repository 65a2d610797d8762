"""Captured money that goes back, or is contested, before and after the provider was paid."""

from models import holds, ledger
from models.books import recovery
from models.holds import payment_after
from models.ledger import JournalKind
from models.saga.attending import given_back
from models.saga.events import DisputeSays, Event, HoldChanged, Judged, Objected, RefundOrdered, RefundSays
from models.saga.promising import taken
from models.saga.standing import Contested, GivenBack, Saga, moved, require
from models.states import DisputeStatus, PayoutStatus, RefundStatus


def refund_ordered(saga: Saga, event: RefundOrdered) -> Saga:
    """A person's refund: refused while the bank decides, and never more than is there."""
    if event.id in saga.refunds:
        return saga
    require(taken(saga), "invalid_state", "nothing was captured")
    require(not saga.disputed, "dispute_open", "the bank decides first")
    require(0 < event.amount <= saga.books.kept, "validation_failed", "there is not so much")
    return followed(given_back(saga, event.id, event.amount), event)


def refund_says(saga: Saga, event: RefundSays) -> Saga:
    """Mirror a refund; one that failed, however late, brings the money back."""
    require(taken(saga), "invalid_state", "nothing was captured")
    known = saga.refunds.get(event.id)
    if known is None:
        require(event.status is not RefundStatus.FAILED, "invalid_state", "it moved nothing")
        there = saga.books.captured - saga.books.refunded
        require(0 < event.amount <= there, "validation_failed", "Stripe refunds no more than was captured")
        saga = followed(given_back(saga, event.id, event.amount), event)
        known = saga.refunds[event.id]
    old_news = event.status is RefundStatus.PENDING or known.status is RefundStatus.FAILED
    if known.status is event.status or old_news:
        return saga
    told = GivenBack(known.amount, moved(known.status, event.status))
    saga = saga.but(refunds={**saga.refunds, event.id: told})
    if event.status is not RefundStatus.FAILED:
        return saga
    left = saga.books.refunded - known.amount
    back = saga.shifted(JournalKind.REFUND_FAILURE, event.id, refunded=left)
    return followed(back.but(payment=payment_after(back.books)), event)


def dispute_says(saga: Saga, event: DisputeSays) -> Saga:
    """Mirror a dispute: its state, and what its balance transactions moved, each once; never on its close."""
    require(taken(saga), "invalid_state", "nothing was captured")
    known = saga.disputes.get(event.id, Contested(event.amount))
    new = {name: amount for name, amount in event.moves if name not in known.moved}
    for name, amount in new.items():
        saga = saga.shifted(JournalKind.DISPUTE, name, disputed=saga.books.disputed + amount)
    over = known.status is not DisputeStatus.OPEN
    status = known.status if over else moved(known.status, event.status)
    told = Contested(known.amount, status, {**known.moved, **new})
    if saga.disputes.get(event.id) == told:
        return saga
    return followed(saga.but(disputes={**saga.disputes, event.id: told}), event)


def followed(saga: Saga, event: Event) -> Saga:
    """Bring a share that is still with us to what is kept now."""
    if saga.hold is None or not saga.waits_to_be_paid:
        return saga
    hold = holds.follow(saga.hold, saga.books, event.at, disputed=saga.disputed, objected=saga.objected)
    moved(saga.hold.status, hold.status)
    saga = saga.but(hold=hold, share=saga.books.division.provider_share)
    return called_off(saga) if hold.status is PayoutStatus.CANCELLED else saga


def called_off(saga: Saga) -> Saga:
    """Nothing is left for the provider: divide what there is, so that nothing stays held."""
    saga = divided(saga).but(objected=False)
    missing = recovery(saga.books, reversible=0, available=0).owe
    if not missing:
        return saga
    # Its share had paid debts of earlier bookings before it went back to the client.
    return saga.posted(JournalKind.DEBT, f"debt {len(saga.journals)}", ledger.debt(missing))


def divided(saga: Saga) -> Saga:
    """Platform and provider have their parts of what is kept; once per booking."""
    if saga.books.allocated:
        return saga
    lines = ledger.allocation(saga.books.division)
    return saga.posted(JournalKind.ALLOCATION, "booking", lines) if any(one.amount for one in lines) else saga


def objected(saga: Saga, event: Objected) -> Saga:
    """The client contests while the money is on hold."""
    if saga.objected:
        return saga
    on_hold = saga.hold is not None and saga.payout in {PayoutStatus.HELD, PayoutStatus.FROZEN}
    require(on_hold and saga.waits_to_be_paid, "invalid_state", "nothing is on hold")
    assert saga.hold is not None  # noqa: S101 - for the type checker
    return saga.but(objected=True, hold=holds.freeze(saga.hold, event.at))


def judged(saga: Saga, event: Judged) -> Saga:
    """Ops have decided: the hold runs on with what it had left, unless a dispute is open too."""
    if not saga.objected:
        return saga
    return followed(saga.but(objected=False), event)


def hold_changed(saga: Saga, event: HoldChanged) -> Saga:
    """Pay later, or now; only ops, and not while anybody contests."""
    hold = saga.hold
    on_hold = hold is not None and hold.status is PayoutStatus.HELD
    require(on_hold and not saga.disputed, "invalid_state", "nothing is on hold")
    assert hold is not None  # noqa: S101 - for the type checker
    later = event.until is None or event.until > hold.due_at
    require(later, "validation_failed", "it would be paid no later")
    if event.until is None and hold.due_at <= event.at:
        return saga
    return saga.but(hold=holds.Hold(PayoutStatus.HELD, event.until or event.at))
