"""Stripe's webhooks at the edge: is this from Stripe, and which ids does it name?

The SDK's own check is not a safe edge (TEMPORAL decision 8): it accepts timestamps from the future
and meets odd input with exceptions of every kind. Here there are two. Nothing of an event is kept
but ids: whoever handles it reads the object again.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import stripe
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError

from activities.inbox import InboundEvent

TOLERANCE: Final = timedelta(seconds=300)
"""How far a signature's time may lie from ours, to either side; backwards it is Stripe's default."""

TIMESTAMP: Final = re.compile(r"[0-9]{1,11}")


class InvalidSignature(Exception):
    """Nobody who knows one of our secrets signed this body, or not just now."""


class InvalidPayload(Exception):
    """Signed, but not an event."""


def _plain_id(value: Any) -> Any:
    """An object that Stripe expanded has its id inside; we ask for none, so this is only tolerance."""
    return value.get("id") if isinstance(value, dict) else value


Id = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Free text at Stripe (coupons are named by people), but nothing that Postgres could not store."""


class _Snapshot(BaseModel):
    """The ids in the object that an event is about; some objects, such as a balance, have none."""

    id: Id | None = None
    object: str | None = None
    payment_intent: Annotated[Id | None, BeforeValidator(_plain_id)] = None
    charge: Annotated[Id | None, BeforeValidator(_plain_id)] = None


class _Data(BaseModel):
    object: _Snapshot = _Snapshot()


class _Event(BaseModel):
    """The part of Stripe's event that we read."""

    model_config = ConfigDict(extra="ignore")

    id: Id
    type: Id
    account: Id | None = None
    livemode: StrictBool
    data: _Data = _Data()


def verify(payload: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> InboundEvent:
    """The event in `payload`, if one of `secrets` signed these very bytes within 300 s of `now`.

    Raises:
        InvalidSignature: the header is missing, malformed, forged, too old or from the future.
        InvalidPayload: the body is signed but no event.
    """
    if header is None or not header.isascii() or not _recent(header, now):
        raise InvalidSignature
    if not any(_signed_with(secret, payload, header) for secret in secrets):
        raise InvalidSignature
    try:
        return _reduce(_Event.model_validate_json(payload))
    except ValidationError:
        # The error quotes its input, which is somebody's payment.
        raise InvalidPayload from None


def swept(raw: dict[str, Any], account: str | None) -> InboundEvent:
    """An event that was found in a list of `account`'s events, as its webhook would have brought it.

    Raises:
        InvalidPayload: it is no event.
    """
    try:
        return _reduce(_Event.model_validate(raw)).model_copy(update={"account": account})
    except ValidationError:
        raise InvalidPayload from None


def _recent(header: str, now: datetime) -> bool:
    stamps = [item.removeprefix("t=") for item in header.split(",") if item.startswith("t=")]
    if len(stamps) != 1 or not TIMESTAMP.fullmatch(stamps[0]):
        return False
    return abs(int(stamps[0]) - now.timestamp()) <= TOLERANCE.total_seconds()


def _signed_with(secret: str, payload: bytes, header: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(payload, header, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


def _reduce(event: _Event) -> InboundEvent:
    subject = event.data.object
    return InboundEvent(
        id=event.id,
        type=event.type,
        account=event.account,
        livemode=event.livemode,
        object_id=subject.id,
        payment_intent_id=subject.id if subject.object == "payment_intent" else subject.payment_intent,
        charge_id=subject.id if subject.object == "charge" else subject.charge,
    )
