"""Parameters of one request: which ones an endpoint takes, and reading them with Stripe's complaints.

The names come from the installed SDK's own parameter types, generated from Stripe's API description for the pinned
version, so the allow-lists cannot drift from what the product may send.
"""

import re
from functools import cache
from typing import Any

import stripe.params as official
from stripe._request_options import RequestOptions

from sandbox.stripe.currencies import smallest
from sandbox.stripe.errors import invalid_request, missing_parameter, unknown_parameter

# Stripe.js sends these with a publishable key; they are in no server-side parameter type.
BROWSER_PARAMETERS = frozenset(
    {
        "client_attribution_metadata",
        "client_secret",
        "expected_payment_method_type",
        "key",
        "payment_user_agent",
        "radar_options",
        "referrer",
        "use_stripe_sdk",
        "_stripe_account",
        "_stripe_version",
    }
)
_INTEGER = re.compile(r"-?[0-9]{1,18}")  # more would not fit into 64 bits
_OPTIONS = frozenset(RequestOptions.__annotations__)


@cache
def allowed(params: str) -> frozenset[str]:
    """Names that the SDK's parameter type `params` lets a request carry."""
    return frozenset(getattr(official, params).__annotations__) - _OPTIONS


@cache
def required(params: str) -> frozenset[str]:
    """Names without which Stripe refuses a request of parameter type `params`."""
    keys: frozenset[str] = getattr(official, params).__required_keys__
    return keys - _OPTIONS


def check(values: dict[str, Any], params: str) -> None:
    """Refuse unknown and missing parameters, as Stripe does before it executes anything."""
    known = allowed(params) | BROWSER_PARAMETERS
    for name in values:
        if name not in known:
            raise unknown_parameter(name)
    for name in sorted(required(params)):
        if values.get(name) in (None, ""):
            raise missing_parameter(name)


class Params:
    """Decoded parameters; `prefix` is the path of a nested object, so that complaints name the right field."""

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self.values = values
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def name(self, field: str) -> str:
        """The full name of `field`, as Stripe writes it in `error.param`."""
        return f"{self._prefix}[{field}]" if self._prefix else field

    def text(self, field: str) -> str | None:
        """A string; Stripe reads an empty one as "unset"."""
        value = self.values.get(field)
        if value is not None and not isinstance(value, str):
            raise invalid_request(f"Invalid string: {value!r}", param=self.name(field))
        return value or None

    def required(self, field: str) -> str:
        """A string that must be there."""
        value = self.text(field)
        if value is None:
            raise missing_parameter(self.name(field))
        return value

    def choice(self, field: str, choices: tuple[str, ...], default: str) -> str:
        """One of a closed set of strings."""
        value = self.text(field) or default
        if value not in choices:
            allowed_values = ", ".join(choices[:-1]) + f", or {choices[-1]}"
            raise invalid_request(
                f"Invalid {self.name(field)}: must be one of {allowed_values}", param=self.name(field)
            )
        return value

    def integer(self, field: str) -> int | None:
        """A whole number; amounts are in minor units, times are Unix seconds."""
        value = self.text(field)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise invalid_request(
                f"Invalid integer: {value}", code="parameter_invalid_integer", param=self.name(field)
            )
        return int(value)

    def amount(self, field: str, currency: str) -> int | None:
        """An amount of money: a positive whole number of minor units that the currency's banks can move."""
        value = self.integer(field)
        if value is not None and value < 1:
            raise invalid_request(
                "This value must be greater than or equal to 1.",
                code="parameter_invalid_integer",
                param=self.name(field),
            )
        if value is not None and value % (unit := smallest(currency)):
            message = f"Amounts in {currency} must be divisible by {unit}."
            raise invalid_request(message, code="parameter_invalid_integer", param=self.name(field))
        return value

    def boolean(self, field: str) -> bool | None:
        """`true` or `false`."""
        value = self.text(field)
        if value not in (None, "true", "false"):
            raise invalid_request(f"Invalid boolean: {value}", param=self.name(field))
        return None if value is None else value == "true"

    def texts(self, field: str) -> list[str]:
        """A list of strings."""
        value = self.values.get(field) or []
        if not isinstance(value, list):
            raise invalid_request("Invalid array", param=self.name(field))
        return [str(item) for item in value]

    def sub(self, field: str) -> "Params":
        """A nested object, empty when absent."""
        value = self.values.get(field) or {}
        if isinstance(value, list):  # an object whose keys are numbers
            value = {str(index): item for index, item in enumerate(value)}
        if not isinstance(value, dict):
            raise invalid_request("Invalid object", param=self.name(field))
        return Params(value, self.name(field))

    def merged_metadata(self, current: dict[str, str]) -> dict[str, str]:
        """Metadata after this request: given keys are set, empty ones removed, an empty string clears all."""
        if self.values.get("metadata") == "":
            return {}
        merged = {**current, **self.sub("metadata").values}
        for key, value in merged.items():
            if not isinstance(value, str):
                raise invalid_request(
                    "Metadata values must be strings.", param=f"{self.name('metadata')}[{key}]"
                )
        return {key: value for key, value in merged.items() if value != ""}
