"""Balances: every movement of money is a balance transaction on the account that it touches.

Amounts and fees are in minor units. A transaction is pending until its `available_on`, by the sandbox's clock.
"""

from sandbox.stripe import due
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

FEE_PER_MILLE = 29
FEE_FIXED = 30


def processing_fee(amount: int) -> int:
    """What Stripe keeps of a card charge: 2.9 % (rounded half up) + 30 minor units."""
    return (amount * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED


def post(
    scope: Scope,
    kind: str,
    amount: int,
    source: Object,
    *,
    fee: int = 0,
    available_on: int | None = None,
    category: str | None = None,
) -> Object:
    """Move `amount` (negative: out) on the scope's account; `available_on` defaults to now."""
    when = scope.now if available_on is None else available_on
    fees = [{"amount": fee, "application": None, "currency": source["currency"], "type": "stripe_fee"}]
    for detail in fees:
        detail["description"] = "Stripe processing fees"
    transaction = scope.base("balance_transaction")
    del transaction["livemode"], transaction["metadata"]
    transaction |= {
        "amount": amount,
        "available_on": when,
        "balance_type": "payments",
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": fees if fee else [],
        "net": amount - fee,
        "reporting_category": category or kind,
        "source": source["id"],
        "status": "pending" if when > scope.now else "available",
        "type": kind,
    }
    if when > scope.now:
        due.schedule(scope, "funds_available", transaction, when)
    return scope.add(transaction)


@due.on_due("funds_available")
def _become_available(scope: Scope, transaction: Object) -> None:
    scope.save(transaction | {"status": "available"})


def totals(scope: Scope) -> dict[str, dict[str, int]]:
    """Per currency: `available` and `pending`, in minor units."""
    rows = scope.store.db.execute(
        "SELECT body ->> '$.currency' AS currency, body ->> '$.status' AS status, sum(body ->> '$.net') AS net "
        "FROM objects WHERE kind = 'balance_transaction' AND account = ? GROUP BY 1, 2 ORDER BY 1",
        (scope.account,),
    ).fetchall()
    sums: dict[str, dict[str, int]] = {}
    for row in rows:
        sums.setdefault(row["currency"], {"available": 0, "pending": 0})[row["status"]] = row["net"]
    return sums


def available(scope: Scope, currency: str) -> int:
    """Funds that can leave the account now."""
    return totals(scope).get(currency, {}).get("available", 0)


def total(scope: Scope, currency: str) -> int:
    """All funds of the account, pending ones included."""
    return sum(totals(scope).get(currency, {}).values())
