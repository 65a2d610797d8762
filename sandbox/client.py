"""An outside client: what people with browsers and tokens can do, through HTTP and Stripe's SDK alone.

All it is given is the run directory: where the stack is, and what signs tokens there.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import stripe
from pydantic import BaseModel, ConfigDict

from sandbox import configuration, keys
from sandbox.asking import Api
from sandbox.control import Control
from sandbox.person import Person
from sandbox.tokens import Issuer


class Tokens(BaseModel):
    """Somebody of each kind."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    client: str
    client2: str
    provider: str
    ops: str


class StackDescription(BaseModel):
    """`.run/stack.json`: where a running stack is, and what opens its doors."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_dir: Path
    api_url: str
    temporal_address: str
    temporal_ui_url: str | None
    stripe_url: str
    stripe_control_url: str | None
    stripe_secret_key: str
    stripe_publishable_key: str
    database_url: str
    mail_url: str | None
    tokens: Tokens
    provider_id: str
    services: dict[str, str]

    @classmethod
    def read(cls, run_dir: Path) -> "StackDescription | None":
        """The stack of `run_dir`; None when there is none."""
        try:
            described = json.loads((run_dir / "stack.json").read_text())
            return cls.model_validate({**described, "run_dir": run_dir})
        except (OSError, ValueError):
            return None

    def workflow_url(self, workflow_id: str) -> str:
        """Where the Temporal UI shows a workflow."""
        return f"{self.temporal_ui_url or 'temporal:'}/namespaces/default/workflows/{workflow_id}"


@dataclass(frozen=True)
class Outside:
    """Everybody who deals with the product, and their view of Stripe."""

    stack: StackDescription
    client: Person
    client2: Person
    ops: Person
    stripe: stripe.StripeClient
    """With the platform's secret key: for looking, and for what people do in Stripe's dashboard."""
    control: Control | None
    """None where Stripe is the real one."""
    issuer: Issuer

    def provider(self, subject: str) -> Person:
        """Somebody who sells time, registered or not."""
        return Person(self.client.api, self.client.browser, self.issuer.token("provider", subject))


@asynccontextmanager
async def outside(stack: StackDescription, patience: float = 30.0) -> AsyncIterator[Outside]:
    """Open the connections of an outside client; an answer may be `patience` seconds overdue."""
    sdk_http = stripe.HTTPXClient(timeout=10)

    def sdk(key: str) -> stripe.StripeClient:
        return stripe.StripeClient(
            key, base_addresses={"api": stack.stripe_url}, http_client=sdk_http, max_network_retries=3
        )

    browser = sdk(stack.stripe_publishable_key)
    # The environment's proxies are not for what runs on this machine.
    async with httpx.AsyncClient(base_url=stack.api_url, timeout=15, trust_env=False) as http:
        api, tokens = Api(http, patience), stack.tokens
        client, client2, ops = (
            Person(api, browser, token) for token in (tokens.client, tokens.client2, tokens.ops)
        )
        control = Control(http, stack.stripe_control_url) if stack.stripe_control_url else None
        try:
            yield Outside(
                stack, client, client2, ops, sdk(stack.stripe_secret_key), control, _issuer(stack.run_dir)
            )
        finally:
            await sdk_http.close_async()  # type: ignore[no-untyped-call]


def _issuer(run_dir: Path) -> Issuer:
    configured = configuration.read()
    return Issuer(keys.load(run_dir, configured).jwt_secret, configured.jwt_issuer, configured.jwt_audience)
