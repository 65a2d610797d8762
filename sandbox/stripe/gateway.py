"""A request's way through the sandbox: authenticate, route, validate, look at its key, act once, answer.

Acting is synchronous and one transaction: objects, events, deliveries and the idempotency record are written together,
so requests are serial where it matters while slow and hanging ones wait outside.
"""

import base64
import binascii
import logging
from dataclasses import dataclass
from typing import Any

import stripe
from starlette.requests import Request
from starlette.responses import Response

from sandbox.stripe import due, form, ids, params
from sandbox.stripe.answers import Answer, dumps
from sandbox.stripe.errors import (
    ApiError,
    account_invalid,
    internal,
    invalid_request,
    unauthorized,
    unrecognized_url,
)
from sandbox.stripe.faults import AFTER, BEFORE, Fault, refusal
from sandbox.stripe.idempotency import EXPIRY_SECONDS, Stored, fingerprint
from sandbox.stripe.params import Params
from sandbox.stripe.render import render
from sandbox.stripe.routing import Route
from sandbox.stripe.scope import PLATFORM, Call
from sandbox.stripe.state import State

logger = logging.getLogger(__name__)
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Asked:
    """A request as read off the wire."""

    method: str
    path: str
    fields: list[tuple[str, str]]
    values: dict[str, Any]
    headers: Any
    request_id: str

    @property
    def key(self) -> str:
        """Its idempotency key; Stripe heeds one on POST only."""
        return self.headers.get("idempotency-key", "") if self.method == "POST" else ""


@dataclass(frozen=True)
class Plan:
    """A request that is understood: which endpoint, for which account, with which kind of key."""

    asked: Asked
    route: Route
    path: dict[str, str]
    account: str
    publishable: bool


class Gateway:
    """The ASGI-side entrance of `/v1`."""

    def __init__(self, state: State, routes: list[Route]) -> None:
        self._state = state
        self._routes = routes

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        await request.body()  # unread, it would spoil the connection for the next request
        request_id = ids.new("request")
        key = request.headers.get("idempotency-key", "")
        fault = self._state.faults.take(request.method, request.url.path, key)
        if fault is not None and fault.action in BEFORE:
            return BEFORE[fault.action](fault, key, request_id)
        try:
            plan = self._plan(await self._read(request, request_id))
            answer = await self._answer(plan, fault)
        except ApiError as error:
            return refusal(error, request_id)
        self._state.poke()
        if fault is not None and fault.action in AFTER:
            return AFTER[fault.action](fault, request_id)
        return self._dressed(answer, plan.asked)

    async def _read(self, request: Request, request_id: str) -> Asked:
        fields = form.pairs(request.url.query)
        body = await request.body()
        if body:
            if not request.headers.get("content-type", FORM).startswith(FORM):
                message = f"Invalid request (check that your POST content type is {FORM})."
                raise invalid_request(message)
            fields += form.pairs(body.decode(errors="replace"))
        return Asked(
            request.method, request.url.path, fields, form.decode(fields), request.headers, request_id
        )

    def _plan(self, asked: Asked) -> Plan:
        publishable = self._authenticate(asked)
        account = self._account(asked)
        for route in self._routes:
            path = route.match(asked.path) if route.method == asked.method else None
            if path is not None:
                break
        else:
            raise unrecognized_url(asked.method, asked.path)
        if publishable and not route.publishable:
            message = "This API call cannot be made with a publishable API key. Please use a secret API key."
            raise unauthorized(message, code="secret_key_required")
        params.check(asked.values, route.params)
        return Plan(asked, route, path, account, publishable)

    def _authenticate(self, asked: Asked) -> bool:
        settings = self._state.settings
        key = _presented_key(asked)
        if not key:
            message = (
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
            )
            raise unauthorized(message)
        if key not in (settings.secret_key, settings.publishable_key):
            shown = f"{key[:8]}{'*' * 8}{key[-4:]}"
            raise unauthorized(f"Invalid API Key provided: {shown}")
        return key == settings.publishable_key

    def _account(self, asked: Asked) -> str:
        account = asked.headers.get("stripe-account") or asked.values.get("_stripe_account") or PLATFORM
        if account != PLATFORM:
            found = self._state.store.find(account)
            if found is None or found["object"] != "account" or found["_deauthorized"]:
                raise account_invalid(account)
        return str(account)

    async def _answer(self, plan: Plan, fault: Fault | None) -> Answer:
        asked, keys = plan.asked, self._state.keys
        if not asked.key:
            await self._delay(fault)
            return self._act(plan, fault)
        mark = fingerprint(asked.method, asked.path, asked.fields)
        stored = keys.begin(plan.account, asked.key, mark, self._state.clock.now())
        if stored is not None:
            headers = {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
            return Answer(stored.status, stored.body, headers)
        try:
            await self._delay(fault)
            return self._act(plan, fault)
        finally:
            keys.end(plan.account, asked.key)

    async def _delay(self, fault: Fault | None) -> None:
        if fault is not None and fault.action == "slow":
            await self._state.faults.slow_down(fault)

    def _act(self, plan: Plan, fault: Fault | None) -> Answer:
        asked = plan.asked
        broken = fault is not None and fault.action == "cached_500"
        with self._state.store.transaction():
            call = self._call(plan)
            due.run(self._state.scope())
            answer = self._execute(plan, call, acted=fault is None or not broken or fault.acted)
            if broken:
                error = internal()
                answer = Answer(error.status, dumps(error.body(asked.request_id)))
            if asked.key:
                mark = fingerprint(asked.method, asked.path, asked.fields)
                expires_at = None if broken else call.now + EXPIRY_SECONDS
                stored = Stored(answer.status, answer.body, asked.request_id)
                self._state.keys.record(plan.account, asked.key, mark, stored, expires_at)
        return answer

    def _execute(self, plan: Plan, call: Call, *, acted: bool) -> Answer:
        if not acted:
            return Answer(200, "")
        try:
            with self._state.store.savepoint():
                body = render(call.store, plan.route.handler(call), call.params.texts("expand"))
        except ApiError as error:
            if error.validation:
                raise
            return Answer(error.status, dumps(error.body(plan.asked.request_id)), error.headers)
        return Answer(200, dumps(body))

    def _call(self, plan: Plan) -> Call:
        scope = self._state.scope()
        return Call(
            store=scope.store,
            settings=scope.settings,
            now=scope.now,
            base_url=scope.base_url,
            account=plan.account,
            request_id=plan.asked.request_id,
            idempotency_key=plan.asked.key or None,
            params=Params(plan.asked.values),
            path=plan.path,
            publishable=plan.publishable,
        )

    def _dressed(self, answer: Answer, asked: Asked) -> Response:
        response = answer.response()
        response.headers["Request-Id"] = asked.request_id
        response.headers["Stripe-Version"] = asked.headers.get("stripe-version", stripe.api_version)
        if asked.key:
            response.headers["Idempotency-Key"] = asked.key
            response.headers.setdefault("Original-Request", asked.request_id)
        return response


def _presented_key(asked: Asked) -> str:
    scheme, _, value = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return str(value.strip() or asked.values.get("key", ""))
