"""Which methods an address knows; the router tells only of the first route that it finds there."""

from collections.abc import Iterable, Sequence

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, compile_path


def allowed(routes: Sequence[BaseRoute], path: str) -> str:
    """The `Allow` header for a path (RFC 9110 section 10.2.1)."""
    known = [(route.path, route.methods) for route in iter_route_contexts(routes) if route.path]
    # A name of its own comes before a place in a pattern: `confirm` is no booking's id.
    exact = [methods for pattern, methods in known if pattern == path]
    fitting = exact or [methods for pattern, methods in known if compile_path(pattern)[0].match(path)]
    return ", ".join(sorted(_all(fitting)))


def _all(found: Iterable[set[str] | None]) -> set[str]:
    return {method for methods in found for method in methods or ()}
