"""The rules of a service, snapshotted onto a booking when it is made, and what follows from them.

Everything here is a pure function of the snapshot: a quote shown to a person and the charge made
later are computed by the same code (DESIGN sections 5 and 7, TRAPS 51).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.money import BASIS_POINTS, share
from models.states import BookingStatus, ReportedOutcome, Role

AUTHORIZATION_MARGIN = timedelta(hours=12)
MERCHANT_INITIATED_WINDOW = timedelta(days=4, hours=18)  # Visa, merchant-initiated: Stripe, "Place a hold"

Bps = Annotated[int, Field(ge=0, le=BASIS_POINTS)]
Window = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=365))]


class PaymentPlan(StrEnum):
    """When the client's money is taken."""

    AUTHORIZE_NOW = "authorize_now"
    AUTHORIZE_LATER = "authorize_later"
    CHARGE_NOW = "charge_now"


class CancellationTier(BaseModel):
    """At least `hours_before` the start, a cancelling client gets `refund_bps` of the price back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours_before: int = Field(ge=0, le=8760)
    refund_bps: Bps


class Policy(BaseModel):
    """A service's rules. Durations are ISO 8601; shares are basis points."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    payment_window: Window = timedelta(minutes=30)
    strict_payment_failure: bool = False
    approval: Literal["auto", "provider"] = "auto"
    approval_window: Window = timedelta(hours=24)
    capture: Literal["on_completion", "on_payment"] = "on_completion"
    authorization_lead: Window = timedelta(hours=48)
    authorization_expiry: Literal["capture_early", "reauthorize"] = "capture_early"
    completion_grace: Window = timedelta(hours=24)
    payout_hold: Window = timedelta(hours=72)
    payout_schedule: Literal["automatic", "manual"] = "automatic"
    payout_patience: Window = timedelta(days=3)
    """How long a payout may stay blocked before ops are asked to look (ADR 0011)."""
    platform_fee_bps: Bps = 2000
    cancellation_tiers: tuple[CancellationTier, ...] = (
        CancellationTier(hours_before=24, refund_bps=10_000),
        CancellationTier(hours_before=0, refund_bps=5_000),
    )
    client_no_show_keep_bps: Bps = 10_000
    reschedule_cutoff: Window = timedelta(hours=24)
    min_notice: Window = timedelta(0)
    debt_cap_bps: Bps = 5000
    late_payment: Literal["retake", "refund"] = "retake"
    calendar: Literal["none", "ics", "calcom"] = "ics"
    meeting: Literal["none", "jitsi"] = "none"
    min_attendance: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _tiers_descend(self) -> Self:
        hours = [tier.hours_before for tier in self.cancellation_tiers]
        if len(set(hours)) != len(hours):
            raise ValueError("two cancellation tiers start at the same hour")
        refunds = [tier.refund_bps for tier in by_notice(self.cancellation_tiers)]
        if refunds != sorted(refunds, reverse=True):
            raise ValueError("cancelling later must never give more back")
        return self


def by_notice(tiers: Sequence[CancellationTier]) -> list[CancellationTier]:
    """The tiers from the earliest cancellation to the latest."""
    return sorted(tiers, key=lambda tier: tier.hours_before, reverse=True)


def choose_plan(policy: Policy, ends_at: datetime, now: datetime, window: timedelta) -> PaymentPlan:
    """Decide when money is taken, given the network's authorization `window`.

    An authorization is only good when the last possible capture (session end + grace) falls inside
    it, less a margin (DESIGN section 5; TRAPS 1).
    """
    if policy.capture == "on_payment":
        return PaymentPlan.CHARGE_NOW
    margin = min(AUTHORIZATION_MARGIN, window / 4)
    if ends_at + policy.completion_grace <= now + window - margin:
        return PaymentPlan.AUTHORIZE_NOW
    return PaymentPlan.AUTHORIZE_LATER


class Quote(BaseModel):
    """What an outcome costs: `keep` and `give_back` in minor units sum to the price."""

    model_config = ConfigDict(frozen=True)

    keep: int
    give_back: int
    booking_status: BookingStatus


class Terms(BaseModel):
    """What a booking was made under, as far as a quote depends on it. `starts_at` is UTC, `zone` IANA."""

    model_config = ConfigDict(frozen=True)

    policy: Policy
    amount: int
    currency: str
    starts_at: datetime
    zone: str
    refund_cap_bps: int | None = None
    """The tier that the client had reached when it moved the booking: moving wins nothing back."""
    chargeable: bool = True
    """Whether there is money to keep: a card that is only saved has not been charged."""


def outcome_quote(terms: Terms, kind: ReportedOutcome, actor: Role, now: datetime) -> Quote:
    """What `kind`, reported by `actor` at `now`, keeps of a confirmed booking's price.

    A provider who did not come, and whoever cancels for the provider or the platform, keeps nothing
    (TRAPS 51). A client who did not come pays what the policy keeps.
    """
    if kind is ReportedOutcome.COMPLETED:
        return _quote(terms, terms.amount, BookingStatus.COMPLETED)
    if kind is ReportedOutcome.CLIENT_NO_SHOW:
        keep = share(terms.amount, terms.policy.client_no_show_keep_bps, terms.currency)
        return _quote(terms, keep, BookingStatus.NO_SHOW)
    if kind is ReportedOutcome.PROVIDER_NO_SHOW:
        return _quote(terms, 0, BookingStatus.CANCELLED)
    return cancellation_quote(terms, actor, now)


def cancellation_quote(terms: Terms, actor: Role, now: datetime) -> Quote:
    """What is kept when `actor` cancels a confirmed booking at `now`.

    A provider or the platform cancels: everything goes back. A client gets the first tier whose
    cut-off, counted on the provider's clock, has not passed; inside the last one with money kept
    the booking is a FORFEIT.
    """
    if actor is not Role.CLIENT:
        return _quote(terms, 0, BookingStatus.CANCELLED)
    refund_bps, last = _tier(terms.policy, terms.starts_at, terms.zone, now)
    if terms.refund_cap_bps is not None:
        refund_bps = min(refund_bps, terms.refund_cap_bps)
    keep = terms.amount - share(terms.amount, refund_bps, terms.currency)
    forfeit = keep and last and terms.chargeable
    return _quote(terms, keep, BookingStatus.FORFEIT if forfeit else BookingStatus.CANCELLED)


def _quote(terms: Terms, keep: int, status: BookingStatus) -> Quote:
    kept = keep if terms.chargeable else 0
    return Quote(keep=kept, give_back=terms.amount - kept, booking_status=status)


def tier_reached(terms: Terms, now: datetime) -> int:
    """The refund in basis points that a client who cancels at `now` would get."""
    refund_bps, _ = _tier(terms.policy, terms.starts_at, terms.zone, now)
    return min(refund_bps, BASIS_POINTS if terms.refund_cap_bps is None else terms.refund_cap_bps)


def _tier(policy: Policy, starts_at: datetime, zone: str, now: datetime) -> tuple[int, bool]:
    """The refund in basis points, and whether this is the last tier (or past it)."""
    local_start = starts_at.astimezone(ZoneInfo(zone))
    tiers = by_notice(policy.cancellation_tiers)
    for tier in tiers:
        # Wall-clock subtraction: "24 h before" keeps its hour across a change of summer time.
        if now <= local_start - timedelta(hours=tier.hours_before):
            return tier.refund_bps, tier is tiers[-1]
    return 0, True
