"""Classes, as the API takes and shows them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import ConfigDict, Field

from api.classes import ClassRecord
from api.schemas import EXAMPLE_ID, Shape, Utc
from models.states import SessionStatus

MOST_SEATS: Final = 10_000


class NewSession(Shape):
    """A class that its provider puts up."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"service_id": EXAMPLE_ID, "starts_at": "2026-12-01T18:00:00+01:00", "capacity": 12}]
        }
    )

    service_id: UUID
    starts_at: Utc = Field(description="With an offset; a time of day alone would be ambiguous")
    capacity: int | None = Field(
        default=None,
        strict=True,
        ge=2,
        le=MOST_SEATS,
        description="At most the service's, and by default that",
    )


class SessionResource(Shape):
    """A class, and how much room is left in it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "9b2d3c54-8f0e-5b2c-8c52-0f8f6d5a1a77",
                    "service_id": EXAMPLE_ID,
                    "provider_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
                    "status": "SCHEDULED",
                    "starts_at": "2026-12-01T17:00:00Z",
                    "ends_at": "2026-12-01T18:00:00Z",
                    "capacity": 12,
                    "seats_left": 5,
                }
            ]
        }
    )

    id: UUID
    service_id: UUID
    provider_id: UUID
    status: SessionStatus
    starts_at: datetime
    ends_at: datetime
    capacity: int
    seats_left: int = Field(description="0 also when the class is over or called off")


def describe_class(found: ClassRecord) -> SessionResource:
    """A class as anybody may see it."""
    held = found.session
    return SessionResource(
        id=held.id,
        service_id=held.service_id,
        provider_id=held.provider_id,
        status=held.status,
        starts_at=held.starts_at,
        ends_at=held.ends_at,
        capacity=held.capacity,
        seats_left=found.seats_left if held.status is SessionStatus.SCHEDULED else 0,
    )
