"""What people order of a booking, as the API takes it. Amounts are integer minor units."""

from typing import Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from api.schemas import EXAMPLE_ID, Amount, Shape, Utc
from api.text import Prose
from workflows.orders import HoldAction


class RejectBooking(Shape):
    """Why the provider says no, in its own words; the client reads them."""

    reason: Prose | None = Field(default=None, max_length=500)


class ReportNoShow(Shape):
    """Who did not come."""

    who: Literal["client", "provider"]


class MoveBooking(Shape):
    """When the session is to be instead; for a class, which other one of its sessions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"starts_at": "2026-12-02T10:00:00+01:00"}, {"session_id": EXAMPLE_ID}]
        }
    )

    starts_at: Utc | None = None
    session_id: UUID | None = Field(default=None, description="For a class, instead of `starts_at`")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.starts_at is None) == (self.session_id is None):
            raise ValueError("give either starts_at or session_id")
        return self


class Contest(Shape):
    """Why the client does not want the provider to be paid, in the client's own words; ops read them."""

    reason: Prose = Field(min_length=1, max_length=2000)


class GiveBack(Shape):
    """How much goes back, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": 2500, "reason": "Started a quarter of an hour late"}]}
    )

    amount: Amount | None = Field(
        default=None, description="Minor units; without it, everything that is left"
    )
    reason: Prose = Field(min_length=1, max_length=500)


class ChangeHold(Shape):
    """Pay the provider later, or now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"action": "extend", "until": "2026-12-20T00:00:00Z", "reason": "The client is abroad"},
                {"action": "release", "reason": "Both sides agree"},
            ]
        }
    )

    action: HoldAction
    until: Utc | None = Field(default=None, description="With `extend`")
    reason: Prose = Field(min_length=1, max_length=500)

    @model_validator(mode="after")
    def _until_when(self) -> Self:
        if (self.action is HoldAction.EXTEND) != (self.until is not None):
            raise ValueError("extend, and only extend, says until when")
        return self
