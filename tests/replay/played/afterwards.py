"""What comes after a booking's end: aftercare, payments without a booking, and classes."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from models.bookings import Session
from models.catalogue import Provider
from models.keys import class_workflow_id_for, settlement_id_for, stray_id_for
from models.states import BookingStatus, PayoutStatus, ReportedOutcome, Role, SessionStatus
from tests.replay.scene import (
    AT_ONCE,
    LATER,
    MOMENT,
    STARTED,
    THIRD,
    Path,
    Scene,
    bank_says,
    becomes,
    ends,
    paid_out,
    starts,
)
from tests.support.shop import Shop, open_shop
from tests.workflows.real import RealCare, RealSaga
from tests.workflows.talk import Talk, actor
from workflows.contracts import BOOKINGS_QUEUE
from workflows.followups import ClassBookings, ClassOrder, Settlement, Stray

UNPAID: Final[dict[str, Any]] = {"payment_window": "PT1S"}


# --- aftercare ----------------------------------------------------------------------------------


async def _over(scene: Scene, **policy: Any) -> RealSaga:
    """Paid out, with funds that the provider's account has at once."""
    saga = await scene.confirmed(STARTED, AT_ONCE, **policy)
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def _leaves(care: RealCare, saga: RealSaga, status: PayoutStatus) -> RealCare:
    left = await care.ends()
    assert left.payout_status is status, left
    await saga.balanced()
    return care


async def aftercare_refund_reversed(scene: Scene) -> RealCare:
    saga = await _over(scene)
    care = await saga.refunded_afterwards(THIRD)
    return await _leaves(care, saga, PayoutStatus.PARTIALLY_REVERSED)


async def aftercare_debt(scene: Scene) -> RealCare:
    saga = await _over(scene)
    await scene.control.ask("POST", f"/accounts/{saga.shop.account_id}", drain=True)
    care = await saga.refunded_afterwards(THIRD)
    return await _leaves(care, saga, PayoutStatus.PAID)


async def aftercare_dispute_lost(scene: Scene) -> RealCare:
    saga = await _over(scene)
    dispute = await saga.disputed(scene.control)
    await _leaves(await saga.money_moves_afterwards("evt_dispute"), saga, PayoutStatus.REVERSED)
    await scene.control.ask("POST", f"/disputes/{dispute}", status="lost")
    care = await saga.money_moves_afterwards("evt_dispute_closed")
    return await _leaves(care, saga, PayoutStatus.REVERSED)


async def aftercare_dispute_opened(scene: Scene) -> RealCare:
    saga = await _over(scene)
    await saga.disputed(scene.control)
    care = await saga.money_moves_afterwards("evt_dispute")
    return await _leaves(care, saga, PayoutStatus.REVERSED)


async def aftercare_dispute_won(scene: Scene) -> RealCare:
    saga = await _over(scene)
    dispute = await saga.disputed(scene.control)
    await _leaves(await saga.money_moves_afterwards("evt_dispute"), saga, PayoutStatus.REVERSED)
    await scene.control.ask("POST", f"/disputes/{dispute}", status="won")
    return await _leaves(await saga.money_moves_afterwards("evt_reinstated"), saga, PayoutStatus.PAID)


async def aftercare_payout_failed(scene: Scene) -> RealCare:
    """The provider's bank sends a payout back that it had taken; another one follows."""
    saga = await scene.confirmed(STARTED, AT_ONCE, payout_schedule="manual")
    await saga.complete()
    first = await bank_says(saga, "paid")
    await paid_out(await ends(saga, BookingStatus.COMPLETED))
    await scene.control.ask("POST", f"/payouts/{first}", status="failed")
    care = await saga.money_moves_afterwards("evt_payout_failed")
    await bank_says(saga, "paid", care, after=first)
    return await _leaves(care, saga, PayoutStatus.PAID)


# --- payments without a booking -----------------------------------------------------------------


async def settlement_retaken(scene: Scene) -> Talk:
    saga = await ends(await scene.begin(**UNPAID), BookingStatus.CANCELLED, "payment_timeout")
    stray = await saga.pays_all_the_same()
    settlement = await _settle(scene, stray)
    assert not (await settlement.handle.result()).given_back
    retaken = scene.market.saga(saga.shop, stray_id_for(stray))
    await becomes(retaken, BookingStatus.CONFIRMED)
    await retaken.cancel()
    await ends(retaken, BookingStatus.CANCELLED, "cancelled_by_client")
    return settlement


async def retaken(scene: Scene) -> Talk:
    """The booking that a late payment makes, as its own workflow has it."""
    saga = await ends(await scene.begin(**UNPAID), BookingStatus.CANCELLED, "payment_timeout")
    stray = await saga.pays_all_the_same()
    await (await _settle(scene, stray)).handle.result()
    booking = scene.market.saga(saga.shop, stray_id_for(stray))
    await becomes(booking, BookingStatus.CONFIRMED)
    await booking.cancel()
    return await ends(booking, BookingStatus.CANCELLED, "cancelled_by_client")


async def settlement_given_back(scene: Scene) -> Talk:
    saga = await scene.begin(late_payment="refund", **UNPAID)
    await ends(saga, BookingStatus.CANCELLED, "payment_timeout")
    settlement = await _settle(scene, await saga.pays_all_the_same())
    settled = await settlement.handle.result()
    assert settled.given_back, settled
    return settlement


async def _settle(scene: Scene, intent: str) -> Talk:
    handle = await scene.market.env.client.start_workflow(
        "Settlement",
        Stray(payment_intent_id=intent),
        id=settlement_id_for(intent),
        task_queue=BOOKINGS_QUEUE,
        result_type=Settlement,
    )
    return Talk(scene.market.env, handle)


# --- classes ------------------------------------------------------------------------------------


async def class_seat(scene: Scene) -> RealSaga:
    shop, session_id = await _class(scene, 2 * MOMENT)
    saga = await _seat(scene, shop, session_id)
    await starts(saga)
    await saga.complete(Role.PROVIDER)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def class_called_off(scene: Scene) -> Talk:
    shop, session_id = await _class(scene, LATER)
    saga = await _seat(scene, shop, session_id)
    order = ClassOrder(session_id=session_id, kind=ReportedOutcome.CANCELLED, actor=actor(Role.PROVIDER))
    handle = await scene.market.env.client.start_workflow(
        "Class",
        order,
        id=class_workflow_id_for(session_id),
        task_queue=BOOKINGS_QUEUE,
        result_type=ClassBookings,
    )
    await ends(saga, BookingStatus.CANCELLED, "cancelled_by_provider")
    told: ClassBookings = await handle.result()
    assert told.booking_ids == (saga.booking_id,)
    return Talk(scene.market.env, handle)


async def _class(scene: Scene, starts_in: timedelta) -> tuple[Shop, UUID]:
    """A class with two seats, as the API puts one up."""
    shop = await open_shop(scene.database, scene.gateway, capacity=2, policy={"payout_hold": "PT0.5S"})
    starts_at = shop.request(starts_in).starts_at

    async def work(session: AsyncSession) -> UUID:
        provider = await session.get_one(Provider, shop.provider_id)
        block = Session(
            id=uuid4(),
            provider_id=provider.id,
            provider_no=provider.provider_no,
            service_id=shop.service_id,
            status=SessionStatus.SCHEDULED,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=1),
            capacity=2,
        )
        session.add(block)
        await session.flush()
        return block.id

    return shop, await scene.database.run(work)


async def _seat(scene: Scene, shop: Shop, session_id: UUID) -> RealSaga:
    block = await scene.database.run(lambda session: session.get_one(Session, session_id))
    wanted = shop.request().model_copy(update={"starts_at": block.starts_at, "session_id": session_id})
    saga, opened = await scene.market.open_at_once(shop, await shop.asked(wanted))
    assert opened.refusal is None
    await saga.pays()
    await saga.stripe_says()
    await becomes(saga, BookingStatus.CONFIRMED)
    return saga


PATHS: Final[tuple[Path, ...]] = (
    aftercare_refund_reversed,
    aftercare_debt,
    aftercare_dispute_opened,
    aftercare_dispute_lost,
    aftercare_dispute_won,
    aftercare_payout_failed,
    settlement_retaken,
    retaken,
    settlement_given_back,
    class_seat,
    class_called_off,
)
