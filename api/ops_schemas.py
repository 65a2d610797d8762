"""What whoever runs this looks at. Amounts are integer minor units, shares are basis points."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from api.schemas import Shape


class FindingResource(Shape):
    """Something that an audit or the reconciler saw and does not repair by itself."""

    id: int
    rule: str
    subject: str
    booking_id: UUID | None
    detail: str
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None = Field(description="When a later look did not find it any more")


class FindingPage(Shape):
    """Some findings, the newest first."""

    items: list[FindingResource]
    next_cursor: str | None


class Look(Shape):
    """A comparison that was asked for; `finished` says whether it has come to its end."""

    workflow_id: str
    finished: bool
    repaired: dict[str, int] = Field(description="What was made good, by kind")
    findings: int | None = Field(description="How many are open now; None while it runs")


class CurrencySummary(Shape):
    """How the bookings made in the range went, in one currency, and the money behind them."""

    currency: str
    bookings: int
    confirmed: int = Field(description="Of those: confirmed, now or once")
    completed: int = Field(description="Of those: held, so that the provider is paid")
    conversion_bps: int = Field(description="Confirmed, of all that were made")
    completion_bps: int = Field(description="Completed, of the confirmed")
    captured: int = Field(description="In the range")
    refunded: int = Field(description="In the range, less refunds that failed")
    refund_rate_bps: int = Field(description="Refunded, of what was captured in the range")
    platform_revenue: int = Field(description="Earned in the range; below zero when more was given back")
    held: int = Field(description="At the end of the range: captured, and neither given back nor divided yet")


class Summary(Shape):
    """The business in a range of time, per currency."""

    starts_at: datetime
    ends_at: datetime
    currencies: list[CurrencySummary]
