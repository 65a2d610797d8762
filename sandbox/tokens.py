"""Tokens for the sandbox: the part of an identity provider that signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import jwt

Role = Literal["client", "provider", "ops"]

LIFETIME = timedelta(days=30)
"""Long, because a sandbox that was left alone for a week should go on where it stood."""


@dataclass(frozen=True)
class Issuer:
    """Signs tokens for one API."""

    secret: str
    name: str
    audience: str

    def token(
        self,
        role: Role,
        subject: str,
        *,
        name: str | None = None,
        email: str | None = None,
        lifetime: timedelta = LIFETIME,
    ) -> str:
        """Return a token that says who somebody is, and what they may be."""
        now = datetime.now(UTC)
        claims = {"iss": self.name, "aud": self.audience, "iat": now, "exp": now + lifetime}
        claims |= {"sub": subject, "role": role, "name": name, "email": email}
        return jwt.encode(
            {claim: value for claim, value in claims.items() if value}, self.secret, algorithm="HS256"
        )
