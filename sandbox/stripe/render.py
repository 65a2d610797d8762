"""From stored objects to answers: private fields fall away, `expand` replaces ids by objects."""

from typing import Any

from sandbox.stripe.errors import invalid_request
from sandbox.stripe.store import Object, Store

# Lists that Stripe shows inside an object: (owner's type, field) -> (type of the items, their field with the owner's id)
SUBLISTS = {
    ("charge", "refunds"): ("refund", "charge"),
    ("transfer", "reversals"): ("transfer_reversal", "transfer"),
}
SUBLIST_LENGTH = 10
MAX_EXPANSION_DEPTH = 4


def render(store: Store, body: Object, expand: list[str] | None = None) -> Object:
    """The public form of an object or a list of objects."""
    public = {
        name: _public(store, body, name, value) for name, value in body.items() if not name.startswith("_")
    }
    for path in expand or []:
        if path.count(".") >= MAX_EXPANSION_DEPTH:
            message = (
                f"You cannot expand more than {MAX_EXPANSION_DEPTH} levels of a property. (Property: {path})"
            )
            raise invalid_request(message, param="expand")
        _expand(store, public, path.split("."), path)
    return public


def listing(url: str, data: list[Object], *, has_more: bool = False) -> Object:
    """Stripe's envelope of a page of objects."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def _public(store: Store, body: Object, name: str, value: Any) -> Any:
    sublist = SUBLISTS.get((body.get("object", ""), name))
    if sublist is not None:
        kind, field = sublist
        return _sublist(store, value["url"], store.select(kind, account=None, where={field: body["id"]}))
    if body.get("object") == "list" and name == "data":
        return [render(store, item) for item in value]
    return value


def _sublist(store: Store, url: str, found: list[Object]) -> Object:
    page = [render(store, item) for item in found[:SUBLIST_LENGTH]]
    return listing(url, page, has_more=len(found) > SUBLIST_LENGTH)


def _expand(store: Store, body: Object, parts: list[str], path: str) -> None:
    name, rest = parts[0], parts[1:]
    value = body.get(name)
    if isinstance(value, str) and (found := store.find(value)) is not None:
        value = body[name] = render(store, found)
    children = value if isinstance(value, list) else [] if value is None else [value]
    if name not in body or not all(isinstance(child, dict) for child in children):
        raise invalid_request(f"This property cannot be expanded ({path}).", param="expand")
    for child in children if rest else []:
        _expand(store, child, rest, path)
