"""The saga's steps and the activities behind them are one list, told three times."""

import inspect
from typing import Any, get_type_hints

import pytest
from temporalio import activity

from activities.authorizations import AuthorizationActivities
from activities.bookings import BookingActivities
from activities.classes import ClassActivities
from activities.holds import HoldActivities
from activities.oversight import OversightActivities
from activities.payments import PaymentActivities
from activities.payouts import PayoutActivities
from activities.refunds import RefundActivities
from activities.relay import RelayActivities
from activities.settlements import SettlementActivities
from activities.wiring import Activities
from workflows import calls, steps
from workflows.contracts import Message

IMPLEMENTED: dict[type[Any], type[Any]] = {
    steps.BookingSteps: BookingActivities,
    steps.PaymentSteps: PaymentActivities,
    steps.AuthorizationSteps: AuthorizationActivities,
    steps.RefundSteps: RefundActivities,
    steps.HoldSteps: HoldActivities,
    steps.PayoutSteps: PayoutActivities,
    steps.SettlementSteps: SettlementActivities,
    steps.ClassSteps: ClassActivities,
    steps.OversightSteps: OversightActivities,
    steps.RelaySteps: RelayActivities,
}


def methods(protocol: type[Any]) -> dict[str, Any]:
    return {name: value for name, value in vars(protocol).items() if inspect.iscoroutinefunction(value)}


def name_of(method: Any) -> str | None:
    return activity._Definition.must_from_callable(method).name


EACH = [(protocol, name) for protocol in IMPLEMENTED for name in methods(protocol)]
each_step = pytest.mark.parametrize(("protocol", "name"), EACH, ids=[name for _, name in EACH])


def test_every_protocol_of_the_saga_is_implemented() -> None:
    declared = {
        value
        for value in vars(steps).values()
        if inspect.isclass(value) and value.__module__ == steps.__name__
    }
    assert declared == set(IMPLEMENTED)
    assert {name for _, name in EACH} >= {"reserve", "open_payment", "settle", "pay_out", "relay_inbox"}


@each_step
def test_a_step_is_implemented_under_its_name_with_its_messages(protocol: type[Any], name: str) -> None:
    declared, implemented = methods(protocol)[name], vars(IMPLEMENTED[protocol])[name]
    assert name_of(declared) == name_of(implemented) == name
    assert get_type_hints(declared) == get_type_hints(implemented)


@each_step
def test_a_steps_messages_are_frozen_models_of_the_contract(protocol: type[Any], name: str) -> None:
    hints = get_type_hints(methods(protocol)[name])
    answer = hints.pop("return")
    answers = getattr(answer, "__args__", (answer,))
    for message in (*hints.values(), *(kind for kind in answers if kind is not type(None))):
        assert issubclass(message, Message)
        assert message.model_config["frozen"]


def registered(activities: Activities) -> dict[str | None, str]:
    queues = {"bookings": activities.on_bookings_queue, "stripe": activities.on_stripe_queue}
    return {name_of(step): queue for queue, wired in queues.items() for step in wired}


def test_every_step_is_registered_once_on_the_queue_that_the_saga_calls_it_on(activities: Activities) -> None:
    wired = registered(activities)
    assert set(wired) == {name for _, name in EACH}
    assert len(activities.on_bookings_queue) + len(activities.on_stripe_queue) == len(EACH)
    for name, queue in wired.items():
        local = name in calls.LOCAL or name in {"relay_inbox", "close_class"}
        assert queue == ("bookings" if local else "stripe"), name
