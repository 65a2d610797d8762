"""How requests about a booking are answered, and what the description says of it."""

from typing import Any, Final

from fastapi import Response, status

from api.actions import Told
from api.auth import Caller
from api.errors import RETRY_SOON, Code
from api.presenting import present
from api.schemas import BookingResource

OWNED: Final = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.BOOKING_NOT_READY, Code.VALIDATION_FAILED)
DECIDED: Final = (*OWNED, Code.FORBIDDEN, Code.INVALID_REQUEST, Code.INVALID_STATE, Code.TOO_LATE)

UNDERWAY: Final[dict[int | str, dict[str, Any]]] = {
    status.HTTP_202_ACCEPTED: {
        "model": BookingResource,
        "description": "Not answered in time; look again at `Location`, or repeat the request",
    }
}


def show(told: Told, caller: Caller, response: Response) -> BookingResource:
    """The booking after what was asked, and whether that is in effect yet."""
    if not told.answered:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Location"] = f"/api/bookings/{told.record.booking.id}"
        response.headers.update(RETRY_SOON)
    return present(told.record, caller)
