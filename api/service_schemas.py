"""Services, as the API takes and shows them. Amounts are integer minor units."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from api.schemas import EXAMPLE_ID, Amount, Currency, Shape
from api.session_schemas import MOST_SEATS, SessionResource
from api.text import Line, Prose
from models.money import step
from models.policy import CancellationTier, Policy

Name = Annotated[Line, Field(min_length=1, max_length=200)]
Description = Annotated[Prose, Field(max_length=2000)]
Duration = Annotated[int, Field(strict=True, ge=1, le=1440)]
PriceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$")]
Rules = Annotated[
    dict[str, Any], Field(description="Only what differs from the defaults; durations are ISO 8601")
]


class Priced(Shape):
    """A price that exists at Stripe, or an amount for which one is made."""

    price_id: PriceId | None = None
    amount: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.amount is None) != (self.currency is None):
            raise ValueError("an amount and its currency go together")
        if self.price_id is not None and self.amount is not None:
            raise ValueError("give either a price_id or an amount")
        if self.amount is not None and self.currency is not None and self.amount % step(self.currency):
            raise ValueError(f"amounts in {self.currency.upper()} are multiples of {step(self.currency)}")
        return self

    @property
    def names_a_price(self) -> bool:
        """Whether there is a price at all."""
        return self.price_id is not None or self.amount is not None


class NewService(Priced):
    """Something that can be booked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Private lesson",
                    "duration_minutes": 60,
                    "amount": 12000,
                    "currency": "eur",
                    "policy": {"payment_window": "PT15M"},
                }
            ]
        }
    )

    provider_id: UUID | None = Field(default=None, description="For ops; a provider sells its own services")
    name: Name
    description: Description | None = None
    duration_minutes: Duration
    capacity: int = Field(
        default=1, strict=True, ge=1, le=MOST_SEATS, description="More than one: held as classes"
    )
    policy: Rules = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        if not self.names_a_price:
            raise ValueError("give a price_id, or an amount and a currency")
        return self


class ServiceChange(Priced):
    """What is to be different from now on; bookings that exist keep what they were made under."""

    name: Name | None = None
    description: Description | None = None
    duration_minutes: Duration | None = None
    policy: Rules | None = Field(default=None, description="Replaces the service's own rules whole")
    active: bool | None = None


class PricePart(Shape):
    """What a booking costs, and who gets what of it."""

    price_id: str
    amount: int
    currency: str
    display: str = Field(examples=["120.00 EUR"])
    platform_fee: int
    provider_share: int


class ServiceResource(Shape):
    """Something that can be booked."""

    id: UUID
    provider_id: UUID
    provider_name: str
    time_zone: str
    name: str
    description: str | None
    duration_minutes: int
    capacity: int
    active: bool
    price: PricePart
    cancellation_tiers: list[CancellationTier] = Field(
        description="At least `hours_before` the start, `refund_bps` of the price comes back; later, nothing"
    )
    policy: Policy = Field(description="All rules, defaults included")
    created_at: datetime


class ServicePage(Shape):
    """Some services, the newest first."""

    items: list[ServiceResource]
    next_cursor: str | None


class Availability(Shape):
    """When a session can start."""

    service_id: UUID = Field(examples=[EXAMPLE_ID])
    time_zone: str
    duration_minutes: int
    slots: list[datetime] = Field(description="Free starts, in UTC; none for a service held as classes")
    sessions: list[SessionResource] = Field(description="Classes that can be booked, full ones included")
