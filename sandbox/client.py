"""An outside client: what a person with a browser and a token can do, through HTTP and Stripe's SDK alone.

All it is given is `.run/stack.json`. It is as patient as a good client should be: what was not answered is asked again
with the same `Idempotency-Key`, so that an outage between the two costs nothing but time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import stripe
from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.errors import SandboxError

Json = dict[str, Any]
Condition = Callable[[Json], bool]

GOOD_CARD: Final = "pm_card_visa"
REFUSED_CARD: Final = "pm_card_chargeDeclined"

LOOK_EVERY: Final = 0.1
"""Seconds between two looks at a booking."""

LONGEST_PAUSE: Final = 1.0
"""Seconds before an unanswered request is repeated, at most; a `Retry-After` that asks for more is cut."""

TRY_AGAIN: Final = frozenset({429, 502, 503})
"""Statuses that go away by themselves."""


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

    api_url: str
    temporal_address: str
    temporal_ui_url: str | None
    stripe_url: str
    stripe_control_url: str | None
    stripe_secret_key: str
    stripe_publishable_key: str
    database_url: str
    tokens: Tokens
    provider_id: str
    services: dict[str, str]

    @classmethod
    def read(cls, run_dir: Path) -> "StackDescription | None":
        """The stack of `run_dir`; None when there is none."""
        try:
            return cls.model_validate_json((run_dir / "stack.json").read_text())
        except (OSError, ValidationError):
            return None

    def workflow_url(self, workflow_id: str) -> str:
        """Where the Temporal UI shows a workflow."""
        return f"{self.temporal_ui_url or 'temporal:'}/namespaces/default/workflows/{workflow_id}"


class Refused(Exception):
    """The API said no; `code` is from its closed set."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body.get('code')}: {body.get('detail')}")
        self.status = status
        self.code = str(body.get("code"))
        self.body = body


class NotInTime(SandboxError):
    """What was waited for did not come; the message says what was there instead."""


class Api:
    """The HTTP API, asked until it answers."""

    def __init__(self, http: httpx.AsyncClient, patience: float) -> None:
        self._http = http
        self.patience = patience
        """Seconds that an answer may be overdue."""

    async def ask(self, token: str, method: str, path: str, body: Json | None = None) -> Json:
        """The answer's body; anything that may have been lost on its way is sent again under the same key.

        Raises:
            Refused: the API said no.
            NotInTime: it never answered.
        """
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + self.patience
        while True:
            answer = await self._once(method, path, headers, body)
            if isinstance(answer, httpx.Response) and answer.status_code not in TRY_AGAIN:
                break
            if time.monotonic() > deadline:
                raise NotInTime(f"{method} {path} was not answered in {self.patience:g} s: {_words(answer)}")
            await asyncio.sleep(_pause(answer))
        found: Json = answer.json()
        if answer.is_error:
            raise Refused(answer.status_code, found)
        return found

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: Json | None
    ) -> httpx.Response | Exception:
        try:
            return await self._http.request(method, path, headers=headers, json=body)
        except httpx.TransportError as error:
            return error


def _words(answer: httpx.Response | Exception) -> str:
    if isinstance(answer, Exception):
        return f"{type(answer).__name__} {answer}".strip()
    return f"{answer.status_code} {answer.text}"


def _pause(answer: httpx.Response | Exception) -> float:
    wanted = "0.2" if isinstance(answer, Exception) else answer.headers.get("Retry-After", "0.2")
    return min(float(wanted), LONGEST_PAUSE)


@dataclass(frozen=True)
class Person:
    """Whoever a token stands for, with a browser that knows Stripe's publishable key and nothing more."""

    api: Api
    browser: stripe.StripeClient
    token: str

    async def get(self, path: str) -> Json:
        """What is there."""
        return await self.api.ask(self.token, "GET", path)

    async def post(self, path: str, body: Json | None = None) -> Json:
        """Do something."""
        return await self.api.ask(self.token, "POST", path, body or {})

    async def book(self, service_id: str, starts_at: datetime) -> Json:
        """Take a seat; returns the booking once it can be paid."""
        wanted = {"service_id": service_id, "starts_at": starts_at.isoformat()}
        accepted = await self.post("/api/bookings", wanted)
        return await self.until(accepted["id"], _can_be_paid, "the payment to be opened")

    async def pay(self, booking_id: str, card: str = GOOD_CARD) -> bool:
        """Pay as Stripe.js does, with a fresh client secret; False when the card is refused."""
        secret = (await self.get(f"/api/bookings/{booking_id}/checkout"))["client_secret"]
        intent_id = secret.partition("_secret_")[0]
        # Stripe.js sends the secret; the SDK's types know servers only.
        proof: Any = {"payment_method": card, "client_secret": secret}
        try:
            await self.browser.v1.payment_intents.confirm_async(intent_id, proof)
        except stripe.CardError:
            return False
        return True

    async def complete(self, booking_id: str) -> Json:
        """Say that the session has happened."""
        return await self.post(f"/api/bookings/{booking_id}/complete")

    async def cancel(self, booking_id: str) -> Json:
        """Call the booking off."""
        return await self.post(f"/api/bookings/{booking_id}/cancel")

    async def see(self, booking_id: str) -> Json:
        """The booking as it stands."""
        return await self.get(f"/api/bookings/{booking_id}")

    async def until(self, booking_id: str, condition: Condition, what: str, within: float = 30.0) -> Json:
        """Look at the booking until it is as wanted.

        Raises:
            NotInTime: after `within` seconds it is still another way.
        """
        deadline = time.monotonic() + within
        booking: Json | None = None
        while time.monotonic() < deadline:
            try:
                booking = await self.see(booking_id)
            except Refused as refusal:
                if refusal.code != "booking_not_ready":
                    raise
            else:
                if condition(booking):
                    return booking
            await asyncio.sleep(LOOK_EVERY)
        raise NotInTime(f"Booking {booking_id} waited {within:g} s for {what}: {outline(booking)}.")


def _can_be_paid(booking: Json) -> bool:
    return booking["payment"]["payment_intent_id"] is not None or booking["status"] != "PENDING"


def has_status(*wanted: str) -> Condition:
    """Whether a booking is in one of these states."""
    return lambda booking: booking["status"] in wanted


def outline(booking: Json | None) -> str:
    """One line about how a booking stands."""
    if booking is None:
        return "it was never to be seen"
    payout, attention = booking["payout"], booking["attention"]
    parts = [
        f"it is {booking['status']}",
        f"its payment {booking['payment']['status']}",
        f"its payout {payout['status'] if payout else 'not there'}",
    ]
    if attention:
        parts.append(f"{attention['step']} is parked ({attention['message']})")
    return ", ".join(parts)


@dataclass(frozen=True)
class Outside:
    """Everybody who deals with the product, and their view of Stripe."""

    stack: StackDescription
    client: Person
    client2: Person
    ops: Person
    stripe: stripe.StripeClient
    """With the platform's secret key: for looking, never for acting."""


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
        try:
            yield Outside(stack, client, client2, ops, sdk(stack.stripe_secret_key))
        finally:
            await sdk_http.close_async()  # type: ignore[no-untyped-call]
