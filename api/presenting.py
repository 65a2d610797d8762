"""A booking's rows as the resource that its owner sees."""

from typing import Final

from api.auth import Caller
from api.queries import BookingRecord
from api.schemas import (
    AttentionPart,
    BookingResource,
    CheckoutPart,
    HeldBecause,
    PaymentPart,
    PayoutPart,
    SessionPart,
)
from models.keys import workflow_id_for
from models.money import Split, split
from models.payments import Payout
from models.policy import Policy
from models.states import MONEY_TAKEN, PaymentStatus, PayoutStatus, Role

BEING_LOOKED_INTO: Final = "Something needs a person; it is being looked into and nothing is lost."
"""What everybody but ops is told: the real message names other systems' ids and errors."""

NOTHING_KEPT: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.FAILED, PaymentStatus.EXPIRED})


def present(record: BookingRecord, caller: Caller, checkout: CheckoutPart | None = None) -> BookingResource:
    """The booking as it stands, for `caller`."""
    booking = record.booking
    return BookingResource(
        id=booking.id,
        status=booking.status,
        status_reason=booking.status_reason,
        service_id=booking.service_id,
        provider_id=booking.provider_id,
        client_id=booking.client_id,
        session=SessionPart(
            id=record.session.id,
            status=record.session.status,
            starts_at=record.session.starts_at,
            ends_at=record.session.ends_at,
            capacity=record.session.capacity,
        ),
        payment=_payment(record),
        payout=_payout(record),
        reported_outcome=booking.reported_outcome or booking.claimed_outcome,
        notes=record.notes,
        attention=_attention(record, caller),
        expires_at=booking.expires_at,
        accepted_at=booking.accepted_at,
        workflow_id=workflow_id_for(booking.id),
        created_at=booking.created_at,
        checkout=checkout,
    )


def breakdown(record: BookingRecord) -> Split:
    """How the money divides: as fixed for the payout, else as it would divide if paid out now."""
    payment, payout = record.payment, record.payout
    if payout is not None:
        return Split(platform_fee=payout.platform_fee, provider_share=payout.amount)
    kept = payment.amount
    if payment.status in NOTHING_KEPT:
        kept = 0
    elif payment.status in MONEY_TAKEN:
        kept = payment.amount_captured - payment.amount_refunded
    policy = Policy.model_validate(record.booking.policy)
    return split(kept, policy.platform_fee_bps, payment.currency)


def _payment(record: BookingRecord) -> PaymentPart:
    payment, divided = record.payment, breakdown(record)
    return PaymentPart(
        status=payment.status,
        plan=record.booking.plan,
        amount=payment.amount,
        currency=payment.currency,
        amount_captured=payment.amount_captured,
        amount_refunded=payment.amount_refunded,
        platform_fee=divided.platform_fee,
        provider_share=divided.provider_share,
        payment_intent_id=payment.payment_intent_id,
        setup_intent_id=payment.setup_intent_id,
        capture_before=payment.capture_before,
        authorize_at=payment.authorize_at,
        fix_by=payment.fix_by,
    )


def _payout(record: BookingRecord) -> PayoutPart | None:
    payout = record.payout
    if payout is None:
        return None
    return PayoutPart(
        status=payout.status,
        amount=payout.amount,
        debt_netted=payout.debt_netted,
        transfer_amount=payout.amount - payout.debt_netted,
        due_at=payout.due_at,
        held_because=held_because(payout),
        transfer_id=payout.transfer_id,
        payout_id=record.bank_payout_id,
    )


def held_because(payout: Payout) -> HeldBecause | None:
    """Why the provider does not have its share yet; None when it has, or gets none."""
    if payout.status is PayoutStatus.FROZEN:
        return HeldBecause.OBJECTION if payout.objected_at else HeldBecause.DISPUTE
    if payout.status is PayoutStatus.PROCESSING:
        return HeldBecause.BANK if payout.transfer_id else HeldBecause.TRANSFER
    return {PayoutStatus.HELD: HeldBecause.HOLD, PayoutStatus.BLOCKED: HeldBecause.ACCOUNT}.get(payout.status)


def _attention(record: BookingRecord, caller: Caller) -> AttentionPart | None:
    booking = record.booking
    if booking.attention_step is None or booking.attention_since is None:
        return None
    told = booking.attention_message or BEING_LOOKED_INTO
    return AttentionPart(
        step=booking.attention_step,
        message=told if caller.role is Role.OPS else BEING_LOOKED_INTO,
        since=booking.attention_since,
    )
