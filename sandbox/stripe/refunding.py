"""How a refund runs: at once, pending first, or failing later, as the card behind the charge has it.

Shared by the API's endpoint, the control API, the clock, and the release of authorizations.
"""

from typing import Literal

from sandbox.stripe import due, ledger
from sandbox.stripe.events import emit
from sandbox.stripe.resources.charges import refundable
from sandbox.stripe.resources.payment_methods import card_of
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

# Days later in life, soon enough here for somebody who watches; the clock or the control API makes it sooner.
SETTLES_AFTER_SECONDS = 60
Outcome = Literal["succeeded", "failed"]


def build(scope: Scope, charge: Object, amount: int) -> Object:
    """A refund's fields, before money has moved."""
    kind = charge["payment_method_details"]["type"]
    refund = scope.base("refund")
    del refund["livemode"]
    return refund | {
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {kind: {"type": "refund"} if kind == "card" else {}, "type": kind},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def give_back(scope: Scope, charge: Object, refund: Object) -> Object:
    """Take a refund's amount from the balance and send it to the card."""
    card = card_of(scope.get("payment_method", charge["payment_method"]))
    scope.add(refund)
    if _lacks_funds(scope, refund):
        refund |= {"status": "pending", "pending_reason": "insufficient_funds"}
        scope.save(refund)
    else:
        refund["status"] = "pending" if card.refunding == "pending_first" else "succeeded"
        _send(scope, refund)
    if card.refunding != "succeeds":
        due.schedule(scope, f"refund_{card.refunding}", refund, scope.now + SETTLES_AFTER_SECONDS)
    charge["amount_refunded"] += refund["amount"]
    charge["refunded"] = refundable(charge) == 0
    emit(scope, "charge.refunded", scope.save(charge))
    emit(scope, "refund.created", refund)
    _updated(scope, refund)
    return refund


def settle(scope: Scope, refund: Object, outcome: Outcome) -> Object:
    """Say how a refund ended; one that failed, however late, puts the money back into the balance."""
    if outcome == refund["status"]:
        return refund
    refund["status"] = outcome
    waited = refund.pop("pending_reason", None) is not None
    if outcome == "failed":
        _undo(scope, refund, sent=not waited)
    elif waited:
        _send(scope, refund)
    _updated(scope, refund)
    if outcome == "failed":
        emit(scope, "refund.failed", refund)
    return refund


def release(scope: Scope, charge: Object, amount: int) -> None:
    """Let go of an authorized amount.

    Stripe books what is let go as a refund that no balance transaction belongs to, and raises the charge's
    `amount_refunded` by it (seen by WooCommerce and Solidus alike); the control API's `release_as_refund` turns this on.
    """
    if amount == 0 or scope.store.setting("release_as_refund") != "True":
        return
    refund = scope.add(
        build(scope, charge, amount) | {"destination_details": {"card": {"type": "reversal"}, "type": "card"}}
    )
    charge["amount_refunded"] += amount
    charge["_released"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    emit(scope, "charge.refunded", scope.save(charge))
    emit(scope, "refund.created", refund)


@due.on_due("refund_pending_first")
def _succeed(scope: Scope, refund: Object) -> None:
    if "pending_reason" not in refund:
        settle(scope, refund, "succeeded")


@due.on_due("refund_fails_later")
def _fail(scope: Scope, refund: Object) -> None:
    settle(scope, refund, "failed")


@due.on_due("funds_arrived")
def _send_waiting(scope: Scope, _transaction: Object) -> None:
    waiting = scope.store.select(
        "refund", account=scope.account, where={"pending_reason": "insufficient_funds"}
    )
    for refund in reversed(waiting):
        if not _lacks_funds(scope, refund):
            settle(scope, refund, "succeeded")


def _lacks_funds(scope: Scope, refund: Object) -> bool:
    """Whether a refund has to wait: Stripe takes it from what is available, when no bank account stands in.

    The control API's `refunds_need_funds` turns this on (docs.stripe.com/refunds).
    """
    needed = scope.store.setting("refunds_need_funds") == "True"
    return needed and ledger.available(scope, refund["currency"]) < refund["amount"]


def _send(scope: Scope, refund: Object) -> None:
    refund["balance_transaction"] = ledger.post(scope, "refund", -refund["amount"], refund)["id"]
    scope.save(refund)


def _undo(scope: Scope, refund: Object, *, sent: bool) -> None:
    refund["failure_reason"] = "lost_or_stolen_card" if sent else "insufficient_funds"
    if sent:
        returned = ledger.post(scope, "refund_failure", refund["amount"], refund)
        refund["failure_balance_transaction"] = returned["id"]
    charge = scope.get("charge", refund["charge"])
    charge |= {"amount_refunded": charge["amount_refunded"] - refund["amount"], "refunded": False}
    scope.save(charge)


def _updated(scope: Scope, refund: Object) -> None:
    scope.save(refund)
    for kind in ("charge.refund.updated", "refund.updated"):
        emit(scope, kind, refund)
