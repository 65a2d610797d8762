"""How a dispute runs: money leaves when it opens, and comes back when it is won.

    inquiry:    warning_needs_response ─► [warning_under_review ─►] warning_closed
                          └──────────────────────┴─► needs_response (the bank escalates it)
    chargeback: needs_response ─► [under_review ─►] won | lost

Shared by the API's endpoint, the control API, and the test cards that are disputed as soon as they are captured.
"""

from sandbox.stripe import due, ledger
from sandbox.stripe.errors import ApiError, refused
from sandbox.stripe.events import emit
from sandbox.stripe.ledger import NO_FEE, Fee
from sandbox.stripe.resources.payment_methods import card_of
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

# What Stripe keeps of a dispute, whoever wins: 15.00 in the dispute's currency (docs.stripe.com/disputes/how-disputes-work).
FEE_UNITS = 15
RESPONSE_SECONDS = 9 * 86400
INQUIRIES = ("warning_needs_response", "warning_under_review", "warning_closed")
MOVES: dict[str, tuple[str, ...]] = {
    "warning_needs_response": ("warning_under_review", "warning_closed", "needs_response"),
    "warning_under_review": ("warning_closed", "needs_response"),
    "warning_closed": (),
    "needs_response": ("under_review", "won", "lost"),
    "under_review": ("won", "lost"),
    "won": (),
    "lost": (),
}
CLOSED = tuple(status for status, moves in MOVES.items() if not moves)
ANSWERABLE = ("needs_response", "warning_needs_response")
# What keeps a charge from being refunded: an inquiry moved no money, a dispute that was won gave it back.
CHARGED_BACK = ("needs_response", "under_review", "lost")
# Visa's codes (docs.stripe.com/disputes/categories); other reasons have no entry.
NETWORK_REASONS = {
    "credit_not_processed": "13.7",
    "duplicate": "12.6",
    "fraudulent": "10.4",
    "product_not_received": "13.1",
    "product_unacceptable": "13.3",
    "subscription_canceled": "13.2",
}
EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def open_dispute(scope: Scope, charge: Object, *, amount: int, reason: str, inquiry: bool) -> Object:
    """Dispute `amount` of a captured charge; unless it is an inquiry, the money is withdrawn with a fee."""
    status = "warning_needs_response" if inquiry else "needs_response"
    dispute = scope.add(_build(scope, charge, amount, reason, status))
    scope.save(charge | {"disputed": True})
    emit(scope, "charge.dispute.created", dispute)
    if not inquiry:
        _withdraw(scope, dispute)
    return dispute


def open_by_card(scope: Scope, charge: Object) -> None:
    """Open the dispute that the card behind a captured charge stands for, if it stands for one."""
    kind = card_of(scope.get("payment_method", charge["payment_method"])).disputed_as
    if kind is not None:
        reason = "fraudulent" if kind == "inquiry" else kind
        open_dispute(
            scope, charge, amount=charge["amount_captured"], reason=reason, inquiry=kind == "inquiry"
        )


def move(scope: Scope, dispute: Object, status: str) -> Object:
    """Take a dispute to a status that it can reach, with the money and the events that belong to it."""
    escalated = dispute["status"] in INQUIRIES and status == "needs_response"
    dispute["status"] = status
    if status == "won":
        _give_back(scope, dispute)
    closed = status in CLOSED
    emit(scope, f"charge.dispute.{'closed' if closed else 'updated'}", scope.save(dispute))
    if escalated:
        _withdraw(scope, dispute)
    return dispute


def of_charge(scope: Scope, charge: Object) -> list[Object]:
    """The disputes of a charge, newest first."""
    return scope.store.select("dispute", account=scope.account, where={"charge": charge["id"]})


def refusal(scope: Scope, charge: Object) -> ApiError | None:
    """Why a charge cannot be refunded: its money is with the cardholder's bank."""
    if not any(dispute["status"] in CHARGED_BACK for dispute in of_charge(scope, charge)):
        return None
    message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
    return refused(message, code="charge_disputed", param="charge")


@due.on_due("evidence_due")
def _miss(scope: Scope, dispute: Object) -> None:
    if dispute["status"] in ANSWERABLE:
        dispute["evidence_details"]["past_due"] = True
        emit(scope, "charge.dispute.updated", scope.save(dispute))


def _withdraw(scope: Scope, dispute: Object) -> None:
    fee = Fee(ledger.minor_units(FEE_UNITS, dispute["currency"]), "Dispute fee")
    dispute["is_charge_refundable"] = False
    if dispute["payment_method_details"]:
        dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    _post(scope, dispute, -dispute["amount"], "dispute", fee)
    emit(scope, "charge.dispute.funds_withdrawn", scope.save(dispute))


def _give_back(scope: Scope, dispute: Object) -> None:
    delay = int(scope.window("reinstatement_delay").total_seconds())
    if delay > 0:
        due.schedule(scope, "funds_reinstated", dispute, scope.now + delay)
    else:
        _reinstate(scope, dispute)


@due.on_due("funds_reinstated")
def _reinstate(scope: Scope, dispute: Object) -> None:
    _post(scope, dispute, dispute["amount"], "dispute_reversal", NO_FEE)
    emit(scope, "charge.dispute.funds_reinstated", scope.save(dispute))


def _post(scope: Scope, dispute: Object, amount: int, category: str, fee: Fee) -> None:
    moved = "withdrawal" if amount < 0 else "reversal"
    source = dispute | {"description": f"Chargeback {moved} for {dispute['charge']}"}
    posted = ledger.post(scope, "adjustment", amount, source, fee=fee, category=category)
    dispute["balance_transactions"] = [*dispute["balance_transactions"], posted]


def _build(scope: Scope, charge: Object, amount: int, reason: str, status: str) -> Object:
    due_by = scope.now + RESPONSE_SECONDS
    dispute = scope.base("dispute") | {
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": due_by,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status in INQUIRIES,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method_details(charge, reason, status),
        "reason": reason,
        "status": status,
    }
    due.schedule(scope, "evidence_due", dispute, due_by)
    return dispute


def _method_details(charge: Object, reason: str, status: str) -> Object | None:
    card = charge["payment_method_details"].get("card")
    if card is None:
        return None
    case = {
        "brand": card["brand"],
        "case_type": "inquiry" if status in INQUIRIES else "chargeback",
        "network": card["network"],
        "network_reason_code": NETWORK_REASONS.get(reason),
    }
    return {"card": case, "type": "card"}
