"""Object ids: Stripe's prefix per type, then letters and digits."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
PREFIXES = {
    "account": "acct",
    "balance_transaction": "txn",
    "charge": "ch",
    "customer": "cus",
    "dispute": "dp",
    "event": "evt",
    "payment": "py",
    "payment_intent": "pi",
    "payment_method": "pm",
    "payment_refund": "pyr",
    "payout": "po",
    "price": "price",
    "product": "prod",
    "refund": "re",
    "request": "req",
    "setup_attempt": "setatt",
    "setup_intent": "seti",
    "topup": "tu",
    "transfer": "tr",
    "transfer_reversal": "trr",
    "webhook_endpoint": "we",
}


def token(length: int) -> str:
    """Random letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new(kind: str) -> str:
    """A fresh id for an object of type `kind`."""
    return f"{PREFIXES[kind]}_{token(14 if kind == 'request' else 24)}"


def client_secret(object_id: str) -> str:
    """The secret that lets a browser confirm the object with a publishable key."""
    return f"{object_id}_secret_{token(24)}"


def webhook_secret() -> str:
    """A signing secret for a webhook endpoint."""
    return f"whsec_{token(32)}"
