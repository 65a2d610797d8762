"""Leading a played booking to each of its steps, made to fail, until it is parked there."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from models.states import ReportedOutcome, Role
from tests.workflows.saga import PlayedSaga, Sagas
from tests.workflows.talk import OPS, actor
from workflows.orders import HoldAction, HoldOrder, NoShow, Objection, RefundOrder, Reschedule
from workflows.parking import Step

Lead = Callable[[PlayedSaga], Awaitable[None]]

FAR_OFF: Final[dict[str, Any]] = {"starts_in": timedelta(days=20)}
POLICIES: Final[dict[Step, dict[str, Any]]] = {
    Step.ASK_APPROVAL: {"approval": "provider"},
    Step.AUTHORIZE: FAR_OFF,
    Step.SEND_TO_BANK: {"payout_schedule": "manual"},
}
"""What a booking needs to come to a step, where the default does not lead there."""


async def to_nothing(_: PlayedSaga) -> None:
    """It happens by itself."""


async def to_payment(saga: PlayedSaga) -> None:
    await saga.paid()


async def to_window_end(saga: PlayedSaga) -> None:
    await saga.opened()
    await saga.passes_until(saga.world.booking.expires_at)


async def to_authorization(saga: PlayedSaga) -> None:
    await saga.confirmed("setup")
    assert saga.world.booking.authorize_at is not None
    await saga.passes_until(saga.world.booking.authorize_at)


async def to_renewal(saga: PlayedSaga) -> None:
    saga.world.authorized_for = timedelta(hours=40)
    await saga.confirmed()
    assert saga.world.booking.renew_at is not None
    await saga.passes_until(saga.world.booking.renew_at)


async def to_another_time(saga: PlayedSaga) -> None:
    await saga.confirmed()
    later = saga.world.starts_at + timedelta(days=30)
    await saga.asks("reschedule", Reschedule(actor=actor(Role.CLIENT), starts_at=later))


async def to_claim(saga: PlayedSaga) -> None:
    await saga.begun()
    await saga.asks("no_show", NoShow(kind=ReportedOutcome.PROVIDER_NO_SHOW, actor=actor(Role.CLIENT)))


async def to_settlement(saga: PlayedSaga) -> None:
    await saga.begun()
    await saga.asks_to_complete()


async def to_news_of_money(saga: PlayedSaga) -> None:
    await saga.held()
    await saga.money_moves()


async def to_refund(saga: PlayedSaga) -> None:
    await saga.held()
    await saga.asks("refund", RefundOrder(actor=OPS, request_id="r", amount=1000))


async def to_refund_after_transfer(saga: PlayedSaga) -> None:
    """Ordered while the transfer is made."""
    await saga.held()
    gate = saga.world.stops_in("pay_out")
    await saga.passes_until(saga.world.payout_due_at)
    await gate.entered.wait()
    await saga.asks("refund", RefundOrder(actor=OPS, request_id="r", amount=1000))
    gate.opened.set()


async def to_objection(saga: PlayedSaga) -> None:
    await saga.held()
    await saga.asks("object", Objection(actor=actor(Role.CLIENT)))


async def to_hold(saga: PlayedSaga) -> None:
    await saga.held()
    await saga.asks("hold", HoldOrder(actor=OPS, action=HoldAction.RELEASE, reason="seen"))


async def to_payout(saga: PlayedSaga) -> None:
    saga.world.outside.arrives = "paid"
    await saga.held()
    await saga.passes_until(saga.world.payout_due_at)


async def to_cancellation(saga: PlayedSaga) -> None:
    await saga.opened()
    await saga.asks_to_cancel()


LEADS: Final[dict[Step, Lead]] = {
    Step.RESERVE: to_nothing,
    Step.OPEN_PAYMENT: to_nothing,
    Step.READ_PAYMENT: to_payment,
    Step.CLOSE_PAYMENT: to_window_end,
    Step.ASK_APPROVAL: to_payment,
    Step.CONFIRM: to_payment,
    Step.AUTHORIZE: to_authorization,
    Step.RENEW: to_renewal,
    Step.RESCHEDULE: to_another_time,
    Step.REPLAN: to_another_time,
    Step.REPORT: to_claim,
    Step.SETTLE: to_settlement,
    Step.MIRROR: to_news_of_money,
    Step.REFUND: to_refund,
    Step.REBALANCE: to_refund_after_transfer,
    Step.CONTEST: to_objection,
    Step.CHANGE_HOLD: to_hold,
    Step.PAY_OUT: to_payout,
    Step.SEND_TO_BANK: to_payout,
    Step.GIVE_BACK: to_cancellation,
    Step.RELEASE: to_cancellation,
}
"""Every step of a booking's workflow that can fail; the questions and the stray payments are elsewhere."""


async def parked(saga: PlayedSaga, step: Step) -> None:
    """Lead the booking to `step`, which has been made to fail, and wait until it is parked."""
    await LEADS[step](saga)
    await saga.world.reached(f"attention {step}")


async def failing(sagas: Sagas, step: Step, times: int = 1) -> PlayedSaga:
    """A booking whose `step` is parked."""
    world = await sagas.world(**POLICIES.get(step, {}))
    world.fails(step, times=times)
    saga = await sagas.begin(world)
    await parked(saga, step)
    return saga
