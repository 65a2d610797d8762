"""What ops can filter by in the Temporal UI. Never personal data: these are stored in plain text."""

from typing import Any, Final

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from workflows.contracts import BookingState

BOOKING_STATUS: Final = SearchAttributeKey.for_keyword("BookingStatus")
PAYMENT_STATUS: Final = SearchAttributeKey.for_keyword("PaymentStatus")
PAYOUT_STATUS: Final = SearchAttributeKey.for_keyword("PayoutStatus")
NEEDS_ATTENTION: Final = SearchAttributeKey.for_bool("NeedsAttention")
ATTENTION_STEP: Final = SearchAttributeKey.for_keyword("AttentionStep")
PROVIDER_ID: Final = SearchAttributeKey.for_keyword("ProviderId")
SERVICE_ID: Final = SearchAttributeKey.for_keyword("ServiceId")
SESSION_STARTS_AT: Final = SearchAttributeKey.for_datetime("SessionStartsAt")
PAYOUT_DUE_AT: Final = SearchAttributeKey.for_datetime("PayoutDueAt")

REGISTERED: Final[tuple[SearchAttributeKey[Any], ...]] = (
    BOOKING_STATUS,
    PAYMENT_STATUS,
    PAYOUT_STATUS,
    NEEDS_ATTENTION,
    ATTENTION_STEP,
    PROVIDER_ID,
    SERVICE_ID,
    SESSION_STARTS_AT,
    PAYOUT_DUE_AT,
)


def describe(booking: BookingState | None, attention: str | None) -> TypedSearchAttributes:
    """The attributes of a booking as it stands; `attention` is what needs a person, if anything."""
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(NEEDS_ATTENTION, attention is not None),
        SearchAttributePair(ATTENTION_STEP, attention or ""),
    ]
    if booking is not None:
        pairs += [
            SearchAttributePair(BOOKING_STATUS, booking.status.value),
            SearchAttributePair(PAYMENT_STATUS, booking.payment_status.value),
            SearchAttributePair(PROVIDER_ID, str(booking.provider_id)),
            SearchAttributePair(SERVICE_ID, str(booking.service_id)),
            SearchAttributePair(SESSION_STARTS_AT, booking.starts_at),
        ]
        if booking.payout_status is not None:
            pairs.append(SearchAttributePair(PAYOUT_STATUS, booking.payout_status.value))
        if booking.payout_due_at is not None:
            pairs.append(SearchAttributePair(PAYOUT_DUE_AT, booking.payout_due_at))
    return TypedSearchAttributes(pairs)


def changes(shown: TypedSearchAttributes, wanted: TypedSearchAttributes) -> list[SearchAttributeUpdate[Any]]:
    """What has to be upserted; an empty list costs no Temporal action."""
    return [pair.key.value_set(pair.value) for pair in wanted if shown.get(pair.key) != pair.value]
