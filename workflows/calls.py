"""How the saga calls its steps: which activity, on which queue, how often and how long."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from temporalio import workflow

from workflows.contracts import BOOKINGS_QUEUE, STRIPE_QUEUE, Abandon, BookingState, Do, Message
from workflows.parking import Step
from workflows.policies import ATTEMPT_TIMEOUT, FAST
from workflows.steps import AuthorizationSteps, BookingSteps, PaymentSteps, PayoutSteps, RefundSteps

M = TypeVar("M", bound=Message)
R = TypeVar("R")

DOES: Final[dict[Step, Callable[[Any, Do], Awaitable[BookingState]]]] = {
    Step.OPEN_PAYMENT: PaymentSteps.open_payment,
    Step.READ_PAYMENT: PaymentSteps.read_payment,
    Step.CLOSE_PAYMENT: PaymentSteps.close_payment,
    Step.ASK_APPROVAL: BookingSteps.ask_approval,
    Step.CONFIRM: BookingSteps.confirm,
    Step.AUTHORIZE: AuthorizationSteps.authorize,
    Step.RENEW: AuthorizationSteps.renew_authorization,
    Step.REPLAN: AuthorizationSteps.replan_payment,
    Step.MIRROR: RefundSteps.mirror,
    Step.PAY_OUT: PayoutSteps.pay_out,
    Step.SEND_TO_BANK: PayoutSteps.send_to_bank,
    Step.REBALANCE: PayoutSteps.rebalance,
}
"""Steps that need nothing but the booking and the time."""

UNDOES: Final[dict[Step, Callable[[Any, Abandon], Awaitable[BookingState | None]]]] = {
    Step.GIVE_BACK: PaymentSteps.give_back,
    Step.RELEASE: BookingSteps.release,
}

LOCAL: Final = frozenset(
    {
        "ask_approval",
        "change_hold",
        "confirm",
        "contest",
        "judge",
        "release",
        "report",
        "record_attention",
        "reschedule",
    }
)
"""Steps that never call Stripe stay off its rate-limited queue."""


async def call(method: Callable[[Any, M], Awaitable[R]], message: M, summary: str) -> R:
    """Run one step with the fast retries; what is left after those is for `Attention`."""
    return await workflow.execute_activity_method(
        method,
        message,
        task_queue=BOOKINGS_QUEUE if method.__name__ in LOCAL else STRIPE_QUEUE,
        start_to_close_timeout=ATTEMPT_TIMEOUT,
        retry_policy=FAST,
        summary=summary,
    )
