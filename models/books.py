"""What the ledger says of one booking, and what follows from it: pure money rules.

Everything that happens to captured money, before and after the transfer, is two questions. How does
what is kept divide between platform and provider? And what has the provider still to get, or to
give back? Per booking, always (DESIGN section 5):

    captured = refunded + disputed + platform_net + transferred - reversed + netted - raised + held

`platform_net` is the fee, what ops left with the platform (`waived`), less what was lost.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from models.money import BASIS_POINTS, share, split, step


class Division(BaseModel):
    """How kept money divides, in minor units. More gone than ever came is the platform's loss."""

    model_config = ConfigDict(frozen=True)

    platform_fee: int
    provider_share: int
    loss: int = 0


class Books(BaseModel):
    """One booking's money in one currency, in minor units; never negative but for `kept` and `due`."""

    model_config = ConfigDict(frozen=True)

    currency: str
    fee_bps: int
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    """Withdrawn by disputes, less what was reinstated."""
    transferred: int = 0
    reversed: int = 0
    netted: int = 0
    """Debt of earlier bookings that this one's share has paid."""
    raised: int = 0
    """What the provider owes because of this booking, less what was forgiven."""
    waived: int = 0
    """What would have been the provider's and stays with the platform, by decision of ops."""
    allocated: bool = False
    """Whether what is kept has been divided: from the moment a transfer is frozen."""

    @property
    def kept(self) -> int:
        """What is left of the client's money; below zero when it went back twice."""
        return self.captured - self.refunded - self.disputed

    @property
    def division(self) -> Division:
        """How `kept` divides now."""
        if self.kept <= 0:
            return Division(platform_fee=0, provider_share=0, loss=-self.kept)
        parts = split(self.kept, self.fee_bps, self.currency)
        return Division(platform_fee=parts.platform_fee, provider_share=parts.provider_share)

    @property
    def received(self) -> int:
        """What the provider has had, and what it goes without: money, debts paid with it, waivers."""
        return self.transferred - self.reversed + self.netted - self.raised + self.waived

    @property
    def due(self) -> int:
        """What the provider has still to get; below zero, to give back."""
        return self.division.provider_share - self.received

    @property
    def held(self) -> int:
        """What is neither gone nor given to anybody yet."""
        return self.due if self.allocated else max(self.kept, 0)


class Recovery(BaseModel):
    """How a provider gives back `due`: from the transfer, the rest as a debt."""

    model_config = ConfigDict(frozen=True)

    reverse: int
    owe: int


def recovery(books: Books, reversible: int, available: int) -> Recovery:
    """Reverse what the transfer still has and the provider's account can bear; the rest is owed.

    Args:
        books: The booking's money.
        reversible: What is left of its transfers, not yet reversed.
        available: The connected account's available balance (TRAPS 31); may be negative.
    """
    missing = max(-books.due, 0)
    unit = step(books.currency)
    reverse = max(min(missing, reversible, available), 0) // unit * unit
    return Recovery(reverse=reverse, owe=missing - reverse)


def netting(due: int, debt: int, cap_bps: int, currency: str) -> int:
    """How much of a payout pays debts of earlier bookings: at most `cap_bps` of it."""
    return min(debt, share(max(due, 0), min(cap_bps, BASIS_POINTS), currency))


class Restitution(BaseModel):
    """How a provider gets what is `due` after all: out of its debt, the rest by another transfer."""

    model_config = ConfigDict(frozen=True)

    forgive: int
    transfer: int


def restitution(books: Books, owed: int) -> Restitution:
    """Forgive first what the provider still owes because of this very booking (`owed`), then pay."""
    missing = max(books.due, 0)
    forgive = min(missing, max(owed, 0))
    return Restitution(forgive=forgive, transfer=missing - forgive)


def repay(debts: Sequence[int], amount: int) -> list[int]:
    """How `amount` pays open `debts`, the first ones first."""
    paid: list[int] = []
    for debt in debts:
        paid.append(min(debt, amount - sum(paid)))
    return paid
