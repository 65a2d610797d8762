"""What can be asked next: OpenAPI's links, from every answer that names something to what takes its id."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

SUCCESSES: Final = ("200", "201")

Document = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """An operation whose success names something: under which parameter others take it, and where it stands."""

    method: str
    path: str
    parameter: str
    found_at: str = "$response.body#/id"


SOURCES: Final = (
    Source("get", "/api/services", "service_id", "$response.body#/items/0/id"),
    Source("post", "/api/services", "service_id"),
    Source("post", "/api/providers", "provider_id"),
    Source("post", "/api/sessions", "session_id"),
    Source("post", "/api/bookings", "booking_id"),
    Source("get", "/api/bookings", "booking_id", "$response.body#/items/0/id"),
    Source("get", "/api/bookings/{booking_id}", "booking_id"),
)
"""Where an id comes from; whatever has it in its path is linked to."""


@dataclass(frozen=True)
class Sequel:
    """An operation whose body is made of what another one answered."""

    method: str
    path: str
    target: tuple[str, str]
    body: tuple[tuple[str, str], ...]


SEQUELS: Final = (
    Sequel(
        "get",
        "/api/services/{service_id}/availability",
        ("post", "/api/bookings"),
        (("service_id", "$response.body#/service_id"), ("starts_at", "$response.body#/slots/0")),
    ),
    Sequel("post", "/api/sessions", ("post", "/api/bookings"), (("session_id", "$response.body#/id"),)),
    Sequel(
        "post",
        "/api/bookings",
        ("post", "/api/bookings/confirm"),
        (("payment_intent_id", "$response.body#/payment/payment_intent_id"),),
    ),
)


def add_links(document: Document) -> None:
    """Write the links into a description."""
    for source in SOURCES:
        for target in _taking(document, source.parameter):
            link = {"operationId": target, "parameters": {source.parameter: source.found_at}}
            _link(document["paths"][source.path][source.method], target, link)
    for sequel in SEQUELS:
        method, path = sequel.target
        target = document["paths"][path][method]["operationId"]
        link = {"operationId": target, "requestBody": dict(sequel.body)}
        _link(document["paths"][sequel.path][sequel.method], target, link)


def _taking(document: Document, parameter: str) -> Iterator[str]:
    for path, operations in document["paths"].items():
        if f"{{{parameter}}}" in path:
            yield from (operation["operationId"] for operation in operations.values())


def _link(operation: Document, target: str, link: Document) -> None:
    for status in SUCCESSES:
        if status in operation["responses"]:
            operation["responses"][status].setdefault("links", {})[target] = link
