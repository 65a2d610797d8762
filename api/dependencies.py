"""What routes are given: the outside world, and who is calling. Built once, in `api/app.py`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import Depends, Header, Request
from temporalio.client import Client

from activities.inbox import Inbox
from activities.stripe_gateway import StripeGateway
from api import queries
from api.auth import Authenticator, Caller, Credentials, authenticate
from api.errors import Code, Problem
from api.turns import Turns
from models.database import Database
from models.states import Role
from settings import PolicyDefaults


def utc_now() -> datetime:
    """Now, by this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Dependencies:
    """Everything outside the API that it talks to."""

    database: Database
    temporal: Client
    gateway: StripeGateway
    inbox: Inbox
    authenticator: Authenticator
    defaults: PolicyDefaults
    webhook_secrets: tuple[str, ...]
    connect_webhook_secrets: tuple[str, ...]
    publishable_key: str
    public_url: str
    now: Callable[[], datetime] = utc_now
    turns: Turns = field(default_factory=Turns)


def dependencies(request: Request) -> Dependencies:
    """What the composition root put on the application."""
    built = request.app.state.dependencies
    if not isinstance(built, Dependencies):
        raise TypeError("the application was started without its lifespan")
    return built


Deps = Annotated[Dependencies, Depends(dependencies)]


async def caller(deps: Deps, credentials: Credentials) -> Caller:
    """Who is calling; a provider's subject is mapped to its provider by table."""
    claims = await authenticate(deps.authenticator, credentials)
    provider_id = None
    if claims.role is Role.PROVIDER:
        async with deps.database.transaction() as session:
            provider_id = await queries.provider_of(session, claims.sub)
    structlog.contextvars.bind_contextvars(role=claims.role)
    return Caller(
        role=claims.role,
        subject=claims.sub,
        name=claims.name,
        email=claims.email,
        provider_id=provider_id,
    )


def only(*roles: Role) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency that lets only these roles pass."""

    async def permitted(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if who.role not in roles:
            names = " or ".join(sorted(roles))
            raise Problem(Code.FORBIDDEN, f"Only {names} may do this.")
        return who

    return permitted


Anyone = Annotated[Caller, Depends(caller)]
"""Signed in, in any role."""
AsClient = Annotated[Caller, Depends(only(Role.CLIENT))]
AsProvider = Annotated[Caller, Depends(only(Role.PROVIDER))]
AsOps = Annotated[Caller, Depends(only(Role.OPS))]
AsSeller = Annotated[Caller, Depends(only(Role.PROVIDER, Role.OPS))]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Repeating a request with the same key does it once, and answers alike.",
    ),
]
