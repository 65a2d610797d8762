"""Events, read only."""

from fnmatch import fnmatchcase

from sandbox.stripe.routing import Routes, page
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()


@routes.get("/v1/events", params="EventListParams")
def index(call: Call) -> Object:
    """List events, by `type` (which may end in `*`) or by several `types`, and by whether they were delivered."""
    wanted = [call.params.required("type")] if "type" in call.params else call.params.texts("types")
    where: Object = {}
    if wanted:
        where["type"] = [name for name in _known(call) if any(fnmatchcase(name, one) for one in wanted)]
    delivered = call.params.boolean("delivery_success")
    if delivered is not None:
        where["id"] = _delivered(call, success=delivered)
    return page(call, "event", "/v1/events", where)


def _known(call: Call) -> list[str]:
    rows = call.store.db.execute("SELECT DISTINCT body ->> '$.type' FROM objects WHERE kind = 'event'")
    return [row[0] for row in rows.fetchall()]


def _delivered(call: Call, *, success: bool) -> list[str]:
    """Ids of events whose deliveries have all succeeded, or of those where one is missing."""
    rows = call.store.db.execute(
        "SELECT id FROM objects o WHERE kind = 'event' AND ? = NOT EXISTS "
        "(SELECT 1 FROM deliveries d WHERE d.event = o.id AND d.status <> 'delivered')",
        (success,),
    )
    return [row[0] for row in rows.fetchall()]


routes.retrieve("/v1/events/{id}", "event", params="EventRetrieveParams")
