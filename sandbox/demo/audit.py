"""Does the money add up? One booking's books, what Stripe holds for it, and what the API says, laid side by side.

Pure: the figures come from `sandbox.demo.figures`, the verdict is a list of sentences, empty when all is well.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.client import Json

RELEASED: Final = frozenset({"canceled", "succeeded"})
"""Stripe's statuses of an intent that holds no authorization."""


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
class Moved:
    """One movement of money at Stripe: a captured charge, a refund, or a transfer."""

    id: str
    amount: int
    currency: str
    reversed: int = 0
    destination: str | None = None


@dataclass(frozen=True)
class AtStripe:
    """All that Stripe has of one booking."""

    intents: tuple[str, ...] = ()
    """The status of each PaymentIntent; there is at most one."""
    captured: tuple[Moved, ...] = ()
    refunds: tuple[Moved, ...] = ()
    transfers: tuple[Moved, ...] = ()
    provider_account: str | None = None


@dataclass(frozen=True)
class Figures:
    """One ended booking as all three see it."""

    booking: Json
    ledger: tuple[Entry, ...]
    stripe: AtStripe

    def posted(self, kind: str, account: str) -> int:
        """What journals of a kind moved on an account, debits positive."""
        return sum(line.signed for line in self.ledger if (line.kind, line.account) == (kind, account))

    def balance(self, account: str) -> int:
        """What stands to the credit of an account."""
        return -sum(line.signed for line in self.ledger if line.account == account)

    @property
    def captured(self) -> int:
        """What the client paid, by the ledger."""
        return self.posted("capture", "stripe_balance")

    @property
    def refunded(self) -> int:
        """What went back, by the ledger."""
        return -self.posted("refund", "stripe_balance")

    @property
    def transferred(self) -> int:
        """What the provider was sent, by the ledger."""
        return -self.posted("transfer", "stripe_balance")

    @property
    def platform_net(self) -> int:
        """What the platform keeps, before Stripe's own fees."""
        return self.balance("platform_revenue")

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
    accounted = figures.refunded + figures.platform_net + figures.transferred + figures.held
    yield from _differ("captured", figures.captured, "refunded + platform + transferred + held", accounted)
    yield from _differ("held in the end", figures.held, "nothing", 0)
    payable = figures.balance("provider_payable")
    yield from _differ("payable to the provider in the end", payable, "nothing", 0)
    currency = figures.booking["payment"]["currency"]
    if foreign := {line.currency for line in figures.ledger} - {currency}:
        yield f"the ledger has {', '.join(sorted(foreign))}, the booking is in {currency}"


def _stripe(figures: Figures) -> Iterator[str]:
    """Every movement at Stripe is on our books once, and the reverse; nothing exists twice."""
    stripe = figures.stripe
    moved = {"capture": stripe.captured, "refund": stripe.refunds, "transfer": stripe.transfers}
    for kind, objects in moved.items():
        at_stripe = {each.id: each.amount for each in objects}
        if at_stripe != (posted := _posted(figures, kind)):
            yield f"Stripe has {_list(at_stripe)} of kind {kind}, the ledger {_list(posted)}"
    for name, count in (
        ("PaymentIntents", len(stripe.intents)),
        ("captured charges", len(stripe.captured)),
        ("transfers", len(stripe.transfers)),
    ):
        if count > 1:
            yield f"Stripe has {count} {name} for one booking"
    if unreleased := set(stripe.intents) - RELEASED:
        yield f"the PaymentIntent is left {', '.join(sorted(unreleased))}"
    for transfer in stripe.transfers:
        if transfer.destination != stripe.provider_account:
            yield f"transfer {transfer.id} went to {transfer.destination}, not to {stripe.provider_account}"


def _resource(figures: Figures) -> Iterator[str]:
    """What people are shown is what was done."""
    payment, payout = figures.booking["payment"], figures.booking["payout"]
    kept = figures.captured - figures.refunded
    yield from _differ("amount_captured", payment["amount_captured"], "the ledger's", figures.captured)
    yield from _differ("amount_refunded", payment["amount_refunded"], "the ledger's", figures.refunded)
    yield from _differ("platform_fee", payment["platform_fee"], "the ledger's", figures.platform_net)
    yield from _differ("provider_share", payment["provider_share"], "what was transferred", _sent(figures))
    shares = payment["platform_fee"] + payment["provider_share"]
    yield from _differ("platform_fee + provider_share", shares, "what was kept", kept)
    yield from _differ(
        "the payout's amount", payout["amount"] if payout else 0, "the transfer", _sent(figures)
    )


def _posted(figures: Figures, kind: str) -> dict[str | None, int]:
    """The Stripe objects that journals of a kind name, with what each moved on our Stripe balance."""
    lines = [line for line in figures.ledger if (line.kind, line.account) == (kind, "stripe_balance")]
    return {line.stripe_object_id: line.amount for line in lines}


def _sent(figures: Figures) -> int:
    """What reached the provider's account, by Stripe."""
    return sum(transfer.amount - transfer.reversed for transfer in figures.stripe.transfers)


def _differ(what: str, amount: int, other: str, expected: int) -> Iterator[str]:
    if amount != expected:
        yield f"{what} is {amount}, {other} {expected}"


def _list(moved: dict[str | None, int] | dict[str, int]) -> str:
    return ", ".join(f"{name} ({amount})" for name, amount in moved.items()) or "nothing"
