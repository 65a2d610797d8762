"""How a PaymentIntent becomes a charge: authentication, authorization, capture, cancellation, expiry.

    requires_payment_method ─► [requires_action ─►] [requires_capture | processing ─►] succeeded
             ▲                        │                      │             │
             └────────────────────────┴── declined, failed ──┼─────────────┘
                                                             └─► canceled

Shared by the API's endpoints, the 3D Secure page, the control API and the clock.
"""

from sandbox.stripe import disputing, due, intents, refunding
from sandbox.stripe.cards import AUTHENTICATION, BANK_FUNDS, Decline
from sandbox.stripe.errors import ApiError
from sandbox.stripe.events import emit
from sandbox.stripe.render import render
from sandbox.stripe.resources import charges
from sandbox.stripe.resources.payment_methods import attach, card_of
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
    "to attempt to fulfill this PaymentIntent again.",
)
# Days at a real bank; the clock or the control API makes it sooner.
SETTLES_AFTER_SECONDS = 60
OPEN = (
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
)


def attempt(scope: Scope, intent: Object, method: Object, *, off_session: bool) -> ApiError | None:
    """Try to pay an intent; the refusal, if it is one, has been recorded on the intent."""
    intent |= {"payment_method": method["id"], "last_payment_error": None, "next_action": None}
    card = card_of(method)
    if card.must_authenticate(off_session=off_session, set_up=method["_set_up"]):
        if off_session:
            return _decline(scope, intent, method, AUTHENTICATION)
        intents.ask_cardholder(scope, intent)
        return None
    return authorize(scope, intent, method)


def authorize(scope: Scope, intent: Object, method: Object) -> ApiError | None:
    """Ask the card's bank for the amount; with automatic capture it is taken at once."""
    card = card_of(method)
    if card.settles_later:
        _process(scope, intent, method)
        return None
    if card.decline is not None:
        return _decline(scope, intent, method, card.decline)
    charge = charges.build(scope, intent, method)
    intent |= {"latest_charge": charge["id"], "next_action": None}
    manual = intent["capture_method"] == "manual"
    if manual:
        capture_before = scope.now + int(scope.window("authorization_window").total_seconds())
        charge["payment_method_details"]["card"]["capture_before"] = capture_before
        due.schedule(scope, "authorization_expires", charge, capture_before)
    scope.add(charge)
    _keep_method(scope, intent, method)
    if not manual:
        charges.capture(scope, charge, charge["amount"])
    emit(scope, "charge.succeeded", charge)
    if manual:
        intent |= {"status": "requires_capture", "amount_capturable": charge["amount"]}
        emit(scope, "payment_intent.amount_capturable_updated", scope.save(intent))
    else:
        _succeed(scope, intent, charge["amount"])
    return None


def authenticate(scope: Scope, intent: Object, *, success: bool) -> ApiError | None:
    """End a 3D Secure step the way the cardholder chose."""
    method = scope.get("payment_method", intent["payment_method"])
    if not success:
        _fail(scope, intent, method, AUTHENTICATION_FAILED, kind="invalid_request_error")
        return None
    if intent["setup_future_usage"] == "off_session":
        method["_set_up"] = True
    return authorize(scope, intent, method)


def capture(scope: Scope, intent: Object, amount: int) -> Object:
    """Take an authorized amount or part of it; the rest is let go for good."""
    charge = charges.capture(scope, scope.get("charge", intent["latest_charge"]), amount)
    emit(scope, "charge.captured", charge)
    refunding.release(scope, charge, charge["amount"] - amount)
    return _succeed(scope, intent, amount)


def cancel(scope: Scope, intent: Object, reason: str | None) -> Object:
    """End an intent; an authorization is released."""
    if intent["status"] == "requires_capture":
        refunding.release(scope, scope.get("charge", intent["latest_charge"]), intent["amount_capturable"])
    intent |= {
        "amount_capturable": 0,
        "canceled_at": scope.now,
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    scope.save(intent)
    emit(scope, "payment_intent.canceled", intent)
    return intent


@due.on_due("authorization_expires")
def expire(scope: Scope, charge: Object) -> None:
    """The authorization's window is over: an uncaptured charge expires, its intent is canceled."""
    intent = scope.get("payment_intent", charge["payment_intent"])
    if intent["status"] != "requires_capture" or intent["latest_charge"] != charge["id"]:
        return
    cancel(scope, intent, "automatic")
    emit(scope, "charge.expired", charge)


def settle(scope: Scope, intent: Object, *, success: bool) -> None:
    """Say how a payment ended that was under way."""
    charge = scope.get("charge", intent["latest_charge"])
    method = scope.get("payment_method", intent["payment_method"])
    if success:
        charges.capture(scope, charge, charge["amount"])
        emit(scope, "charge.succeeded", charge)
        _succeed(scope, intent, charge["amount"])
    else:
        decline = card_of(method).decline or BANK_FUNDS
        charge = charges.fail(charge, decline)
        emit(scope, "charge.failed", scope.save(charge))
        _fail(scope, intent, method, decline, charge=charge["id"])


@due.on_due("payment_settles")
def _settle(scope: Scope, intent: Object) -> None:
    if intent["status"] == "processing":
        method = scope.get("payment_method", intent["payment_method"])
        settle(scope, intent, success=card_of(method).decline is None)


def _process(scope: Scope, intent: Object, method: Object) -> None:
    charge = scope.add(charges.build(scope, intent, method) | {"paid": False, "status": "pending"})
    intent |= {"latest_charge": charge["id"], "status": "processing"}
    _keep_method(scope, intent, method)
    if card_of(method).settles:
        due.schedule(scope, "payment_settles", intent, scope.now + SETTLES_AFTER_SECONDS)
    emit(scope, "charge.pending", charge)
    emit(scope, "payment_intent.processing", scope.save(intent))


def _succeed(scope: Scope, intent: Object, amount: int) -> Object:
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    emit(scope, "payment_intent.succeeded", scope.save(intent))
    disputing.open_by_card(scope, scope.get("charge", intent["latest_charge"]))
    return intent


def _keep_method(scope: Scope, intent: Object, method: Object) -> None:
    """A method that no customer keeps can not be used again (Stripe refuses its second use)."""
    if intent["setup_future_usage"] == "off_session":
        method["_set_up"] = True
    if method["customer"] is None and intent["customer"] and intent["setup_future_usage"]:
        attach(scope, method, scope.get("customer", intent["customer"]))
        return
    method["_used_up"] = method["customer"] is None
    scope.save(method)


def _decline(scope: Scope, intent: Object, method: Object, decline: Decline) -> ApiError:
    charge = scope.add(charges.fail(charges.build(scope, intent, method), decline))
    intent["latest_charge"] = charge["id"]
    emit(scope, "charge.failed", charge)
    error = _fail(scope, intent, method, decline, charge=charge["id"])
    error.error |= {"charge": charge["id"], "payment_intent": render(scope.store, intent)}
    return error


def _fail(
    scope: Scope,
    intent: Object,
    method: Object,
    decline: Decline,
    *,
    kind: str = "card_error",
    charge: str | None = None,
) -> ApiError:
    error = decline.error()
    error.error |= {"type": kind, "payment_method": render(scope.store, method)}
    if charge is not None:
        error.error["charge"] = charge
    intent |= {
        "last_payment_error": dict(error.error),
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    emit(scope, "payment_intent.payment_failed", scope.save(intent))
    return error
