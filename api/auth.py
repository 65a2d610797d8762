"""Who is calling: a bearer token becomes a `Caller`, or a 401.

Exactly one algorithm is accepted, and it follows from the configuration, never from the token: a
shared secret means HS256, a JWKS URL means RS256 (a token that chose for itself could choose `none`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Literal, Self
from uuid import UUID

import jwt
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.errors import Code, Problem
from api.text import Line
from models.states import Role
from settings import ApiSettings

REQUIRED_CLAIMS: Final = ("exp", "iss", "aud", "sub", "role")
SHORTEST_SECRET: Final = 32
"""Bytes; RFC 7518 section 3.2 wants a key as long as the hash."""

KeyFinder = Callable[[str], Awaitable[jwt.PyJWK | str]]

bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    scheme_name="bearer",
    description="A JWT with `sub`, `role` (`client`, `provider` or `ops`), `exp`, `iss` and `aud`.",
)


class Claims(BaseModel):
    """What a valid token says; `name` and `email` are a courtesy."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sub: Line = Field(min_length=1, max_length=255)
    role: Literal[Role.CLIENT, Role.PROVIDER, Role.OPS]
    name: Line | None = Field(default=None, max_length=200)
    email: Line | None = Field(default=None, max_length=320)


class Caller(BaseModel):
    """Who is calling; `provider_id` is set for a provider that has registered."""

    model_config = ConfigDict(frozen=True)

    role: Role
    subject: str
    name: str | None = None
    email: str | None = None
    provider_id: UUID | None = None


class InvalidToken(Exception):
    """The token is not one of ours, or not any more."""


class KeysUnavailable(Exception):
    """The identity provider's keys could not be fetched; the token may be good."""


class Authenticator:
    """Checks tokens of one issuer for one audience with one pinned algorithm."""

    def __init__(self, find_key: KeyFinder, algorithm: str, *, issuer: str, audience: str) -> None:
        self._find_key = find_key
        self._algorithm = algorithm
        self._issuer = issuer
        self._audience = audience

    @classmethod
    def from_settings(cls, settings: ApiSettings) -> Self:
        """The one way of checking tokens that is configured.

        Raises:
            ValueError: none is configured, or both are, or the secret is too short to be one.
        """
        if (settings.jwt_secret is None) == (settings.jwks_url is None):
            raise ValueError("set exactly one of JWT_SECRET and JWKS_URL")
        issuer, audience = settings.jwt_issuer, settings.jwt_audience
        if settings.jwt_secret is not None:
            secret = settings.jwt_secret.get_secret_value()
            if len(secret.encode()) < SHORTEST_SECRET:
                raise ValueError(f"JWT_SECRET must have at least {SHORTEST_SECRET} bytes")
            return cls(_shared(secret), "HS256", issuer=issuer, audience=audience)
        return cls(_published(str(settings.jwks_url)), "RS256", issuer=issuer, audience=audience)

    async def claims(self, token: str) -> Claims:
        """What `token` says, if it may be believed.

        Raises:
            InvalidToken: it may not.
            KeysUnavailable: nobody can tell right now.
        """
        try:
            payload = jwt.decode(
                token,
                await self._find_key(token),
                algorithms=[self._algorithm],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": list(REQUIRED_CLAIMS)},
            )
            return Claims.model_validate(payload)
        except jwt.PyJWKClientConnectionError as error:
            raise KeysUnavailable from error
        except (jwt.PyJWTError, ValidationError, ValueError, RecursionError) as error:
            raise InvalidToken from error


def _shared(secret: str) -> KeyFinder:
    async def find(_token: str) -> str:
        return secret

    return find


def _published(url: str) -> KeyFinder:
    keys = jwt.PyJWKClient(url, timeout=5)

    async def find(token: str) -> jwt.PyJWK:
        # PyJWT fetches synchronously, and only when it must.
        return await asyncio.to_thread(keys.get_signing_key_from_jwt, token)

    return find


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def authenticate(
    authenticator: Authenticator, credentials: HTTPAuthorizationCredentials | None
) -> Claims:
    """The claims behind a request.

    Raises:
        Problem: 401 without a valid token; 503 while the issuer's keys cannot be had.
    """
    if credentials is None:
        raise Problem(Code.UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"})
    try:
        return await authenticator.claims(credentials.credentials)
    except InvalidToken:
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Problem(Code.UNAUTHENTICATED, headers=headers) from None
    except KeysUnavailable:
        raise Problem(Code.UNAVAILABLE, "Nobody can be signed in right now; try again.") from None
