"""How currencies divide, as Stripe counts them."""

# docs.stripe.com/currencies#zero-decimal and #three-decimal; the others have two.
EXPONENTS = dict.fromkeys(
    (
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "ugx",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ),
    0,
) | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 3)
MILS = 3


def smallest(currency: str) -> int:
    """What every amount is a multiple of: with three decimals, the last digit has to be 0."""
    return 10 if EXPONENTS.get(currency) == MILS else 1
