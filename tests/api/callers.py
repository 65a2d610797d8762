"""Schemathesis signs its requests here: each operation is called by somebody whom its rule lets in.

The command loads this file; the tokens are in its environment.
"""

import json
import os
from typing import Any, Final

import schemathesis
from schemathesis import AuthContext, Case

from tests.api.rules import IN, RULES, TOKENS, Route, Who

KNOWN: Final[dict[str, str]] = json.loads(os.environ.get(TOKENS, "{}"))


def caller_of(route: Route) -> Who:
    """Ops wherever they may, because they see what others made; else whoever may."""
    rule = RULES.get(route, {})
    return next((who for who in (Who.OPS, Who.CLIENT, Who.PROVIDER) if rule.get(who, IN) == IN), Who.OPS)


@schemathesis.auth(refresh_interval=None)
class Caller:
    """Whoever may call an operation."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        """Their token."""
        del context
        return KNOWN[caller_of((case.operation.method.lower(), case.operation.path))]

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        """Sign the request."""
        del context
        case.headers["Authorization"] = f"Bearer {data}"
