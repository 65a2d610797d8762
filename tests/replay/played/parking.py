"""Steps that fail park, and what ops, batches and time make of that."""

from typing import Any, Final

from models.keys import transfer_group_for
from models.states import BookingStatus
from tests.replay.scene import (
    CANCEL,
    CAPTURE,
    STARTED,
    TRANSFERS,
    Path,
    Scene,
    ends,
    paid_out,
    parks,
)
from tests.workflows.real import RealSaga
from workflows.parking import Action, Step


async def parked_retry(scene: Scene) -> RealSaga:
    await scene.control.refuses(CAPTURE)
    saga = await scene.confirmed(STARTED)
    await saga.complete()
    await parks(saga, Step.SETTLE)
    await saga.resolve(Step.SETTLE, Action.RETRY)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def parked_signalled(scene: Scene) -> RealSaga:
    """Stripe does not take the transfer, then it does, and a batch wakes what waits."""
    await scene.control.refuses(TRANSFERS)
    saga = await scene.confirmed(STARTED)
    await saga.complete()
    await parks(saga, Step.PAY_OUT)
    await saga.retry()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def parked_adopt(scene: Scene) -> RealSaga:
    """Ops transferred by hand."""
    await scene.control.refuses(TRANSFERS)
    saga = await scene.confirmed(STARTED)
    await saga.complete()
    await parks(saga, Step.PAY_OUT)
    charge = (await saga.shop.payment(saga.booking_id)).charge_id
    params: Any = {
        "amount": (await saga.shop.payout(saga.booking_id)).amount,
        "currency": "eur",
        "destination": saga.shop.account_id,
        "source_transaction": charge,
        "transfer_group": transfer_group_for(saga.booking_id),
    }
    made = await saga.sdk.v1.transfers.create_async(params)
    await saga.resolve(Step.PAY_OUT, Action.ADOPT, made.id)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def parked_abort(scene: Scene) -> RealSaga:
    await scene.control.refuses(CAPTURE)
    saga = await scene.confirmed(STARTED)
    await saga.complete()
    await parks(saga, Step.SETTLE)
    await saga.resolve(Step.SETTLE, Action.ABORT)
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_ops")


async def parked_undo(scene: Scene) -> RealSaga:
    saga = await scene.begin()
    await scene.control.refuses(CANCEL)
    await saga.asks_to_cancel()
    await parks(saga, Step.GIVE_BACK)
    await saga.resolve(Step.GIVE_BACK, Action.RETRY)
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


PATHS: Final[tuple[Path, ...]] = (
    parked_retry,
    parked_signalled,
    parked_adopt,
    parked_abort,
    parked_undo,
)
