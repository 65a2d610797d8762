"""Control of connected accounts: what they may do, what their bank refuses, what they have left."""

from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe import payouts
from sandbox.stripe.control.payouts import FailureCode
from sandbox.stripe.control.reading import Body, find, read, state_of
from sandbox.stripe.events import emit
from sandbox.stripe.render import render
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

RESTRICTED = ["individual.verification.document"]
APPLICATION: Object = {"id": "ca_sandbox", "object": "application", "name": "sandbox"}
HIDDEN = {"payouts_fail", "drain"}


class AccountBody(Body):
    """What an account may do from now on; absent fields stay.

    `payouts_fail` lets payouts to come fail with this code, until it is null; `drain` pays all out that is available.
    """

    transfers: Literal["active", "inactive", "pending"] | None = None
    card_payments: Literal["active", "inactive", "pending"] | None = None
    charges_enabled: bool | None = None
    payouts_enabled: bool | None = None
    details_submitted: bool | None = None
    deauthorized: bool | None = None
    payouts_fail: FailureCode | None = None
    drain: bool = False

    @property
    def shows(self) -> bool:
        """Whether Stripe would tell of it by `account.updated`."""
        return not self.model_fields_set or bool(self.model_fields_set - HIDDEN)


async def change_account(request: Request) -> JSONResponse:
    """Change an account, with the events that Stripe sends of it."""
    body, state = await read(request, AccountBody), state_of(request)
    with state.store.transaction():
        account = find(state, "account", request.path_params["id"])
        scope = state.scope().on(account["id"])
        left = account["_deauthorized"]
        _apply(account, body)
        scope.save(account)
        _tell(scope, account, body, returned=left and body.deauthorized is False)
        if body.drain:
            payouts.drain(scope)
    state.poke()
    return JSONResponse(render(state.store, account))


def _tell(scope: Scope, account: Object, body: AccountBody, *, returned: bool) -> None:
    if body.deauthorized:
        emit(scope, "account.application.deauthorized", APPLICATION)
    elif body.shows:
        if returned:
            emit(scope, "account.application.authorized", APPLICATION)
        emit(scope, "account.updated", account)
    for capability in ("transfers", "card_payments"):
        if getattr(body, capability) is not None:
            emit(scope, "capability.updated", _capability(account, capability))


def _apply(account: Object, body: AccountBody) -> None:
    if "payouts_fail" in body.model_fields_set:
        account["_payouts_fail"] = body.payouts_fail
    given = body.model_dump(exclude_none=True, exclude=HIDDEN)
    capabilities = {name: given.pop(name) for name in ("transfers", "card_payments") if name in given}
    account["_deauthorized"] = given.pop("deauthorized", account["_deauthorized"])
    account["capabilities"] = account["capabilities"] | capabilities
    account |= given
    active = account["capabilities"].get("transfers") == "active" and account["payouts_enabled"]
    due = [] if active else RESTRICTED
    reason = None if active else "requirements.past_due"
    account["requirements"] = account["requirements"] | {
        "currently_due": due,
        "disabled_reason": reason,
        "past_due": due,
    }


def _capability(account: Object, name: str) -> Object:
    return {
        "id": name,
        "object": "capability",
        "account": account["id"],
        "future_requirements": account["future_requirements"],
        "requested": True,
        "requested_at": account["created"],
        "requirements": account["requirements"],
        "status": account["capabilities"][name],
    }


ROUTES = [Route("/accounts/{id}", change_account, methods=["POST"])]
