"""The composition root of the HTTP API: `uvicorn --factory api.app:create_app`.

Settings are read once, here; whatever is missing stops the process before it listens. Temporal is
connected when it is first needed, so that webhooks are stored while it is away.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from fastapi import FastAPI
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.service import RetryConfig

from activities.inbox import Inbox
from activities.stripe_gateway import StripeGateway
from api import (
    bookings,
    contesting,
    deciding,
    health,
    openapi,
    oversight,
    providers,
    services,
    sessions,
    timeline,
    webhooks,
)
from api.auth import Authenticator
from api.dependencies import Dependencies
from api.handlers import add_handlers
from api.limits import BodyLimit
from api.requests import RequestContext
from models.database import Database
from observability import configure_logging
from settings import ApiSettings, PolicyDefaults, StripeSettings

VERSION: Final = "0.2.0"

IMPATIENT: Final = RetryConfig(max_elapsed_time_millis=2000)
"""A caller waits behind every call: what Temporal does not take soon is answered with 503."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app() -> FastAPI:
    """The application, configured from the environment."""
    settings, stripe, defaults = ApiSettings(), StripeSettings(), PolicyDefaults()
    configure_logging(settings.log_level)
    secrets = rotation(settings.stripe_webhook_secret)
    connect_secrets = rotation(settings.stripe_connect_webhook_secret)
    authenticator = Authenticator.from_settings(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database.connect(settings.database_url)
        temporal = await Client.connect(
            **ClientConfig.load_client_connect_config(),
            data_converter=pydantic_data_converter,
            retry_config=IMPATIENT,
            lazy=True,
        )
        gateway = StripeGateway.connect(stripe.secret_key.get_secret_value(), stripe.api_base)
        app.state.dependencies = Dependencies(
            database=database,
            temporal=temporal,
            gateway=gateway,
            inbox=Inbox(database, temporal),
            authenticator=authenticator,
            defaults=defaults,
            webhook_secrets=secrets,
            connect_webhook_secrets=connect_secrets,
            publishable_key=stripe.publishable_key,
            public_url=settings.public_url.rstrip("/"),
        )
        yield
        await gateway.close()
        await database.close()

    return _assemble(lifespan)


def build_app(deps: Dependencies) -> FastAPI:
    """The application on dependencies that somebody else built and will close."""
    app = _assemble()
    app.state.dependencies = deps
    return app


def rotation(secret: SecretStr) -> tuple[str, ...]:
    """The secrets that are good while they rotate, comma-separated.

    Raises:
        ValueError: there is none; an empty secret would make every forgery genuine (TRAPS 17).
    """
    secrets = tuple(part.strip() for part in secret.get_secret_value().split(",") if part.strip())
    if not secrets:
        raise ValueError("a webhook secret is needed")
    return secrets


def _assemble(lifespan: Lifespan | None = None) -> FastAPI:
    app = FastAPI(
        title=openapi.TITLE,
        version=VERSION,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
    )
    for module in (
        services,
        sessions,
        bookings,
        deciding,
        contesting,
        timeline,
        providers,
        webhooks,
        oversight,
        health,
    ):
        app.include_router(module.router)
    # The last added runs first: a refused body, too, has an id, a log line and a count.
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestContext)
    add_handlers(app)
    openapi.describe(app)
    return app
