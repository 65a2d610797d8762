"""Events, read only."""

from fnmatch import fnmatchcase

from sandbox.stripe.routing import Routes, page
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()


@routes.get("/v1/events", params="EventListParams")
def index(call: Call) -> Object:
    """List events, by `type` (which may end in `*`) or by several `types`."""
    wanted = [call.params.required("type")] if "type" in call.params else call.params.texts("types")
    if not wanted:
        return page(call, "event", "/v1/events", {})
    known = call.store.db.execute(
        "SELECT DISTINCT body ->> '$.type' FROM objects WHERE kind = 'event'"
    ).fetchall()
    names = [row[0] for row in known if any(fnmatchcase(row[0], pattern) for pattern in wanted)]
    return page(call, "event", "/v1/events", {"type": names})


routes.retrieve("/v1/events/{id}", "event", params="EventRetrieveParams")
