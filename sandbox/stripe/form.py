"""Stripe's request encoding: `a[b][0][c]=x` in a query string or a form body.

The SDK sends arrays with indexes (`expand[0]=…`), curl users write `expand[]=…`; both are arrays here, as at Stripe.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.errors import invalid_request

MAX_DEPTH = 8
MAX_FIELDS = 2000
_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")


def pairs(encoded: str) -> list[tuple[str, str]]:
    """The flat (key, value) pairs of an encoded form or query string, blank values included."""
    try:
        return parse_qsl(encoded, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError as error:
        raise invalid_request("Invalid request: too many parameters.") from error


def decode(fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Nest flat pairs: dictionaries by name, lists where every key is an index."""
    tree: dict[str, Any] = {}
    for key, value in fields:
        _place(tree, _split(key), value)
    return {name: _lists(value) for name, value in tree.items()}


def _split(key: str) -> list[str]:
    match = _KEY.match(key)
    if match is None:
        return [key]
    parts = [match.group(1), *_PART.findall(match.group(2))]
    if len(parts) > MAX_DEPTH:
        raise invalid_request(f"Invalid request: {parts[0]} is nested too deeply.", param=parts[0])
    return parts


def _place(tree: dict[str, Any], parts: list[str], value: str) -> None:
    for part in parts[:-1]:
        branch = tree.setdefault(part or str(len(tree)), {})
        if not isinstance(branch, dict):
            raise invalid_request(
                f"Invalid object: {parts[0]} is both a value and an object.", param=parts[0]
            )
        tree = branch
    tree[parts[-1] or str(len(tree))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    nested = {name: _lists(child) for name, child in value.items()}
    if nested and all(name.isdecimal() for name in nested):
        return [nested[name] for name in sorted(nested, key=int)]
    return nested
