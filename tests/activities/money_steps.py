"""Every money step of the saga: what comes before it, how it is done, and where it leaves the money."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from activities.wiring import Activities
from models.states import OperationState
from tests.activities.desk import (
    CHARGE_NOW,
    CLIENT,
    NEEDS_3DS,
    PROVIDER,
    REFUSED_LATER,
    Desk,
    Picture,
    abandoned,
    cancelled_by,
    completed,
    do,
)
from tests.support.shop import Shop

# 120.00 EUR: the platform takes 20 %, the sandbox's Stripe 2.9 % and 0.30.
PRICE: Final = 12_000
HALF: Final = PRICE // 2
STRIPE_FEE: Final = 378
STRIPE_FEE_ON_HALF: Final = 204
SHARE: Final = 9_600
FEE: Final = 2_400
REAUTHORIZE: Final = {"authorization_expiry": "reauthorize"}


@dataclass(frozen=True)
class MoneyStep:
    """`before` makes a booking that is ready for the step; `kind` is the write that the step is about."""

    name: str
    kind: str
    path: str
    before: Callable[[Desk, Shop], Awaitable[UUID]]
    act: Callable[[Activities, UUID], Awaitable[object]]
    ends: Picture
    policy: Mapping[str, Any] = field(default_factory=dict)
    leaves: OperationState = OperationState.SUCCEEDED
    """What becomes of the write: a card that is refused is a definite failure, and a result."""

    async def prepare(self, desk: Desk) -> UUID:
        """A booking of a shop of its own, ready for this step."""
        return await self.before(desk, await desk.shop(amount=PRICE, policy=dict(self.policy)))


_CAPTURED: Final = {"stripe_balance": PRICE - STRIPE_FEE, "held": -PRICE, "stripe_fees": STRIPE_FEE}
_KEPT_HALF: Final = {
    "stripe_balance": HALF - STRIPE_FEE_ON_HALF,
    "held": -HALF,
    "stripe_fees": STRIPE_FEE_ON_HALF,
}
_TAKEN: Final = {"capture": 1, "stripe_fee": 1}

OPEN_CUSTOMER: Final = MoneyStep(
    "open_payment: customer",
    kind="customer",
    path="/v1/customers",
    before=Desk.reserved,
    act=lambda activities, booking_id: activities.payments.open_payment(do(booking_id)),
    ends=Picture(),
)
OPEN_INTENT: Final = MoneyStep(
    "open_payment: intent",
    kind="intent",
    path="/v1/payment_intents",
    before=Desk.reserved,
    act=lambda activities, booking_id: activities.payments.open_payment(do(booking_id)),
    ends=Picture(),
)
CAPTURE: Final = MoneyStep(
    "settle: capture",
    kind="capture",
    path="/v1/payment_intents/*/capture",
    before=Desk.confirmed,
    act=lambda activities, booking_id: activities.payments.settle(completed(booking_id)),
    ends=Picture(
        booking="COMPLETED",
        payment="CAPTURED",
        payout="HELD",
        books=_CAPTURED,
        journals=_TAKEN,
        intents=("succeeded",),
        captured=PRICE,
    ),
)
FORFEIT: Final = MoneyStep(
    "settle: capture a part",
    kind="capture",
    path="/v1/payment_intents/*/capture",
    before=Desk.confirmed,
    act=lambda activities, booking_id: activities.payments.settle(cancelled_by(CLIENT, booking_id)),
    ends=Picture(
        booking="FORFEIT",
        payment="CAPTURED",
        payout="HELD",
        books=_KEPT_HALF,
        journals=_TAKEN,
        intents=("succeeded",),
        captured=HALF,
    ),
)
VOID: Final = MoneyStep(
    "settle: void",
    kind="cancel",
    path="/v1/payment_intents/*/cancel",
    before=Desk.confirmed,
    act=lambda activities, booking_id: activities.payments.settle(cancelled_by(PROVIDER, booking_id)),
    ends=Picture(booking="CANCELLED", payment="VOIDED", intents=("canceled",)),
)
REFUND: Final = MoneyStep(
    "settle: refund a part",
    kind="refund",
    path="/v1/refunds",
    policy=CHARGE_NOW,
    before=Desk.confirmed,
    act=lambda activities, booking_id: activities.payments.settle(cancelled_by(CLIENT, booking_id)),
    ends=Picture(
        booking="FORFEIT",
        payment="PARTIALLY_REFUNDED",
        payout="HELD",
        books={"stripe_balance": HALF - STRIPE_FEE, "held": -HALF, "stripe_fees": STRIPE_FEE},
        journals=_TAKEN | {"refund": 1},
        intents=("succeeded",),
        captured=PRICE,
        refunds=(HALF,),
    ),
)
GIVE_BACK_VOID: Final = MoneyStep(
    "give_back: void",
    kind="cancel",
    path="/v1/payment_intents/*/cancel",
    before=Desk.paid,
    act=lambda activities, booking_id: activities.payments.give_back(abandoned(booking_id)),
    ends=Picture(payment="VOIDED", intents=("canceled",)),
)
GIVE_BACK_REFUND: Final = MoneyStep(
    "give_back: refund",
    kind="refund",
    path="/v1/refunds",
    policy=CHARGE_NOW,
    before=Desk.paid,
    act=lambda activities, booking_id: activities.payments.give_back(abandoned(booking_id)),
    ends=Picture(
        payment="REFUNDED",
        books={"stripe_balance": -STRIPE_FEE, "stripe_fees": STRIPE_FEE},
        journals=_TAKEN | {"refund": 1},
        intents=("succeeded",),
        captured=PRICE,
        refunds=(PRICE,),
    ),
)
CLOSE: Final = MoneyStep(
    "close_payment: cancel",
    kind="cancel",
    path="/v1/payment_intents/*/cancel",
    before=Desk.opened,
    act=lambda activities, booking_id: activities.payments.close_payment(do(booking_id)),
    ends=Picture(payment="VOIDED", intents=("canceled",)),
)
PAY_OUT: Final = MoneyStep(
    "pay_out: transfer",
    kind="transfer",
    path="/v1/transfers",
    before=Desk.earned,
    act=lambda activities, booking_id: activities.payouts.pay_out(do(booking_id)),
    ends=Picture(
        booking="COMPLETED",
        payment="CAPTURED",
        payout="PAID",
        books={
            "stripe_balance": PRICE - STRIPE_FEE - SHARE,
            "stripe_fees": STRIPE_FEE,
            "platform_revenue": -FEE,
        },
        journals=_TAKEN | {"allocation": 1, "transfer": 1},
        intents=("succeeded",),
        captured=PRICE,
        transfers=(SHARE,),
    ),
)

OPEN_SETUP: Final = MoneyStep(
    "open_payment: setup",
    kind="setup",
    path="/v1/setup_intents",
    before=Desk.reserved_far_off,
    act=lambda activities, booking_id: activities.payments.open_payment(do(booking_id)),
    ends=Picture(intents=(), setups=("requires_payment_method",)),
)
CLOSE_SETUP: Final = MoneyStep(
    "close_payment: cancel the setup",
    kind="cancel_setup",
    path="/v1/setup_intents/*/cancel",
    before=Desk.opened_far_off,
    act=lambda activities, booking_id: activities.payments.close_payment(do(booking_id)),
    ends=Picture(payment="VOIDED", intents=(), setups=("canceled",)),
)
GIVE_BACK_SETUP: Final = MoneyStep(
    "give_back: cancel the setup",
    kind="cancel_setup",
    path="/v1/setup_intents/*/cancel",
    before=Desk.opened_far_off,
    act=lambda activities, booking_id: activities.payments.give_back(abandoned(booking_id)),
    ends=Picture(payment="VOIDED", intents=(), setups=("canceled",)),
)
_ON_ITS_WAY: Final = Picture(booking="CONFIRMED", intents=("requires_capture",))
AUTHORIZE_INTENT: Final = MoneyStep(
    "authorize: intent",
    kind="intent",
    path="/v1/payment_intents",
    before=Desk.chargeable,
    act=lambda activities, booking_id: activities.authorizations.authorize(do(booking_id)),
    ends=replace(_ON_ITS_WAY, payment="AUTHORIZED", setups=("succeeded",)),
)
AUTHORIZE: Final = replace(
    AUTHORIZE_INTENT, name="authorize: charge", kind="confirm", path="/v1/payment_intents/*/confirm"
)
AUTHORIZE_REFUSED: Final = replace(
    AUTHORIZE,
    name="authorize: refused",
    before=lambda desk, shop: desk.chargeable(shop, REFUSED_LATER),
    ends=Picture(booking="CONFIRMED", payment="SAVED", setups=("succeeded",)),
    leaves=OperationState.FAILED,
)
CLOSE_UNREPAIRED: Final = MoneyStep(
    "close_payment: the card was not repaired",
    kind="cancel",
    path="/v1/payment_intents/*/cancel",
    before=Desk.unrepaired,
    act=lambda activities, booking_id: activities.payments.close_payment(do(booking_id)),
    ends=Picture(booking="CONFIRMED", payment="FAILED", intents=("canceled",), setups=("succeeded",)),
)
CAPTURE_EARLY: Final = MoneyStep(
    "renew_authorization: capture early",
    kind="capture",
    path="/v1/payment_intents/*/capture",
    before=Desk.ending,
    act=lambda activities, booking_id: activities.authorizations.renew_authorization(do(booking_id)),
    ends=Picture(
        booking="CONFIRMED",
        payment="CAPTURED",
        books=_CAPTURED,
        journals=_TAKEN,
        intents=("succeeded",),
        captured=PRICE,
    ),
)
RENEW_INTENT: Final = replace(
    CAPTURE_EARLY,
    name="renew_authorization: intent",
    kind="intent",
    path="/v1/payment_intents",
    policy=REAUTHORIZE,
    ends=Picture(booking="CONFIRMED", payment="AUTHORIZED", intents=("canceled", "requires_capture")),
)
RENEW: Final = replace(
    RENEW_INTENT,
    name="renew_authorization: charge",
    kind="confirm",
    path="/v1/payment_intents/*/confirm",
)
RENEW_VOID: Final = replace(
    RENEW_INTENT,
    name="renew_authorization: void the old one",
    kind="cancel",
    path="/v1/payment_intents/*/cancel",
)
RENEW_REFUSED: Final = replace(
    CAPTURE_EARLY,
    name="renew_authorization: refused",
    before=lambda desk, shop: desk.ending(shop, NEEDS_3DS),
    policy=REAUTHORIZE,
    ends=replace(CAPTURE_EARLY.ends, intents=("succeeded", "canceled")),
)
REPLAN: Final = MoneyStep(
    "replan_payment: void",
    kind="cancel",
    path="/v1/payment_intents/*/cancel",
    before=Desk.moved_far_off,
    act=lambda activities, booking_id: activities.authorizations.replan_payment(do(booking_id)),
    ends=Picture(booking="CONFIRMED", payment="SAVED", intents=("canceled",)),
)

MONEY_STEPS: Final = (
    OPEN_CUSTOMER,
    OPEN_INTENT,
    OPEN_SETUP,
    CLOSE_SETUP,
    GIVE_BACK_SETUP,
    AUTHORIZE_INTENT,
    AUTHORIZE,
    AUTHORIZE_REFUSED,
    CLOSE_UNREPAIRED,
    CAPTURE_EARLY,
    RENEW_INTENT,
    RENEW,
    RENEW_VOID,
    RENEW_REFUSED,
    REPLAN,
    CAPTURE,
    FORFEIT,
    VOID,
    REFUND,
    GIVE_BACK_VOID,
    GIVE_BACK_REFUND,
    CLOSE,
    PAY_OUT,
)
