"""The hold and the payout: refunds, disputes, objections, ops, and banks that refuse."""

from datetime import UTC, datetime, timedelta
from typing import Final

from models.states import BookingStatus, PaymentStatus, PayoutStatus, RefundStatus
from tests.replay.scene import (
    AT_ONCE,
    STARTED,
    THIRD,
    Path,
    Scene,
    bank_has,
    bank_says,
    ends,
    paid_out,
    parks,
    payment_becomes,
    payout_becomes,
)
from tests.workflows.real import RealSaga
from workflows.parking import Action, Step

MANUAL: Final = "manual"


# --- refunds ------------------------------------------------------------------------------------


async def refund_in_hold(scene: Scene) -> RealSaga:
    saga = await scene.held()
    await saga.refund(THIRD)
    return await _released(saga)


async def refund_whole_in_hold(scene: Scene) -> RealSaga:
    saga = await scene.held()
    await saga.refund()
    assert (await saga.shop.payout(saga.booking_id)).status is PayoutStatus.CANCELLED
    return await ends(saga, BookingStatus.COMPLETED)


async def refund_in_dashboard(scene: Scene) -> RealSaga:
    saga = await scene.held()
    await saga.sdk.v1.refunds.create_async({"payment_intent": await saga.intent_id(), "amount": THIRD})
    await saga.money_moves("evt_refund")
    await payment_becomes(saga, PaymentStatus.PARTIALLY_REFUNDED)
    return await _released(saga)


async def refund_failed_late(scene: Scene) -> RealSaga:
    saga = await scene.held()
    await saga.refund(THIRD)
    refund = await saga.latest_refund()
    assert refund.status is RefundStatus.SUCCEEDED
    await scene.control.ask("POST", f"/refunds/{refund.refund_id}", status="failed")
    await saga.money_moves("evt_refund_failed")
    await payment_becomes(saga, PaymentStatus.CAPTURED)
    return await _released(saga)


async def _released(saga: RealSaga) -> RealSaga:
    await saga.pay_now()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


# --- disputes and objections --------------------------------------------------------------------


async def dispute_won_in_hold(scene: Scene) -> RealSaga:
    saga = await _disputed(scene, "won")
    await payout_becomes(saga, PayoutStatus.HELD)
    await saga.quiet()
    return await _released(saga)


async def dispute_lost_in_hold(scene: Scene) -> RealSaga:
    saga = await _disputed(scene, "lost")
    await ends(saga, BookingStatus.COMPLETED)
    assert (await saga.shop.payout(saga.booking_id)).status is PayoutStatus.CANCELLED
    return saga


async def _disputed(scene: Scene, verdict: str) -> RealSaga:
    saga = await scene.held()
    dispute = await saga.disputed(scene.control)
    await saga.money_moves("evt_dispute")
    await payout_becomes(saga, PayoutStatus.FROZEN)
    await saga.quiet()
    await scene.control.ask("POST", f"/disputes/{dispute}", status=verdict)
    await saga.money_moves("evt_dispute_closed")
    return saga


async def objection_released(scene: Scene) -> RealSaga:
    saga = await _contested(scene)
    await saga.resolve(Step.OBJECTION, Action.RELEASE)
    return await _let_go(saga)


async def objection_refunded(scene: Scene) -> RealSaga:
    saga = await _contested(scene)
    await saga.resolve(Step.OBJECTION, Action.REFUND, amount=THIRD)
    return await _let_go(saga)


async def _contested(scene: Scene) -> RealSaga:
    saga = await scene.held()
    await saga.objects()
    await parks(saga, Step.OBJECTION)
    return saga


async def _let_go(saga: RealSaga) -> RealSaga:
    await payout_becomes(saga, PayoutStatus.HELD)
    await saga.quiet()
    return await _released(saga)


# --- ops ----------------------------------------------------------------------------------------


async def hold_extended(scene: Scene) -> RealSaga:
    saga = await scene.held()
    await saga.hold_until(datetime.now(UTC) + timedelta(days=2))
    return await _released(saga)


async def hold_released(scene: Scene) -> RealSaga:
    return await _released(await scene.held())


# --- the payout ---------------------------------------------------------------------------------


async def blocked_then_paid(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await _blocked(scene, saga)
    await scene.control.ask("POST", f"/accounts/{saga.shop.account_id}", transfers="active")
    await saga.account_changes()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def blocked_beyond_patience(scene: Scene) -> RealSaga:
    """Ops are asked, see to it, and try again."""
    saga = await scene.confirmed(STARTED, payout_patience="PT0.5S")
    await _blocked(scene, saga)
    await parks(saga, Step.PAY_OUT)
    await scene.control.ask("POST", f"/accounts/{saga.shop.account_id}", transfers="active")
    await saga.resolve(Step.PAY_OUT, Action.RETRY)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def _blocked(scene: Scene, saga: RealSaga) -> None:
    await scene.control.ask("POST", f"/accounts/{saga.shop.account_id}", transfers="inactive")
    await saga.complete()
    await payout_becomes(saga, PayoutStatus.BLOCKED)
    await saga.quiet()


async def manual_payout(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, AT_ONCE, payout_schedule=MANUAL)
    await saga.complete()
    await bank_says(saga, "paid")
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def manual_payout_failed_first(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, AT_ONCE, payout_schedule=MANUAL)
    account = f"/accounts/{saga.shop.account_id}"
    await scene.control.ask("POST", account, payouts_fail="account_closed")
    await saga.complete()
    failed = await bank_has(saga, "failed")
    await scene.control.ask("POST", account, payouts_fail=None)
    await saga.money_moves("evt_payout_failed")
    await bank_says(saga, "paid", after=failed)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


PATHS: Final[tuple[Path, ...]] = (
    refund_in_hold,
    refund_whole_in_hold,
    refund_in_dashboard,
    refund_failed_late,
    dispute_won_in_hold,
    dispute_lost_in_hold,
    objection_released,
    objection_refunded,
    hold_extended,
    hold_released,
    blocked_then_paid,
    blocked_beyond_patience,
    manual_payout,
    manual_payout_failed_first,
)
