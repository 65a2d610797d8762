"""Amounts: integer minor units with an ISO 4217 currency. No float ever holds money.

Exponents and the three-decimal rule: Stripe, "Supported currencies", zero-decimal and
three-decimal currencies.
"""

from pydantic import BaseModel, ConfigDict

BASIS_POINTS = 10_000
ZERO_DECIMAL = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF".split()  # noqa: SIM905 - a table reads best as words
)
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def exponent(currency: str) -> int:
    """Decimal places between the minor unit and the currency's unit: 0, 2 or 3."""
    code = currency.upper()
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2


def step(currency: str) -> int:
    """The smallest amount Stripe accepts: 10 for three-decimal currencies, else 1 minor unit."""
    return 10 if currency.upper() in THREE_DECIMAL else 1


def share(amount: int, bps: int, currency: str) -> int:
    """`bps` basis points of `amount` in minor units, floored to what Stripe can move."""
    if amount < 0 or not 0 <= bps <= BASIS_POINTS:
        raise ValueError(f"a share of {bps} basis points of {amount} does not exist")
    unit = step(currency)
    return amount * bps // BASIS_POINTS // unit * unit


def display(amount: int, currency: str) -> str:
    """`12000, "eur"` as `120.00 EUR`, for people."""
    digits = exponent(currency)
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), 10**digits)
    fraction = f".{part:0{digits}d}" if digits else ""
    return f"{sign}{whole}{fraction} {currency.upper()}"


class Split(BaseModel):
    """How kept money divides between platform and provider, in minor units."""

    model_config = ConfigDict(frozen=True)

    platform_fee: int
    provider_share: int


def split(kept: int, fee_bps: int, currency: str) -> Split:
    """Divide what was captured less what was refunded; the parts always sum to `kept`."""
    fee = share(kept, fee_bps, currency)
    return Split(platform_fee=fee, provider_share=kept - fee)
