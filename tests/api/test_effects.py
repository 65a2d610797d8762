"""When what is asked is in effect already."""

from datetime import timedelta
from uuid import UUID

import pytest
from temporalio import workflow

from api import effects
from api.effects import Action
from api.queries import BookingRecord
from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, Role
from tests.api.calls import Json
from tests.api.rows import NOW, caller, payout, record
from workflows.booking import BookingWorkflow
from workflows.orders import HoldAction

HOUR = timedelta(hours=1)
CLIENT_MISSING = effects.no_show(ReportedOutcome.CLIENT_NO_SHOW)
PROVIDER_MISSING = effects.no_show(ReportedOutcome.PROVIDER_NO_SHOW)
SAYS_PROVIDER_MISSING: Json = {
    "claimed_outcome": ReportedOutcome.PROVIDER_NO_SHOW,
    "claimed_by_role": Role.CLIENT,
}
CONTRADICTED: Json = SAYS_PROVIDER_MISSING | {
    "contradicted_outcome": ReportedOutcome.COMPLETED,
    "contradicted_by_role": Role.PROVIDER,
}
ENDED: Json = {"reported_outcome": ReportedOutcome.PROVIDER_NO_SHOW}
HELD = record(BookingStatus.COMPLETED, PaymentStatus.CAPTURED, payout())
CONTESTED = record(
    BookingStatus.COMPLETED,
    PaymentStatus.CAPTURED,
    payout(PayoutStatus.FROZEN, objected_at=NOW),
    reported_outcome=ReportedOutcome.COMPLETED,
)
PAID = record(BookingStatus.COMPLETED, PaymentStatus.CAPTURED, payout(PayoutStatus.PAID))
GONE = record(BookingStatus.CANCELLED, PaymentStatus.CAPTURED, payout(PayoutStatus.CANCELLED))
APPROVED = record(approval_due_at=NOW)
THERE = record().session.starts_at

ASKED: list[tuple[Action, BookingRecord, Role, str]] = [
    (effects.CANCEL, record(BookingStatus.CANCELLED), Role.CLIENT, "already"),
    (effects.CANCEL, record(BookingStatus.FORFEIT), Role.CLIENT, "already"),
    (effects.CANCEL, record(), Role.CLIENT, "not yet"),
    (effects.COMPLETE, record(BookingStatus.COMPLETED), Role.CLIENT, "already"),
    (effects.COMPLETE, record(reported_outcome=ReportedOutcome.COMPLETED), Role.CLIENT, "not yet"),
    (effects.COMPLETE, record(**CONTRADICTED), Role.PROVIDER, "already"),
    (effects.COMPLETE, record(**CONTRADICTED), Role.OPS, "not yet"),
    (effects.APPROVE, APPROVED, Role.PROVIDER, "already"),
    (effects.APPROVE, record(), Role.PROVIDER, "not yet"),
    (effects.APPROVE, record(BookingStatus.AWAITING_APPROVAL, approval_due_at=NOW), Role.PROVIDER, "not yet"),
    (effects.APPROVE, record(BookingStatus.REJECTED, approval_due_at=NOW), Role.PROVIDER, "not yet"),
    (effects.REJECT, record(BookingStatus.REJECTED), Role.PROVIDER, "already"),
    (effects.REJECT, APPROVED, Role.PROVIDER, "not yet"),
    (PROVIDER_MISSING, record(**SAYS_PROVIDER_MISSING), Role.CLIENT, "already"),
    (PROVIDER_MISSING, record(**SAYS_PROVIDER_MISSING), Role.OPS, "not yet"),
    (CLIENT_MISSING, record(**SAYS_PROVIDER_MISSING), Role.PROVIDER, "not yet"),
    (PROVIDER_MISSING, record(**ENDED), Role.CLIENT, "not yet"),
    (PROVIDER_MISSING, record(BookingStatus.CANCELLED, **ENDED), Role.CLIENT, "already"),
    (CLIENT_MISSING, record(BookingStatus.CANCELLED, **ENDED), Role.PROVIDER, "not yet"),
    (PROVIDER_MISSING, CONTESTED, Role.CLIENT, "already"),
    (PROVIDER_MISSING, CONTESTED, Role.OPS, "not yet"),
    (effects.reschedule(THERE, None), record(), Role.CLIENT, "already"),
    (effects.reschedule(THERE, UUID(int=3)), record(), Role.CLIENT, "already"),
    (effects.reschedule(THERE, UUID(int=9)), record(), Role.CLIENT, "not yet"),
    (effects.reschedule(THERE + HOUR, None), record(), Role.CLIENT, "not yet"),
    (effects.reschedule(THERE, None), record(BookingStatus.CANCELLED), Role.CLIENT, "not yet"),
    (effects.OBJECT, CONTESTED, Role.CLIENT, "already"),
    (effects.OBJECT, HELD, Role.CLIENT, "not yet"),
    (effects.OBJECT, record(), Role.CLIENT, "not yet"),
    (effects.hold(HoldAction.RELEASE, None), HELD, Role.OPS, "not yet"),
    (effects.hold(HoldAction.RELEASE, None), PAID, Role.OPS, "already"),
    (effects.hold(HoldAction.RELEASE, None), GONE, Role.OPS, "not yet"),
    (effects.hold(HoldAction.EXTEND, NOW + 72 * HOUR), HELD, Role.OPS, "already"),
    (effects.hold(HoldAction.EXTEND, NOW + 73 * HOUR), HELD, Role.OPS, "not yet"),
    (effects.hold(HoldAction.EXTEND, NOW + 72 * HOUR), CONTESTED, Role.OPS, "not yet"),
    (effects.hold(HoldAction.EXTEND, NOW), record(), Role.OPS, "not yet"),
    (effects.RESOLVE, HELD, Role.OPS, "not yet"),
    (effects.refund("r"), PAID, Role.OPS, "not yet"),
]


@pytest.mark.parametrize(("action", "found", "role", "expected"), ASKED, ids=range(len(ASKED)))
def test_what_is_in_effect_is_not_asked_again(
    action: Action, found: BookingRecord, role: Role, expected: str
) -> None:
    assert action.in_effect(found, caller(role)) is (expected == "already")


def test_every_action_is_an_update_of_the_workflow() -> None:
    updates = workflow._Definition.must_from_class(BookingWorkflow).updates
    assert {action.name for action, _, _, _ in ASKED} <= set(updates)


def test_different_requests_under_one_key_are_different_updates() -> None:
    routes = [action.route for action in (CLIENT_MISSING, PROVIDER_MISSING, effects.CANCEL, effects.COMPLETE)]
    routes += [effects.reschedule(THERE, None).route, effects.reschedule(THERE + HOUR, None).route]
    assert len(set(routes)) == len(routes)
