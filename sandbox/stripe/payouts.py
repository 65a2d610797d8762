"""How a payout runs: it leaves the balance at once, and arrives at the bank, or comes back, later.

    pending ─► [in_transit ─►] paid ─► failed
       ├─► canceled     └──────────────► failed

A payout that fails, however late, puts its money back (docs.stripe.com/payouts). Shared by the API's endpoint, the
control API and the clock.
"""

import hashlib

from sandbox.stripe import due, ledger
from sandbox.stripe.events import emit
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

MOVES: dict[str, tuple[str, ...]] = {
    "pending": ("in_transit", "paid", "failed", "canceled"),
    "in_transit": ("paid", "failed"),
    "paid": ("failed",),
    "failed": (),
    "canceled": (),
}
# docs.stripe.com/api/payouts/failures
FAILURES = {
    "account_closed": "The bank account has been closed.",
    "account_frozen": "The bank account has been frozen.",
    "bank_account_restricted": "The bank account has restrictions on the type or number of payouts allowed.",
    "could_not_process": "The bank could not process this payout.",
    "debit_not_authorized": "Debit transactions are not approved on the bank account.",
    "declined": "The bank has declined this payout.",
    "insufficient_funds": "The balance does not have sufficient funds to cover the payout.",
    "invalid_account_number": "The routing number is correct, but the account number is invalid.",
    "invalid_currency": "The bank was unable to process this payout because of its currency.",
    "no_account": "The bank account could not be located.",
}
BACK = {"failed": "payout_failure", "canceled": "payout_cancel"}


def build(scope: Scope, amount: int, currency: str, *, automatic: bool) -> Object:
    """A payout's fields, before money has moved; `arrival_date` is when the sandbox's bank gets it."""
    destination = hashlib.sha256(scope.account.encode()).hexdigest()[:24]
    return scope.base("payout") | {
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": scope.now + int(scope.window("payout_delay").total_seconds()),
        "automatic": automatic,
        "balance_transaction": None,
        "currency": currency,
        "description": "STRIPE PAYOUT" if automatic else None,
        "destination": f"ba_{destination}",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress" if automatic else "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
        "_fails_with": None,
    }


def send(scope: Scope, payout: Object) -> Object:
    """Take a payout's amount from the balance; the account says whether the bank will refuse it."""
    account = scope.store.find(scope.account)
    payout["_fails_with"] = account and account.get("_payouts_fail")
    scope.add(payout)
    payout["balance_transaction"] = ledger.post(scope, "payout", -payout["amount"], payout)["id"]
    emit(scope, "payout.created", scope.save(payout))
    due.schedule(scope, "payout_arrives", payout, payout["arrival_date"])
    return payout


def drain(scope: Scope) -> list[Object]:
    """Pay out all that is available, as Stripe's own schedule does."""
    return [
        send(scope, build(scope, sums["available"], currency, automatic=True))
        for currency, sums in ledger.totals(scope).items()
        if sums["available"] > 0
    ]


def move(scope: Scope, payout: Object, status: str, *, failure_code: str | None = None) -> Object:
    """Take a payout to a status that it can reach, with the money and the event that belong to it."""
    payout["status"] = status
    if status != "in_transit":
        payout["trace_id"] = {"status": "unsupported", "value": None}
    if status in BACK:
        returned = ledger.post(scope, BACK[status], payout["amount"], payout)["id"]
        if status == "failed":
            code = failure_code or "could_not_process"
            payout |= {
                "failure_balance_transaction": returned,
                "failure_code": code,
                "failure_message": FAILURES[code],
            }
    event = "updated" if status == "in_transit" else status
    emit(scope, f"payout.{event}", scope.save(payout))
    return payout


@due.on_due("payout_arrives")
def _arrive(scope: Scope, payout: Object) -> None:
    if "paid" not in MOVES[payout["status"]]:
        return
    if payout["_fails_with"]:
        move(scope, payout, "failed", failure_code=payout["_fails_with"])
    else:
        move(scope, payout, "paid")
