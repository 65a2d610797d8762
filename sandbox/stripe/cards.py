"""Test cards, test bank accounts and their tokens, as data (docs.stripe.com/testing).

A card says what happens when it is attached, charged, authenticated, refunded and disputed.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from sandbox.stripe.errors import ApiError, card_error


@dataclass(frozen=True)
class Decline:
    """Why a card is refused: Stripe's code, its decline code if it has one, and its words."""

    code: str
    message: str
    decline_code: str | None = None

    def error(self) -> ApiError:
        """As the card error of a request."""
        return card_error(self.code, self.message, decline_code=self.decline_code)


def _declined(decline_code: str, message: str = "Your card was declined.") -> Decline:
    return Decline("card_declined", message, decline_code)


GENERIC = _declined("generic_decline")
FUNDS = _declined("insufficient_funds", "Your card has insufficient funds.")
LOST = _declined("lost_card")
STOLEN = _declined("stolen_card")
FRAUDULENT = _declined("fraudulent")
VELOCITY = _declined("card_velocity_exceeded")
LIVE_CARD = _declined(
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid test "
    "cards, visit: https://stripe.com/docs/testing.",
)
EXPIRED = Decline("expired_card", "Your card has expired.", "expired_card")
CVC = Decline("incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc")
PROCESSING = Decline(
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
    "processing_error",
)
AUTHENTICATION = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
NUMBER = Decline("incorrect_number", "Your card number is incorrect.", "incorrect_number")

CLOSED = Decline(
    "payment_method_customer_decline", "The customer's bank account has been closed.", "account_closed"
)
NO_ACCOUNT = Decline(
    "payment_method_customer_decline", "The customer's bank account could not be located.", "no_account"
)
BANK_FUNDS = Decline(
    "insufficient_funds", "The customer's account has insufficient funds to cover this payment."
)

Authentication = Literal["never", "always", "until_set_up", "on_session"]
# What a captured charge is disputed as, at once.
Disputed = Literal["fraudulent", "product_not_received", "inquiry"]
Refunding = Literal["succeeds", "pending_first", "fails_later"]


@dataclass(frozen=True)
class Card:
    """One test card, or a bank account, whose payments are known only later (`settles_later`).

    `authenticates`: when a charge asks for 3D Secure; `attaches`: whether a customer can keep it; `settles`: whether
    a payment that is under way ever ends by itself.
    """

    number: str
    tokens: tuple[str, ...] = ()
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    attaches: bool = True
    authenticates: Authentication = "never"
    available_at_once: bool = False
    refunding: Refunding = "succeeds"
    disputed_as: Disputed | None = None
    kind: Literal["card", "us_bank_account"] = "card"
    settles: bool = True

    @property
    def fingerprint(self) -> str:
        """The same for every payment method made of this number."""
        return hashlib.sha256(self.number.encode()).hexdigest()[:16]

    @property
    def settles_later(self) -> bool:
        """Whether a payment is `processing` before it is known to succeed or fail."""
        return self.kind != "card"

    def must_authenticate(self, *, off_session: bool, set_up: bool) -> bool:
        """Whether this charge asks for 3D Secure; a card that was set up off session may be spared."""
        spared = {"never": True, "always": False, "until_set_up": set_up, "on_session": off_session}
        return not spared[self.authenticates]


def _refused(number: str, name: str, decline: Decline) -> Card:
    tokens = (f"visa_chargeDeclined{name}", f"chargeDeclined{name}")
    return Card(number, tokens, decline=decline, attaches=False)


def _bank(number: str, name: str, decline: Decline | None = None, *, settles: bool = True) -> Card:
    return Card(number, (name,), brand="", decline=decline, kind="us_bank_account", settles=settles)


CARDS = (
    Card("4242424242424242", ("visa",)),
    Card("4000056655665556", ("visa_debit",), funding="debit"),
    Card("5555555555554444", ("mastercard",), brand="mastercard"),
    Card("2223003122003222", brand="mastercard"),
    Card("5200828282828210", ("mastercard_debit",), brand="mastercard", funding="debit"),
    Card("5105105105105100", ("mastercard_prepaid",), brand="mastercard", funding="prepaid"),
    Card("378282246310005", ("amex",), brand="amex"),
    Card("6011111111111117", ("discover",), brand="discover"),
    Card("3056930009020004", ("diners",), brand="diners"),
    Card("3566002020360505", ("jcb",), brand="jcb"),
    Card("6200000000000005", ("unionpay",), brand="unionpay"),
    Card("4000000000000077", ("bypassPending",), available_at_once=True),
    _refused("4000000000000002", "", GENERIC),
    _refused("4000000000009995", "InsufficientFunds", FUNDS),
    _refused("4000000000009987", "LostCard", LOST),
    _refused("4000000000009979", "StolenCard", STOLEN),
    _refused("4000000000000069", "ExpiredCard", EXPIRED),
    _refused("4000000000000127", "IncorrectCvc", CVC),
    _refused("4000000000000119", "ProcessingError", PROCESSING),
    _refused("4000000000006975", "VelocityLimitExceeded", VELOCITY),
    _refused("4100000000000019", "Fraudulent", FRAUDULENT),
    Card("4000000000000341", ("chargeCustomerFail",), decline=GENERIC),
    Card("4000002500003155", ("authenticationRequiredOnSetup",), authenticates="until_set_up"),
    Card("4000002760003184", ("authenticationRequired",), authenticates="always"),
    Card("4000003800000446", ("authenticationRequiredSetupForOffSession",), authenticates="on_session"),
    Card("4000000000003220", ("threeDSecure2Required",), authenticates="always"),
    Card("4000000000003063", ("threeDSecureRequired",), authenticates="always"),
    Card(
        "4000008260003178",
        ("authenticationRequiredChargeDeclinedInsufficientFunds",),
        decline=FUNDS,
        authenticates="always",
    ),
    Card(
        "4000008400001629", ("threeDSecureRequiredChargeDeclined",), decline=GENERIC, authenticates="always"
    ),
    Card(
        "4000008400001280",
        ("threeDSecureRequiredProcessingError",),
        decline=PROCESSING,
        authenticates="always",
    ),
    Card("4000000000003055", ("threeDSecureOptional",)),
    Card("4000000000007726", ("pendingRefund",), refunding="pending_first"),
    Card("4000000000000259", ("createDispute",), disputed_as="fraudulent"),
    Card("4000000000002685", ("createDisputeProductNotReceived",), disputed_as="product_not_received"),
    Card("4000000000001976", ("createDisputeInquiry",), disputed_as="inquiry"),
    Card("4000000000005126", ("refundFail",), refunding="fails_later"),
)
BANK_ACCOUNTS = (
    _bank("000123456789", "success"),
    _bank("000111111113", "accountClosed", CLOSED),
    _bank("000111111116", "noAccount", NO_ACCOUNT),
    _bank("000222222227", "insufficientFunds", BANK_FUNDS),
    _bank("000000000009", "processing", settles=False),
)
BY_NUMBER = {card.number: card for card in (*CARDS, *BANK_ACCOUNTS)}
BY_TOKEN = {
    f"{prefix}_{name}": card for card in CARDS for name in card.tokens for prefix in ("pm_card", "tok")
} | {f"pm_usBankAccount_{name}": account for account in BANK_ACCOUNTS for name in account.tokens}


def by_number(number: str) -> Card:
    """The test card with this number, or the refusal that a mistyped or a live number gets."""
    digits = number.replace(" ", "")
    if digits in BY_NUMBER:
        return BY_NUMBER[digits]
    raise (LIVE_CARD if _luhn(digits) else NUMBER).error()


def _luhn(digits: str) -> bool:
    if not digits.isascii() or not digits.isdecimal():
        return False
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0  # noqa: PLR2004 - Luhn's own nines
