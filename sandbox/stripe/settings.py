"""What the sandbox is started with."""

import re
from dataclasses import dataclass
from datetime import timedelta

_DURATION = re.compile(
    r"^P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?$"
)


def duration(text: str) -> timedelta:
    """Read an ISO 8601 duration such as `PT20S` or `P7D`."""
    match = _DURATION.match(text)
    parts = {} if match is None else {name: int(value) for name, value in match.groupdict().items() if value}
    if not parts:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT20S or P7D")
    return timedelta(**parts)


@dataclass(frozen=True)
class Settings:
    """Keys and windows; windows are by the sandbox's clock."""

    secret_key: str = "sk_test_sandbox"  # noqa: S105 - a stand-in's key guards nothing
    publishable_key: str = "pk_test_sandbox"
    # How long a card authorization stands: 7 days online (docs.stripe.com/payments/place-a-hold-on-a-payment-method).
    authorization_window: timedelta = timedelta(days=7)
    # How long captured funds stay pending: 2 days in the US (docs.stripe.com/payouts).
    settlement_delay: timedelta = timedelta(days=2)
    # How long a payout is under way: days at a real bank, soon enough here for somebody who watches.
    payout_delay: timedelta = timedelta(seconds=2)
    # How long after a dispute is won its money comes back: the two are events of their own at Stripe, in any order.
    reinstatement_delay: timedelta = timedelta(0)
