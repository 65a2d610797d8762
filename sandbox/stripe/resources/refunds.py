"""Refunds of captured charges."""

from sandbox.stripe import ledger
from sandbox.stripe.errors import invalid_request, missing_parameter, refused
from sandbox.stripe.events import emit
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
REASONS = ("duplicate", "fraudulent", "requested_by_customer")


@routes.post("/v1/refunds", params="RefundCreateParams")
def create(call: Call) -> Object:
    """Give back what is left of a charge, or `amount` of it."""
    charge = _charge(call)
    amount = _amount(call, charge)
    refund = call.add(_build(call, charge, amount))
    transaction = ledger.post(call, "refund", -amount, refund)
    refund["balance_transaction"] = transaction["id"]
    call.save(refund)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    emit(call, "charge.refunded", call.save(charge))
    emit(call, "refund.created", refund)
    emit(call, "charge.refund.updated", refund)
    emit(call, "refund.updated", refund)
    return refund


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
    return charge


def _amount(call: Call, charge: Object) -> int:
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise refused(message, code="charge_already_refunded", param="charge")
    amount = call.params.amount("amount") or left
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise refused(message, param="amount")
    return int(amount)


def _build(call: Call, charge: Object, amount: int) -> Object:
    params = call.params
    reason = params.text("reason")
    if reason is not None and reason not in REASONS:
        raise invalid_request(f"Invalid reason: must be one of {', '.join(REASONS)}", param="reason")
    refund = call.base("refund")
    del refund["livemode"]
    return refund | {
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": params.merged_metadata({}),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


routes.retrieve("/v1/refunds/{id}", "refund", params="RefundRetrieveParams")
routes.list("/v1/refunds", "refund", params="RefundListParams", filters=("charge", "payment_intent"))
