"""Payouts: from an account's available balance to its bank, per account (Stripe-Account header)."""

from sandbox.stripe import ledger, payouts
from sandbox.stripe.errors import refused
from sandbox.stripe.events import emit
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
METHODS = ("standard", "instant")
TEXTS = ("description", "statement_descriptor")


@routes.post("/v1/payouts", params="PayoutCreateParams")
def create(call: Call) -> Object:
    """Pay out available funds."""
    params = call.params
    currency = params.required("currency").lower()
    amount = params.amount("amount", currency) or 0
    account = call.store.find(call.account)
    if account is not None and not account["payouts_enabled"]:
        message = "Payouts have been disabled on the account. Check its requirements for what is missing."
        raise refused(message, code="payouts_not_allowed")
    if ledger.available(call, currency) < amount:
        message = (
            "You have insufficient funds in your Stripe account for this payout. Your funds may still be pending: see "
            "https://stripe.com/docs/testing#available-balance"
        )
        raise refused(message, code="balance_insufficient", param="amount")
    payout = payouts.build(call, amount, currency, automatic=False)
    payout |= {name: params.text(name) for name in TEXTS}
    payout["metadata"] = params.merged_metadata({})
    payout["method"] = params.choice("method", METHODS, "standard")
    return payouts.send(call, payout)


@routes.post("/v1/payouts/{id}", params="PayoutUpdateParams")
def update(call: Call) -> Object:
    """Change metadata."""
    payout = call.named("payout")
    payout["metadata"] = call.params.merged_metadata(payout["metadata"])
    emit(call, "payout.updated", call.save(payout))
    return payout


@routes.post("/v1/payouts/{id}/cancel", params="PayoutCancelParams")
def cancel(call: Call) -> Object:
    """Call a payout back that the bank has not seen; automatic ones cannot be called back."""
    payout = call.named("payout")
    if payout["automatic"] or "canceled" not in payouts.MOVES[payout["status"]]:
        message = (
            f"Payouts can only be canceled while they are pending and manual: this one is {payout['status']}."
        )
        raise refused(message)
    return payouts.move(call, payout, "canceled")


routes.retrieve("/v1/payouts/{id}", "payout", params="PayoutRetrieveParams")
routes.list("/v1/payouts", "payout", params="PayoutListParams", filters=("destination", "status"))
