"""Reading control requests: JSON bodies, checked by pydantic, refused with what is wrong."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sandbox.stripe.state import State
from sandbox.stripe.store import Object


class Body(BaseModel):
    """A control request's body; an unknown field is a mistake worth hearing about."""

    model_config = ConfigDict(extra="forbid")


B = TypeVar("B", bound=Body)


async def read(request: Request, model: type[B]) -> B:
    """The body of a request, or 400 with the reasons."""
    try:
        return model.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        raise HTTPException(400, error.json(include_url=False, include_input=False)) from error


def state_of(request: Request) -> State:
    """The sandbox that a request speaks to."""
    state: State = request.app.state.sandbox
    return state


def find(state: State, kind: str, object_id: str) -> Object:
    """An object of one type, whoever it belongs to, or 404."""
    found = state.store.find(object_id)
    if found is None or found["object"] != kind:
        raise HTTPException(404, f"no {kind} {object_id}")
    return found
