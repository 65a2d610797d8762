"""Providers, as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Final, Self
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from api.schemas import Shape
from api.text import Line
from models.availability import MINUTES_PER_DAY, OpeningHours
from models.catalogue import PayoutSchedule

ZONES: Final = frozenset(available_timezones())
AROUND_THE_CLOCK: Final = tuple(
    OpeningHours(weekday=weekday, opens_minute=0, closes_minute=MINUTES_PER_DAY) for weekday in range(7)
)
"""Whoever names no hours can be booked at any."""

EMAIL: Final = r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f]+$"
"""Plausible; whether anybody reads it, only a mail can tell."""


def _known_zone(name: str) -> str:
    if name not in ZONES:
        raise ValueError("not an IANA time zone such as Europe/Berlin")
    return name


class NewProvider(Shape):
    """Somebody who sells time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Ada Lehmann",
                    "email": "ada@example.com",
                    "time_zone": "Europe/Berlin",
                    "country": "DE",
                    "opening_hours": [{"weekday": 0, "opens_minute": 540, "closes_minute": 1020}],
                }
            ]
        }
    )

    name: Line = Field(min_length=1, max_length=200)
    email: str = Field(pattern=EMAIL, max_length=254)
    time_zone: Annotated[str, AfterValidator(_known_zone)]
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")
    opening_hours: tuple[OpeningHours, ...] = Field(
        default=AROUND_THE_CLOCK, max_length=100, description="Default: around the clock"
    )
    payout_schedule: PayoutSchedule = Field(
        default=PayoutSchedule.AUTOMATIC,
        description="Whether Stripe sends the account's balance to its bank by itself; fixed once registered",
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for window in self.opening_hours:
            for other in self.opening_hours:
                same_day = window is not other and window.weekday == other.weekday
                if same_day and window.opens_minute <= other.opens_minute < window.closes_minute:
                    raise ValueError("two opening hours of one day overlap")
        return self


class OpenDebt(Shape):
    """What a provider owes from earlier bookings; it is netted from the next payouts."""

    currency: str
    amount: int = Field(description="Minor units")


class BlockedPayout(Shape):
    """A share that cannot be paid out until the provider's account can take it."""

    booking_id: UUID
    amount: int
    currency: str
    since: datetime | None


class ProviderResource(Shape):
    """Somebody who sells time, and whether money can reach them."""

    id: UUID
    name: str
    email: str
    time_zone: str
    country: str
    opening_hours: list[OpeningHours]
    stripe_account_id: str | None
    payout_schedule: PayoutSchedule
    transfers_active: bool
    payouts_enabled: bool
    ready: bool = Field(description="Whether the provider can be paid")
    debts: list[OpenDebt] = Field(description="One for each currency in which something is owed")
    blocked_payouts: list[BlockedPayout] = Field(description="At most a hundred, the oldest first")
    created_at: datetime


class Onboarding(Shape):
    """Where the provider tells Stripe who they are."""

    url: str = Field(description="Works once and for minutes")
