"""Transfers from the platform to connected accounts, and their reversals.

Each moves money twice: a balance transaction on the platform and one on the connected account, where the other side
is a payment (`py_…`) or its refund (`pyr_…`).
"""

from sandbox.stripe import ids, ledger
from sandbox.stripe.errors import refused
from sandbox.stripe.events import emit
from sandbox.stripe.resources.accounts import connected
from sandbox.stripe.resources.charges import empty_list, received
from sandbox.stripe.routing import Routes, page
from sandbox.stripe.scope import Call, Scope
from sandbox.stripe.store import Object

routes = Routes()


@routes.post("/v1/transfers", params="TransferCreateParams")
def create(call: Call) -> Object:
    """Transfer available funds, or, with `source_transaction`, a charge's funds even while they are pending."""
    params = call.params
    destination = connected(call, params.required("destination"), param="destination")
    if destination["capabilities"].get("transfers") != "active":
        message = (
            "Your destination account needs to have at least one of the following capabilities enabled: transfers, "
            "crypto_transfers, legacy_payments"
        )
        raise refused(message, code="insufficient_capabilities_for_transfer", param="destination")
    currency = params.required("currency").lower()
    source = call.referenced("charge", "source_transaction")
    amount = params.amount("amount", currency) or (source["amount_captured"] if source else 0)
    available_on = (
        _from_charge(call, source, amount, currency) if source else _from_balance(call, amount, currency)
    )
    transfer = _build(call, destination, amount, currency, source)
    _move(call, transfer, available_on)
    emit(call, "transfer.created", transfer)
    return transfer


@routes.post("/v1/transfers/{id}", params="TransferUpdateParams")
def update(call: Call) -> Object:
    """Change description and metadata."""
    transfer = call.named("transfer")
    transfer["metadata"] = call.params.merged_metadata(transfer["metadata"])
    transfer["description"] = call.params.text("description") or transfer["description"]
    emit(call, "transfer.updated", call.save(transfer))
    return transfer


@routes.post("/v1/transfers/{id}/reversals", params="TransferReversalCreateParams")
def reverse(call: Call) -> Object:
    """Take back what is left of a transfer, or `amount` of it, as far as the connected account has it."""
    transfer = call.named("transfer")
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = call.params.amount("amount", transfer["currency"]) or left
    if amount > left or left == 0:
        message = (
            f"You cannot reverse {amount}: the unreversed amount of transfer {transfer['id']} is {left}."
        )
        raise refused(message, param="amount")
    there = call.on(transfer["destination"])
    payment = there.get("charge", transfer["destination_payment"])
    available_on = _reachable(there, payment, left=left, amount=amount)
    reversal = _build_reversal(call, transfer, amount, available_on)
    returned = {**reversal, "id": reversal["destination_payment_refund"]}
    ledger.post(there, "payment_refund", -amount, returned, available_on=available_on)
    there.save(payment | {"amount_refunded": payment["amount_refunded"] + amount, "refunded": amount == left})
    _restore(call, transfer, amount)
    emit(call, "transfer.reversed", transfer)
    return reversal


@routes.get("/v1/transfers/{id}/reversals", params="TransferReversalListParams")
def reversals(call: Call) -> Object:
    """The reversals of a transfer."""
    transfer = call.named("transfer")
    url = f"/v1/transfers/{transfer['id']}/reversals"
    return page(call, "transfer_reversal", url, {"transfer": transfer["id"]})


@routes.get("/v1/transfers/{transfer}/reversals/{id}", params="TransferReversalRetrieveParams")
def retrieve_reversal(call: Call) -> Object:
    """One reversal."""
    call.named("transfer", "transfer")
    return call.named("transfer_reversal")


@routes.post("/v1/transfers/{transfer}/reversals/{id}", params="TransferReversalUpdateParams")
def update_reversal(call: Call) -> Object:
    """Change metadata."""
    call.named("transfer", "transfer")
    reversal = call.named("transfer_reversal")
    reversal["metadata"] = call.params.merged_metadata(reversal["metadata"])
    return call.save(reversal)


def _reachable(there: Scope, payment: Object, *, left: int, amount: int) -> int:
    """When reversed money arrives: it is taken from what is available, or from the transfer's own pending funds.

    See docs.stripe.com/connect/separate-charges-and-transfers#reverse-transfers.
    """
    arrived = there.get("balance_transaction", payment["balance_transaction"])
    pending = arrived["status"] == "pending"
    if ledger.available(there, payment["currency"]) + (left if pending else 0) < amount:
        message = "The connected account has insufficient funds to reverse this transfer."
        raise refused(message, code="balance_insufficient")
    return int(arrived["available_on"]) if pending else there.now


def _from_balance(call: Call, amount: int, currency: str) -> int:
    if ledger.available(call, currency) < amount:
        message = (
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available "
            "balance by creating Charges using the 4000000000000077 test card. "
            "See: https://stripe.com/docs/testing#available-balance"
        )
        raise refused(message, code="balance_insufficient")
    return call.now


def _from_charge(call: Call, source: Object, amount: int, currency: str) -> int:
    if not source["captured"]:
        message = f"The charge {source['id']} has not been captured: it cannot be the source of a transfer."
        raise refused(message, param="source_transaction")
    if source["currency"] != currency:
        message = f"The currency of source_transaction ({source['currency']}) and the transfer ({currency}) must match."
        raise refused(message, param="currency")
    left = source["amount_captured"] - source["_transferred"]
    if amount > left:
        message = (
            f"Transfers using this transaction as a source must not exceed the source amount of "
            f"{source['amount_captured']} {currency} ({left} left)."
        )
        raise refused(message, param="amount")
    call.save(source | {"_transferred": source["_transferred"] + amount})
    transaction = call.get("balance_transaction", source["balance_transaction"])
    return int(transaction["available_on"])


def _build(call: Call, destination: Object, amount: int, currency: str, source: Object | None) -> Object:
    transfer = call.base("transfer")
    group = call.params.text("transfer_group")
    if group is None and source is not None:
        group = source["transfer_group"] or f"group_{source['payment_intent']}"
    return transfer | {
        "amount": amount,
        "amount_reversed": 0,
        "balance_transaction": None,
        "currency": currency,
        "description": call.params.text("description"),
        "destination": destination["id"],
        "destination_payment": ids.new("payment"),
        "metadata": call.params.merged_metadata({}),
        "reversals": empty_list(f"/v1/transfers/{transfer['id']}/reversals"),
        "reversed": False,
        "source_transaction": source and source["id"],
        "source_type": "card",
        "transfer_group": group,
    }


def _move(call: Call, transfer: Object, available_on: int) -> None:
    amount = transfer["amount"]
    sent = ledger.post(call, "transfer", -amount, transfer, available_on=available_on)
    transfer["balance_transaction"] = sent["id"]
    call.add(transfer)
    there = call.on(transfer["destination"])
    payment = {**transfer, "id": transfer["destination_payment"]}
    arrived = ledger.post(there, "payment", amount, payment, available_on=available_on, category="transfer")
    there.add(received(there, transfer, arrived))


def _build_reversal(call: Call, transfer: Object, amount: int, available_on: int) -> Object:
    reversal = call.base("transfer_reversal")
    del reversal["livemode"]
    reversal |= {
        "amount": amount,
        "balance_transaction": None,
        "currency": transfer["currency"],
        "destination_payment_refund": ids.new("payment_refund"),
        "metadata": call.params.merged_metadata({}),
        "source_refund": None,
        "transfer": transfer["id"],
    }
    received = ledger.post(call, "transfer_refund", amount, reversal, available_on=available_on)
    reversal["balance_transaction"] = received["id"]
    return call.add(reversal)


def _restore(call: Call, transfer: Object, amount: int) -> None:
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    call.save(transfer)
    if transfer["source_transaction"] is not None:
        source = call.get("charge", transfer["source_transaction"])
        call.save(source | {"_transferred": source["_transferred"] - amount})


routes.retrieve("/v1/transfers/{id}", "transfer", params="TransferRetrieveParams")
routes.list(
    "/v1/transfers", "transfer", params="TransferListParams", filters=("destination", "transfer_group")
)
