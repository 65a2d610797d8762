"""Refunds of captured charges."""

from sandbox.stripe import disputing, refunding
from sandbox.stripe.errors import invalid_request, missing_parameter, refused
from sandbox.stripe.events import emit
from sandbox.stripe.resources.charges import refundable
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
REASONS = ("duplicate", "fraudulent", "requested_by_customer")


@routes.post("/v1/refunds", params="RefundCreateParams")
def create(call: Call) -> Object:
    """Give back what is left of a charge, or `amount` of it."""
    charge = _charge(call)
    return refunding.give_back(call, charge, _build(call, charge, _amount(call, charge)))


@routes.post("/v1/refunds/{id}", params="RefundUpdateParams")
def update(call: Call) -> Object:
    """Change metadata."""
    refund = call.named("refund")
    refund["metadata"] = call.params.merged_metadata(refund["metadata"])
    emit(call, "refund.updated", call.save(refund))
    return refund


def _charge(call: Call) -> Object:
    charge = call.referenced("charge", "charge")
    if charge is None:
        intent = call.referenced("payment_intent", "payment_intent")
        if intent is None:
            raise missing_parameter("charge")
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise refused(message, param="payment_intent")
        charge = call.get("charge", intent["latest_charge"])
    if not charge["captured"]:
        raise refused(
            f"Charge {charge['id']} has not been captured.", code="charge_not_refundable", param="charge"
        )
    if error := disputing.refusal(call, charge):
        raise error
    return charge


def _amount(call: Call, charge: Object) -> int:
    left = refundable(charge)
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise refused(message, code="charge_already_refunded", param="charge")
    amount = call.params.amount("amount", charge["currency"]) or left
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise refused(message, param="amount")
    return amount


def _build(call: Call, charge: Object, amount: int) -> Object:
    params = call.params
    reason = params.text("reason")
    if reason is not None and reason not in REASONS:
        raise invalid_request(f"Invalid reason: must be one of {', '.join(REASONS)}", param="reason")
    refund = refunding.build(call, charge, amount)
    return refund | {"metadata": params.merged_metadata({}), "reason": reason}


routes.retrieve("/v1/refunds/{id}", "refund", params="RefundRetrieveParams")
routes.list("/v1/refunds", "refund", params="RefundListParams", filters=("charge", "payment_intent"))
