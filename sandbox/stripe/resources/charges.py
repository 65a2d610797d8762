"""Charges: what a PaymentIntent's attempts leave behind. They are never created directly."""

from sandbox.stripe import ids, ledger
from sandbox.stripe.cards import Decline
from sandbox.stripe.events import emit
from sandbox.stripe.resources.payment_methods import NO_BILLING_DETAILS, card_of
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call, Scope
from sandbox.stripe.store import Object

routes = Routes()
FROM_INTENT = (
    "amount",
    "application",
    "application_fee_amount",
    "currency",
    "customer",
    "description",
    "metadata",
    "on_behalf_of",
    "receipt_email",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
)
APPROVED = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def build(scope: Scope, intent: Object, method: Object) -> Object:
    """An uncaptured, successful charge of an intent's whole amount."""
    charge = scope.base("charge")
    charge |= {name: intent[name] for name in FROM_INTENT}
    return (
        _blank(scope, charge["id"])
        | charge
        | {
            "billing_details": method["billing_details"],
            "outcome": APPROVED,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": _method_details(method),
        }
    )


def received(scope: Scope, transfer: Object, transaction: Object) -> Object:
    """The other side of a transfer: a payment on the connected account, whose id the transfer names."""
    payment = scope.base("charge") | {"id": transfer["destination_payment"]}
    return (
        _blank(scope, payment["id"])
        | payment
        | {
            "amount": transfer["amount"],
            "amount_captured": transfer["amount"],
            "balance_transaction": transaction["id"],
            "captured": True,
            "currency": transfer["currency"],
            "source_transfer": transfer["id"],
        }
    )


def _blank(scope: Scope, charge_id: str) -> Object:
    return dict.fromkeys(FROM_INTENT) | {
        "amount_captured": 0,
        "amount_refunded": 0,
        "application_fee": None,
        "balance_transaction": None,
        "billing_details": NO_BILLING_DETAILS,
        "calculated_statement_descriptor": "SANDBOX",
        "captured": False,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "outcome": None,
        "paid": True,
        "payment_intent": None,
        "payment_method": None,
        "payment_method_details": None,
        "receipt_number": None,
        "receipt_url": f"{scope.base_url}/_sandbox/receipts/{charge_id}",
        "refunded": False,
        "refunds": empty_list(f"/v1/charges/{charge_id}/refunds"),
        "review": None,
        "source": None,
        "source_transfer": None,
        "status": "succeeded",
        "_released": 0,
        "_transferred": 0,
    }


def empty_list(url: str) -> Object:
    """A list that is filled when it is shown."""
    return {"object": "list", "data": [], "has_more": False, "url": url}


def fail(charge: Object, decline: Decline) -> Object:
    """Make a charge the record of a refusal."""
    outcome = APPROVED | {
        "network_decline_code": "05",
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }
    return charge | {
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": outcome,
        "paid": False,
        "status": "failed",
    }


def capture(scope: Scope, charge: Object, amount: int) -> Object:
    """Take an authorized amount, or part of it: the funds arrive as pending, less the processing fee."""
    card = card_of(scope.get("payment_method", charge["payment_method"]))
    delay = int(scope.window("settlement_delay").total_seconds())
    transaction = ledger.post(
        scope,
        "charge",
        amount,
        charge,
        fee=ledger.processing_fee(amount),
        available_on=scope.now if card.available_at_once else scope.now + delay,
    )
    charge["payment_method_details"].get("card", {}).pop("capture_before", None)
    charge |= {"amount_captured": amount, "captured": True, "balance_transaction": transaction["id"]}
    charge |= {"paid": True, "status": "succeeded"}
    return scope.save(charge)


def refundable(charge: Object) -> int:
    """What can still be given back: captured, less refunded. A released authorization is neither."""
    return int(charge["amount_captured"] - (charge["amount_refunded"] - charge["_released"]))


def _method_details(method: Object) -> Object:
    kind = method["type"]
    return {kind: _card_details(method) if kind == "card" else method[kind], "type": kind}


def _card_details(method: Object) -> Object:
    card = method["card"]
    shared = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {name: card[name] for name in shared} | {
        "amount_authorized": None,
        "authorization_code": ids.token(6).upper(),
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": ids.token(15),
        "overcapture": {"maximum_amount_capturable": None, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "wallet": None,
    }


@routes.post("/v1/charges/{id}", params="ChargeUpdateParams")
def update(call: Call) -> Object:
    """Change metadata and what is written on it."""
    charge = call.named("charge")
    charge["metadata"] = call.params.merged_metadata(charge["metadata"])
    charge |= {
        name: call.params.text(name) for name in ("description", "transfer_group") if name in call.params
    }
    emit(call, "charge.updated", call.save(charge))
    return charge


routes.retrieve("/v1/charges/{id}", "charge", params="ChargeRetrieveParams")
routes.list(
    "/v1/charges",
    "charge",
    params="ChargeListParams",
    filters=("customer", "payment_intent", "transfer_group"),
)
