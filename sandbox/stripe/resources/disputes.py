"""Disputes: read, answered with evidence, given up. They are opened by cards and by the control API."""

from sandbox.stripe import disputing
from sandbox.stripe.errors import refused, unknown_parameter
from sandbox.stripe.events import emit
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
# In test mode this evidence decides what follows (docs.stripe.com/testing#disputes).
DECIDING = {"winning_evidence": "won", "losing_evidence": "lost"}


@routes.post("/v1/disputes/{id}", params="DisputeUpdateParams")
def update(call: Call) -> Object:
    """Stage evidence, and submit it unless `submit=false`; metadata can be changed at any time."""
    dispute, params = call.named("dispute"), call.params
    dispute["metadata"] = params.merged_metadata(dispute["metadata"])
    if "evidence" not in params and not params.boolean("submit"):
        emit(call, "charge.dispute.updated", call.save(dispute))
        return dispute
    if dispute["status"] not in disputing.ANSWERABLE:
        raise refused(f"This dispute is {dispute['status']}: evidence can no longer be submitted.")
    _stage(dispute, params.sub("evidence"))
    if params.boolean("submit") is False:
        emit(call, "charge.dispute.updated", call.save(dispute))
        return dispute
    return _submit(call, dispute)


@routes.post("/v1/disputes/{id}/close", params="DisputeCloseParams")
def close(call: Call) -> Object:
    """Give up: there is no evidence, and the dispute is lost."""
    dispute = call.named("dispute")
    if "lost" not in disputing.MOVES[dispute["status"]]:
        raise refused(f"This dispute is {dispute['status']}: it cannot be closed.")
    return disputing.move(call, dispute, "lost")


def _stage(dispute: Object, evidence: Params) -> None:
    for name in evidence.values:
        if name not in dispute["evidence"]:
            raise unknown_parameter(evidence.name(name))
    given = {name: evidence.text(name) for name in evidence.values if name != "enhanced_evidence"}
    dispute["evidence"] = dispute["evidence"] | given
    dispute["evidence_details"]["has_evidence"] = any(dispute["evidence"].values())


def _submit(call: Call, dispute: Object) -> Object:
    dispute["evidence_details"]["submission_count"] += 1
    warned = dispute["status"] in disputing.INQUIRIES
    disputing.move(call, dispute, "warning_under_review" if warned else "under_review")
    decided = None if warned else DECIDING.get(dispute["evidence"]["uncategorized_text"] or "")
    return disputing.move(call, dispute, decided) if decided else dispute


routes.retrieve("/v1/disputes/{id}", "dispute", params="DisputeRetrieveParams")
routes.list("/v1/disputes", "dispute", params="DisputeListParams", filters=("charge", "payment_intent"))
