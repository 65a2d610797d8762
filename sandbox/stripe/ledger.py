"""Balances: every movement of money is a balance transaction on the account that it touches.

Amounts and fees are in minor units. A transaction is pending until its `available_on`, by the sandbox's clock.
"""

from dataclasses import dataclass

from sandbox.stripe import due
from sandbox.stripe.currencies import EXPONENTS
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

FEE_PER_MILLE = 29
FEE_FIXED = 30


@dataclass(frozen=True)
class Fee:
    """What Stripe keeps of a movement, in minor units, and what it calls it."""

    amount: int = 0
    description: str = "Stripe processing fees"


NO_FEE = Fee()


def minor_units(units: int, currency: str) -> int:
    """Whole units of a currency in its smallest unit."""
    return units * int(10 ** EXPONENTS.get(currency, 2))


def processing_fee(amount: int) -> Fee:
    """What Stripe keeps of a card charge: 2.9 % (rounded half up) + 30 minor units."""
    return Fee((amount * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED)


def post(
    scope: Scope,
    kind: str,
    amount: int,
    source: Object,
    *,
    fee: Fee = NO_FEE,
    available_on: int | None = None,
    category: str | None = None,
) -> Object:
    """Move `amount` (negative: out) on the scope's account; `available_on` defaults to now."""
    when = scope.now if available_on is None else available_on
    transaction = scope.base("balance_transaction")
    del transaction["livemode"], transaction["metadata"]
    transaction |= {
        "amount": amount,
        "available_on": when,
        "balance_type": "payments",
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee.amount,
        "fee_details": _fee_details(fee, source["currency"]),
        "net": amount - fee.amount,
        "reporting_category": category or kind,
        "source": source["id"],
        "status": "pending" if when > scope.now else "available",
        "type": kind,
    }
    if when > scope.now:
        due.schedule(scope, "funds_available", transaction, when)
    elif amount > 0:
        due.schedule(scope, "funds_arrived", transaction, when)
    return scope.add(transaction)


def _fee_details(fee: Fee, currency: str) -> list[Object]:
    detail = {"amount": fee.amount, "application": None, "currency": currency, "type": "stripe_fee"}
    return [detail | {"description": fee.description}] if fee.amount else []


@due.on_due("funds_available")
def _become_available(scope: Scope, transaction: Object) -> None:
    scope.save(transaction | {"status": "available"})
    due.schedule(scope, "funds_arrived", transaction, scope.now)


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
