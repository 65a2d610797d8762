"""The balance and what it is made of, per account (Stripe-Account header)."""

from sandbox.stripe import ledger
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call, Scope
from sandbox.stripe.store import Object

routes = Routes()
DEFAULT_CURRENCY = "usd"


@routes.get("/v1/balance", params="BalanceRetrieveParams")
def retrieve(call: Call) -> Object:
    """Available and pending funds, per currency."""
    return shown(call)


def shown(scope: Scope) -> Object:
    """An account's balance, as Stripe shows it."""
    totals = ledger.totals(scope) or {DEFAULT_CURRENCY: {"available": 0, "pending": 0}}
    available, pending = (
        [
            {"amount": sums[state], "currency": currency, "source_types": {"card": sums[state]}}
            for currency, sums in totals.items()
        ]
        for state in ("available", "pending")
    )
    reserved = [{"amount": 0, "currency": currency} for currency in totals]
    return {
        "object": "balance",
        "available": available,
        "connect_reserved": reserved,
        "livemode": False,
        "pending": pending,
    }


routes.retrieve(
    "/v1/balance_transactions/{id}", "balance_transaction", params="BalanceTransactionRetrieveParams"
)
routes.list(
    "/v1/balance_transactions",
    "balance_transaction",
    params="BalanceTransactionListParams",
    filters=("currency", "payout", "source", "type"),
)
