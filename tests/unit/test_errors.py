"""Every way a step can fail has its place: whether to retry it, whether anything may have happened."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from temporalio.exceptions import ApplicationError

from activities.errors import (
    BookingMissing,
    Failure,
    PaymentMismatch,
    StepError,
    StripeFailure,
    to_application_error,
)
from models.transitions import IllegalMove

RETRIED, FINAL = True, False
NOTHING_HAPPENED, MAY_HAVE_HAPPENED = True, False

CLASSIFIED: dict[Failure, tuple[bool, bool]] = {
    Failure.STRIPE_UNAVAILABLE: (RETRIED, NOTHING_HAPPENED),
    Failure.STRIPE_INDETERMINATE: (RETRIED, MAY_HAVE_HAPPENED),
    Failure.STRIPE_RATE_LIMITED: (RETRIED, MAY_HAVE_HAPPENED),
    Failure.STRIPE_BUSY: (RETRIED, MAY_HAVE_HAPPENED),
    Failure.STRIPE_AUTHENTICATION: (FINAL, MAY_HAVE_HAPPENED),
    Failure.STRIPE_KEY_CONFLICT: (FINAL, MAY_HAVE_HAPPENED),
    Failure.STRIPE_REJECTED: (FINAL, NOTHING_HAPPENED),
    Failure.CARD_DECLINED: (FINAL, NOTHING_HAPPENED),
    Failure.UNEXPECTED_STATE: (FINAL, NOTHING_HAPPENED),
    Failure.INSUFFICIENT_BALANCE: (RETRIED, NOTHING_HAPPENED),
    Failure.PROVIDER_NOT_PAYABLE: (FINAL, NOTHING_HAPPENED),
    Failure.MONEY_NOT_SETTLED: (FINAL, NOTHING_HAPPENED),
    Failure.AUTHORIZATION_EXPIRED: (FINAL, NOTHING_HAPPENED),
    Failure.REFUND_FAILED: (FINAL, NOTHING_HAPPENED),
    Failure.DISPUTE_OPEN: (FINAL, NOTHING_HAPPENED),
    Failure.PAYMENT_MISMATCH: (FINAL, NOTHING_HAPPENED),
    Failure.ADOPTION_REFUSED: (FINAL, NOTHING_HAPPENED),
    Failure.ILLEGAL_MOVE: (FINAL, NOTHING_HAPPENED),
    Failure.BOOKING_MISSING: (FINAL, NOTHING_HAPPENED),
    Failure.DATABASE_UNAVAILABLE: (RETRIED, NOTHING_HAPPENED),
}


def test_every_failure_is_classified_and_its_name_is_its_own() -> None:
    assert set(CLASSIFIED) == set(Failure)
    assert len({failure.value for failure in Failure}) == len(Failure)


@pytest.mark.parametrize("failure", Failure)
def test_a_failure_is_retried_and_definite_as_classified(failure: Failure) -> None:
    error = StripeFailure(failure, "words")
    told = to_application_error(error)
    assert told is not None
    assert (not told.non_retryable, error.definite) == CLASSIFIED[failure]
    assert (told.type, told.message) == (failure.value, "words")


class Secret(Exception):
    """A driver's error, quoting a row."""


TOLD: list[tuple[Exception, str, bool]] = [
    (StepError(Failure.ADOPTION_REFUSED, "no"), "AdoptionRefused", True),
    (PaymentMismatch("no"), "PaymentMismatch", True),
    (BookingMissing("b1"), "BookingMissing", True),
    (IllegalMove("no"), "IllegalMove", True),
    (ConnectionRefusedError("no"), "DatabaseUnavailable", False),
    (TimeoutError("no"), "DatabaseUnavailable", False),
    (PoolTimeoutError("no"), "DatabaseUnavailable", False),
    (DBAPIError("SELECT", {}, Secret("card 4242")), "DatabaseUnavailable", False),
    (IntegrityError("INSERT", {}, Secret("card 4242")), "DatabaseUnavailable", False),
]


@pytest.mark.parametrize(("error", "kind", "final"), TOLD, ids=lambda value: type(value).__name__)
def test_temporal_is_told_each_error_by_its_exact_name(error: Exception, kind: str, *, final: bool) -> None:
    told = to_application_error(error)
    assert isinstance(told, ApplicationError)
    assert (told.type, told.non_retryable) == (kind, final)
    assert "4242" not in str(told)


@pytest.mark.parametrize("bug", [ValueError("x"), KeyError("x"), AssertionError("x"), AttributeError("x")])
def test_a_bug_of_ours_stays_what_it_is(bug: Exception) -> None:
    assert to_application_error(bug) is None


def test_the_wait_that_stripe_asks_for_is_passed_on() -> None:
    wait = timedelta(seconds=17)
    told = to_application_error(StripeFailure(Failure.STRIPE_RATE_LIMITED, "slow", retry_after=wait))
    assert told is not None
    assert told.next_retry_delay == wait
