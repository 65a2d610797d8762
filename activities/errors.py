"""The closed vocabulary of how a step can fail, and what each failure means for a retry.

    StepError                      a step did not do its work
    ├── StripeFailure              Stripe said no, or said nothing
    │     definite: nothing happened, a new attempt may follow
    │     indefinite: it may have happened, only the same key may be sent again
    ├── PaymentMismatch            the payment is not the one we asked for: never confirm
    └── BookingMissing             no such booking in Postgres
    IllegalMove (models)           the state does not allow this transition

`to_application_error` is the one place that turns them, and the database's own errors, into what
Temporal retries or hands to `Attention`. A type is matched by its exact name.
"""

from datetime import timedelta
from enum import StrEnum

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from temporalio.exceptions import ApplicationError

from models.transitions import IllegalMove


class Failure(StrEnum):
    """Every way a step can fail."""

    STRIPE_UNAVAILABLE = "StripeUnavailable"
    STRIPE_INDETERMINATE = "StripeIndeterminate"
    STRIPE_RATE_LIMITED = "StripeRateLimited"
    STRIPE_BUSY = "StripeBusy"
    STRIPE_AUTHENTICATION = "StripeAuthentication"
    STRIPE_KEY_CONFLICT = "StripeKeyConflict"
    STRIPE_REJECTED = "StripeRejected"
    CARD_DECLINED = "CardDeclined"
    UNEXPECTED_STATE = "UnexpectedState"
    INSUFFICIENT_BALANCE = "InsufficientBalance"
    PROVIDER_NOT_PAYABLE = "ProviderNotPayable"
    MONEY_NOT_SETTLED = "MoneyNotSettled"
    AUTHORIZATION_EXPIRED = "AuthorizationExpired"
    REFUND_FAILED = "RefundFailed"
    DISPUTE_OPEN = "DisputeOpen"
    PAYMENT_MISMATCH = "PaymentMismatch"
    ADOPTION_REFUSED = "AdoptionRefused"
    ILLEGAL_MOVE = "IllegalMove"
    BOOKING_MISSING = "BookingMissing"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


RETRYABLE = frozenset(
    {
        Failure.STRIPE_UNAVAILABLE,
        Failure.STRIPE_INDETERMINATE,
        Failure.STRIPE_RATE_LIMITED,
        Failure.STRIPE_BUSY,
        Failure.INSUFFICIENT_BALANCE,
        Failure.DATABASE_UNAVAILABLE,
    }
)
"""Worth another try in seconds; everything else needs a person or a changed world."""

INDEFINITE = frozenset(
    {
        Failure.STRIPE_INDETERMINATE,
        Failure.STRIPE_BUSY,
        Failure.STRIPE_RATE_LIMITED,
        Failure.STRIPE_AUTHENTICATION,
        Failure.STRIPE_KEY_CONFLICT,
    }
)
"""No proof that nothing happened: an earlier send under the same key may have gone through, and
these answers are given before the key is looked at. The operation keeps its key."""


UNREADABLE = frozenset({Failure.STRIPE_AUTHENTICATION, Failure.PROVIDER_NOT_PAYABLE})
"""How Stripe answers for a connected account that is no longer ours to look into."""


class StepError(Exception):
    """A step did not do its work; `failure` says how."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class StripeFailure(StepError):
    """Stripe refused, or did not answer."""

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        code: str | None = None,
        retry_after: timedelta | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(failure, message)
        self.code = code
        self.retry_after = retry_after
        self.replayed = replayed
        """The answer was stored under the idempotency key: the same key gets it for ever."""

    @property
    def definite(self) -> bool:
        """Nothing happened at Stripe."""
        return self.failure not in INDEFINITE


class PaymentMismatch(StepError):
    """What was paid is not what the booking asked for; it must never confirm (TRAPS 19)."""

    def __init__(self, message: str) -> None:
        super().__init__(Failure.PAYMENT_MISMATCH, message)


class BookingMissing(StepError):
    """The booking is not in Postgres."""

    def __init__(self, booking_id: object) -> None:
        super().__init__(Failure.BOOKING_MISSING, f"no booking {booking_id} in the database")


def to_application_error(error: Exception) -> ApplicationError | None:
    """How Temporal should see `error`; None for a bug of ours, which stays what it is."""
    if isinstance(error, StepError):
        return ApplicationError(
            str(error),
            type=error.failure,
            non_retryable=error.failure not in RETRYABLE,
            next_retry_delay=getattr(error, "retry_after", None),
        )
    if isinstance(error, IllegalMove):
        return ApplicationError(str(error), type=Failure.ILLEGAL_MOVE, non_retryable=True)
    if isinstance(error, OSError | PoolTimeoutError | DBAPIError):
        # The driver's text may quote row values, so only its kind is told.
        kind = type(getattr(error, "orig", None) or error).__name__
        return ApplicationError(
            f"Postgres refused, or did not answer: {kind}", type=Failure.DATABASE_UNAVAILABLE
        )
    return None
