"""The table of endpoints: method and path to the function that acts, with the parameters that it takes.

A resource file declares its endpoints on a `Routes`; retrieving and listing are declared, not written.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from sandbox.stripe.errors import invalid_request, missing_object
from sandbox.stripe.render import listing
from sandbox.stripe.scope import Call
from sandbox.stripe.store import COMPARISONS, Object

Handler = Callable[[Call], Object]
DEFAULT_PAGE = 10
MAX_PAGE = 100
# Filters that name an object: Stripe refuses one that does not exist rather than finding nothing.
REFERENCES = {
    "charge": "charge",
    "customer": "customer",
    "payment_intent": "payment_intent",
    "product": "product",
}


@dataclass(frozen=True)
class Route:
    """One endpoint. `params` names the SDK's parameter type; `publishable` ones also serve Stripe.js."""

    method: str
    template: str
    handler: Handler
    params: str
    publishable: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template))

    def match(self, path: str) -> dict[str, str] | None:
        """The values of the template's parts, if the path fits."""
        found = self._pattern.fullmatch(path)
        return None if found is None else found.groupdict()


class Routes:
    """The endpoints of one resource file."""

    def __init__(self) -> None:
        self.declared: list[Route] = []

    def get(self, template: str, params: str, *, publishable: bool = False) -> Callable[[Handler], Handler]:
        """Declare the decorated function as `GET template`."""
        return self._declare("GET", template, params, publishable=publishable)

    def post(self, template: str, params: str, *, publishable: bool = False) -> Callable[[Handler], Handler]:
        """Declare the decorated function as `POST template`."""
        return self._declare("POST", template, params, publishable=publishable)

    def delete(self, template: str, params: str) -> Callable[[Handler], Handler]:
        """Declare the decorated function as `DELETE template`."""
        return self._declare("DELETE", template, params, publishable=False)

    def retrieve(self, template: str, kind: str, params: str) -> None:
        """Declare `GET template` as retrieving an object of a type by its id."""
        self.get(template, params)(lambda call: call.named(kind))

    def list(self, template: str, kind: str, params: str, *, filters: Iterable[str] = ()) -> None:
        """Declare `GET template` as listing objects of a type, filtered by fields of the same name."""
        names = tuple(filters)
        self.get(template, params)(lambda call: page(call, kind, template, _chosen(call, names)))

    def _declare(
        self, method: str, template: str, params: str, *, publishable: bool
    ) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            self.declared.append(Route(method, template, handler, params, publishable))
            return handler

        return declare


def page(call: Call, kind: str, url: str, where: Object) -> Object:
    """One page of objects, newest first, with Stripe's cursors (docs.stripe.com/api/pagination)."""
    asked = call.params.integer("limit")
    limit = DEFAULT_PAGE if asked is None else asked
    if not 1 <= limit <= MAX_PAGE:
        raise invalid_request(f"Invalid limit: must be between 1 and {MAX_PAGE}.", param="limit")
    found = call.store.select(
        kind,
        account=call.account,
        where=where,
        created=_created(call),
        after=_cursor(call, kind, "starting_after"),
        before=_cursor(call, kind, "ending_before"),
        limit=limit + 1,
    )
    backwards = "ending_before" in call.params
    data = found[-limit:] if backwards else found[:limit]
    return listing(url, data, has_more=len(found) > limit)


def _chosen(call: Call, names: Iterable[str]) -> Object:
    chosen: Object = {name: call.params.text(name) for name in names if name in call.params}
    for name, value in chosen.items():
        if name in REFERENCES and value is not None:
            call.get(REFERENCES[name], value, param=name)
    booleans = {"true": True, "false": False}
    return {name: booleans.get(value, value) for name, value in chosen.items()}


def _created(call: Call) -> dict[str, int]:
    if isinstance(call.params.values.get("created"), str):
        return {"eq": call.params.integer("created") or 0}
    bounds = call.params.sub("created")
    for name in bounds.values:
        if name not in COMPARISONS:
            raise invalid_request(
                f"Received unknown parameter: {bounds.name(name)}", code="parameter_unknown"
            )
    return {name: bounds.integer(name) or 0 for name in bounds.values}


def _cursor(call: Call, kind: str, field: str) -> int | None:
    object_id = call.params.text(field)
    if object_id is None:
        return None
    position = call.store.position(object_id)
    if position is None:
        raise missing_object(kind, object_id, param=field)
    return position
