"""What can become of a booking: who may say so, with which reason, and how its session ends."""

from collections.abc import Mapping
from typing import Final

from models.states import BookingStatus, ReportedOutcome, Role, SessionStatus, StatusReason

MAY_REPORT: Final[Mapping[ReportedOutcome, frozenset[Role]]] = {
    ReportedOutcome.COMPLETED: frozenset({Role.CLIENT, Role.PROVIDER, Role.OPS}),
    ReportedOutcome.CLIENT_NO_SHOW: frozenset({Role.PROVIDER, Role.OPS}),
    ReportedOutcome.PROVIDER_NO_SHOW: frozenset({Role.CLIENT, Role.OPS}),
}
"""Who may say what became of a session (DESIGN section 7)."""

CANCELLED_BY: Final[Mapping[Role, StatusReason]] = {
    Role.CLIENT: StatusReason.CANCELLED_BY_CLIENT,
    Role.PROVIDER: StatusReason.CANCELLED_BY_PROVIDER,
    Role.OPS: StatusReason.CANCELLED_BY_OPS,
    Role.SYSTEM: StatusReason.CANCELLED_BY_OPS,
}

MISSED_BY: Final[Mapping[ReportedOutcome, StatusReason]] = {
    ReportedOutcome.CLIENT_NO_SHOW: StatusReason.CLIENT_NO_SHOW,
    ReportedOutcome.PROVIDER_NO_SHOW: StatusReason.PROVIDER_NO_SHOW,
}
"""Of the other outcomes, completed needs no reason, and a cancellation names who cancelled."""

SESSION_ENDS: Final[Mapping[BookingStatus, SessionStatus]] = {
    BookingStatus.COMPLETED: SessionStatus.COMPLETED,
    BookingStatus.NO_SHOW: SessionStatus.COMPLETED,
    BookingStatus.CANCELLED: SessionStatus.CANCELLED,
    BookingStatus.FORFEIT: SessionStatus.CANCELLED,
    BookingStatus.REJECTED: SessionStatus.CANCELLED,
}
