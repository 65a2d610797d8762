"""The deadlines of a booking's money, as pure functions: instants are UTC, by the saga's clock.

They are computed once, when the fact they follow from becomes known, and stored (DESIGN section 3).
"""

from datetime import datetime, timedelta
from typing import Final

from models.policy import AUTHORIZATION_MARGIN, Policy

PAYMENT_GRACE: Final = timedelta(minutes=10)
"""For a payment that is with the bank when the window ends, once."""


def margin_of(window: timedelta) -> timedelta:
    """How long before an authorization ends we act: 12 h, less for windows of hours or seconds."""
    return min(AUTHORIZATION_MARGIN, window / 4)


def renew_at(authorized_at: datetime, capture_before: datetime) -> datetime:
    """When an authorization has to be captured or renewed at the latest (DESIGN section 5)."""
    return capture_before - margin_of(capture_before - authorized_at)


def authorize_at(policy: Policy, starts_at: datetime, now: datetime) -> datetime:
    """When a saved card is charged off session: `authorization_lead` before the start, or now."""
    return max(now, starts_at - policy.authorization_lead)


def fix_by(starts_at: datetime, refused_at: datetime) -> datetime:
    """Until when a client may repair a refused card: half of what is left before the start.

    The other half is the provider's, to give the time to somebody else.
    """
    return refused_at + max(starts_at - refused_at, timedelta(0)) / 2


def approval_due_at(
    policy: Policy, asked_at: datetime, starts_at: datetime, authorized_until: datetime | None
) -> datetime:
    """Until when the provider may accept: never later than the start or the authorization."""
    deadlines = [asked_at + policy.approval_window, starts_at]
    return min([*deadlines, authorized_until] if authorized_until else deadlines)
