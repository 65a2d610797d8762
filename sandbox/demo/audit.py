"""Does the money add up? One booking's books, what Stripe holds for it, and what the API says, laid side by side.

Pure: the figures come from `sandbox.demo.figures`, the verdict is a list of sentences, empty when all is well.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sandbox.asking import Json

RELEASED: Final = frozenset({"canceled", "succeeded"})
"""Stripe's statuses of an intent that holds no authorization."""

KINDS: Final = (
    "capture",
    "stripe_fee",
    "refund",
    "refund_failure",
    "dispute",
    "dispute_fee",
    "transfer",
    "reversal",
)
"""Everything that moves our balance at Stripe, as the ledger names it."""


@dataclass(frozen=True)
class Entry:
    """A line of the ledger; `amount` is positive minor units."""

    journal_id: str
    kind: str
    account: str
    side: str
    amount: int
    currency: str
    stripe_object_id: str | None

    @property
    def signed(self) -> int:
        """Debits are positive."""
        return self.amount if self.side == "debit" else -self.amount


@dataclass(frozen=True)
class AtStripe:
    """All that Stripe has of one booking."""

    intents: tuple[str, ...] = ()
    """The status of each PaymentIntent that was ever made for it."""
    moved: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By kind and object, what arrived on our balance; below zero, what left it. What came to nothing is left out."""
    destinations: tuple[str, ...] = ()
    """Where transfers went."""
    provider_account: str | None = None

    def total(self, *kinds: str) -> int:
        """What arrived on our balance by these kinds, less what left."""
        return sum(sum(self.moved.get(kind, {}).values()) for kind in kinds)


@dataclass(frozen=True)
class Figures:
    """One ended booking as all three see it."""

    booking: Json
    ledger: tuple[Entry, ...]
    stripe: AtStripe

    def moved(self, *kinds: str) -> int:
        """What journals of these kinds moved to our balance at Stripe; below zero, from it."""
        return sum(
            line.signed for line in self.ledger if line.kind in kinds and line.account == "stripe_balance"
        )

    def balance(self, account: str) -> int:
        """What stands to the credit of an account."""
        return -sum(line.signed for line in self.ledger if line.account == account)

    @property
    def captured(self) -> int:
        """What the client paid, by the ledger."""
        return self.moved("capture")

    @property
    def refunded(self) -> int:
        """What went back and stayed there, by the ledger."""
        return -self.moved("refund", "refund_failure")

    @property
    def disputed(self) -> int:
        """What the client's bank took back and kept, by the ledger."""
        return -self.moved("dispute")

    @property
    def dispute_fees(self) -> int:
        """What the platform was charged for disputes, by the ledger."""
        return -self.moved("dispute_fee")

    @property
    def sent(self) -> int:
        """What the provider was sent, less what was taken back, by the ledger."""
        return -self.moved("transfer", "reversal")

    @property
    def debt(self) -> int:
        """What the provider owes for this booking, less what its share paid of older debts."""
        return -self.balance("provider_debt")

    @property
    def platform_net(self) -> int:
        """What the platform keeps, before what Stripe charges."""
        return self.balance("platform_revenue") + self.balance("dispute_losses") + self.dispute_fees

    @property
    def held(self) -> int:
        """What is neither here nor there yet."""
        return self.balance("held")


def findings(figures: Figures) -> list[str]:
    """Everything that does not add up, as sentences."""
    return [*_ledger(figures), *_stripe(figures), *_resource(figures)]


def _ledger(figures: Figures) -> Iterator[str]:
    """DESIGN section 5: every journal is zero, the identity holds, and nothing is held after the end."""
    journals: Counter[tuple[str, str]] = Counter()
    for line in figures.ledger:
        journals[line.journal_id, line.currency] += line.signed
    for (journal_id, currency), total in journals.items():
        if total:
            yield f"journal {journal_id} is {total} {currency} out of balance"
    gone = figures.refunded + figures.disputed + figures.platform_net
    accounted = gone + figures.sent - figures.debt + figures.held
    parts = "refunded + disputed + platform + sent - owed + held"
    yield from _differ("captured", figures.captured, parts, accounted)
    yield from _differ("held in the end", figures.held, "nothing", 0)
    payable = figures.balance("provider_payable")
    yield from _differ("payable to the provider in the end", payable, "nothing", 0)
    currency = figures.booking["payment"]["currency"]
    if foreign := {line.currency for line in figures.ledger} - {currency}:
        yield f"the ledger has {', '.join(sorted(foreign))}, the booking is in {currency}"


def _stripe(figures: Figures) -> Iterator[str]:
    """Every movement at Stripe is on our books once, and the reverse; nothing is done twice or left authorized."""
    stripe = figures.stripe
    for kind in KINDS:
        at_stripe = dict(stripe.moved.get(kind, {}))
        if at_stripe != (posted := _posted(figures, kind)):
            yield f"Stripe has {_list(at_stripe)} of kind {kind}, the ledger {_list(posted)}"
    if len(stripe.moved.get("capture", {})) > 1:
        yield f"Stripe has {len(stripe.moved['capture'])} captured charges for one booking"
    if unreleased := set(stripe.intents) - RELEASED:
        yield f"a PaymentIntent is left {', '.join(sorted(unreleased))}"
    for destination in stripe.destinations:
        if destination != stripe.provider_account:
            yield f"a transfer went to {destination}, not to {stripe.provider_account}"
    sent = -stripe.total("transfer", "reversal")
    if not 0 <= sent <= stripe.total("capture"):
        yield f"the provider has {sent} of {stripe.total('capture')} that were captured"


def _resource(figures: Figures) -> Iterator[str]:
    """What people are shown is what was done."""
    payment, payout = figures.booking["payment"], figures.booking["payout"]
    received = -figures.stripe.total("transfer", "reversal") - figures.debt
    yield from _differ("amount_captured", payment["amount_captured"], "the ledger's", figures.captured)
    yield from _differ("amount_refunded", payment["amount_refunded"], "the ledger's", figures.refunded)
    yield from _differ("platform_fee", payment["platform_fee"], "the ledger's", figures.platform_net)
    yield from _differ("provider_share", payment["provider_share"], "what was sent less owed", received)
    shares = payment["platform_fee"] + payment["provider_share"]
    kept = figures.captured - figures.refunded - figures.disputed
    yield from _differ("platform_fee + provider_share", shares, "what was kept", kept)
    if payout is None:
        return
    yield from _differ("the payout's amount", payout["amount"], "what was sent less owed", received)
    netted = sum(
        line.amount for line in figures.ledger if (line.kind, line.account) == ("netting", "provider_debt")
    )
    yield from _differ("debt_netted", payout["debt_netted"], "the ledger's", netted)


def _posted(figures: Figures, kind: str) -> dict[str | None, int]:
    """The Stripe objects that journals of a kind name, with what each moved to our Stripe balance."""
    posted: dict[str | None, int] = {}
    for line in figures.ledger:
        if (line.kind, line.account) == (kind, "stripe_balance"):
            posted[line.stripe_object_id] = posted.get(line.stripe_object_id, 0) + line.signed
    return posted


def _differ(what: str, amount: int, other: str, expected: int) -> Iterator[str]:
    if amount != expected:
        yield f"{what} is {amount}, {other} {expected}"


def _list(moved: Mapping[str | None, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({amount})" for name, amount in moved.items()) or "nothing"
