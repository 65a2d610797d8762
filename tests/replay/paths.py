"""Every way a booking can go, each played to its end with the real activities in real time.

What each function plays is its name; `PATHS` is the corpus. Windows are seconds long, so that the
whole corpus is recorded in about a minute.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import stripe

from activities.stripe_gateway import StripeGateway
from models.database import Database
from models.keys import transfer_group_for
from models.states import BookingStatus, PayoutStatus, ReportedOutcome, Role
from tests.support.shop import Shop, open_shop
from tests.workflows.real import Control, Market, RealSaga, until
from workflows.contracts import Action, Refusal, Step
from workflows.search_attributes import ATTENTION_STEP

STARTED = timedelta(seconds=-1)
SOON = timedelta(hours=2)
LATER = timedelta(hours=48)
QUICK: Final[dict[str, Any]] = {"payout_hold": "PT0.5S"}
UNPAID: Final[dict[str, Any]] = {"payment_window": "PT1.5S"}

CAPTURE = "/v1/payment_intents/*/capture"
CANCEL = "/v1/payment_intents/*/cancel"
INTENTS = "/v1/payment_intents"
TRANSFERS = "/v1/transfers"


@dataclass(frozen=True)
class Scene:
    """Where paths are played."""

    market: Market
    control: Control
    database: Database
    gateway: StripeGateway

    async def shop(self, duration_minutes: int = 60, **policy: Any) -> Shop:
        return await open_shop(
            self.database, self.gateway, duration_minutes=duration_minutes, policy=QUICK | policy
        )

    async def begin(self, starts_in: timedelta = LATER, **policy: Any) -> RealSaga:
        """Started as the API does, and waiting for the client's payment."""
        shop = await self.shop(**policy)
        saga, opened = await self.market.open_at_once(shop, await self.market.request(shop, starts_in))
        assert opened.refusal is None
        return saga

    async def confirmed(self, starts_in: timedelta = LATER, **policy: Any) -> RealSaga:
        """Paid, and told by a webhook's signal alone."""
        saga = await self.begin(starts_in, **policy)
        await saga.pays()
        await saga.stripe_says()
        await becomes(saga, BookingStatus.CONFIRMED)
        return saga


async def becomes(saga: RealSaga, status: BookingStatus) -> None:
    async def there() -> bool:
        return (await saga.shop.booking(saga.booking_id)).status is status

    await until(there)
    await saga.quiet()


async def parks(saga: RealSaga, step: Step) -> None:
    await saga.shows(ATTENTION_STEP, value=step)
    await saga.quiet()


async def ends(saga: RealSaga, status: BookingStatus, reason: str | None = None) -> RealSaga:
    """The path went where its name says."""
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (status, reason), ended
    return saga


async def paid_out(saga: RealSaga) -> RealSaga:
    assert (await saga.shop.payout(saga.booking_id)).status is PayoutStatus.PAID
    return saga


# --- completed ----------------------------------------------------------------------------------


async def happy(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.complete()
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def charge_now(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, capture="on_payment")
    await saga.complete(Role.PROVIDER)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def auto_completed(scene: Scene) -> RealSaga:
    """A minute's session that is nearly over, and a second's grace."""
    saga = await scene.confirmed(timedelta(seconds=-58), duration_minutes=1, completion_grace="PT1S")
    return await paid_out(await ends(saga, BookingStatus.COMPLETED, "auto_completed"))


async def confirmation_asked_for(scene: Scene) -> RealSaga:
    saga = await scene.begin(STARTED)
    assert (await saga.confirm()).status is BookingStatus.PENDING
    await saga.pays()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def declined_then_paid(scene: Scene) -> RealSaga:
    saga = await scene.begin(STARTED)
    try:
        await saga.pays("pm_card_chargeDeclined")
    except stripe.CardError:
        await saga.stripe_says("evt_payment_failed")
        await saga.quiet()
    await saga.pays()
    await saga.stripe_says("evt_amount_capturable")
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def early_signal(scene: Scene) -> RealSaga:
    """Stripe is faster than our own first step."""
    shop = await scene.shop()
    saga = await scene.market.start(shop, STARTED)
    await saga.stripe_says("evt_early")
    await saga.opened()
    await saga.pays()
    await saga.stripe_says()
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def wish_left_behind(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.leaves_a_wish(ReportedOutcome.COMPLETED)
    return await ends(saga, BookingStatus.COMPLETED)


# --- the payment window -------------------------------------------------------------------------


async def payment_timeout(scene: Scene) -> RealSaga:
    return await ends(await scene.begin(**UNPAID), BookingStatus.CANCELLED, "payment_timeout")


async def payment_found_at_timeout(scene: Scene) -> RealSaga:
    """Every webhook was lost."""
    saga = await scene.begin(STARTED, **UNPAID)
    await saga.pays()
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def three_d_secure_in_the_extension(scene: Scene) -> RealSaga:
    saga = await scene.begin(STARTED, **UNPAID)
    await saga.pays("pm_card_authenticationRequired")

    async def extended() -> bool:
        return (await saga.shop.booking(saga.booking_id)).grace_used

    await until(extended)
    path = f"/payment_intents/{await saga.intent_id()}/authenticate"
    await scene.control.ask("POST", path, outcome="success")
    await saga.stripe_says()
    await becomes(saga, BookingStatus.CONFIRMED)
    await saga.complete()
    return await ends(saga, BookingStatus.COMPLETED)


async def strict_refusal(scene: Scene) -> RealSaga:
    saga = await scene.begin(strict_payment_failure=True)
    try:
        await saga.pays("pm_card_chargeDeclined")
    except stripe.CardError:
        await saga.stripe_says()
    return await ends(saga, BookingStatus.CANCELLED, "payment_failed")


async def payment_unavailable(scene: Scene) -> RealSaga:
    """Stripe will not open the payment: the seat is let go with the window."""
    await scene.control.refuses(INTENTS, times=-1)
    saga = await scene.market.start(await scene.shop(**UNPAID), LATER)
    return await ends(saga, BookingStatus.CANCELLED, "payment_unavailable")


async def authorization_expired(scene: Scene) -> RealSaga:
    saga = await scene.confirmed()
    await saga.sdk.v1.payment_intents.cancel_async(await saga.intent_id())
    await saga.stripe_says("evt_canceled")
    return await ends(saga, BookingStatus.CANCELLED, "authorization_expired")


# --- cancelled ----------------------------------------------------------------------------------


async def cancelled_before_payment(scene: Scene) -> RealSaga:
    saga = await scene.begin()
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


async def cancelled_after_payment(scene: Scene) -> RealSaga:
    saga = await scene.confirmed()
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


async def cancelled_after_charge(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(capture="on_payment")
    await saga.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_client")


async def cancelled_by_provider(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(SOON)
    await saga.cancel(Role.PROVIDER)
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_provider")


async def forfeit(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(SOON)
    await saga.cancel()
    return await paid_out(await ends(saga, BookingStatus.FORFEIT, "cancelled_by_client"))


async def temporal_cancel(scene: Scene) -> RealSaga:
    saga = await scene.confirmed()
    await saga.handle.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_ops")


async def temporal_cancel_before_payment(scene: Scene) -> RealSaga:
    saga = await scene.begin()
    await saga.handle.cancel()
    return await ends(saga, BookingStatus.CANCELLED, "cancelled_by_ops")


async def temporal_cancel_after_outcome(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, payout_hold="PT1S")
    await saga.complete()
    await saga.handle.cancel()
    await saga.shows(ATTENTION_STEP, value="cancellation")
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def refused(scene: Scene) -> RealSaga:
    """Somebody else has the seat."""
    first = await scene.begin()
    taken = (await first.shop.session_of(first.booking_id)).starts_at
    request = (await scene.market.request(first.shop)).model_copy(update={"starts_at": taken})
    saga, opened = await scene.market.open_at_once(first.shop, request)
    assert opened.refusal is Refusal.SLOT_TAKEN
    await saga.ends()
    await first.cancel()
    await first.ends()
    return saga


# --- parked -------------------------------------------------------------------------------------


async def parked_retry(scene: Scene) -> RealSaga:
    await scene.control.refuses(CAPTURE)
    saga = await scene.confirmed(STARTED)
    await saga.complete()
    await parks(saga, Step.SETTLE)
    await saga.resolve(Step.SETTLE, Action.RETRY)
    return await paid_out(await ends(saga, BookingStatus.COMPLETED))


async def parked_signalled(scene: Scene) -> RealSaga:
    """The provider cannot be paid, then it can, and a batch wakes what waits."""
    saga = await scene.confirmed(STARTED)
    account = f"/accounts/{saga.shop.account_id}"
    await scene.control.ask("POST", account, transfers="inactive")
    await saga.complete()
    await parks(saga, Step.PAY_OUT)
    await scene.control.ask("POST", account, transfers="active")
    await saga.handle.signal("retry")
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


# --- runs that carry on -------------------------------------------------------------------------


async def reset_after_capture(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED, payout_hold="PT1.5S")
    await saga.complete()
    return await paid_out(await ends(await saga.reset(), BookingStatus.COMPLETED))


async def reset_after_transfer(scene: Scene) -> RealSaga:
    saga = await happy(scene)
    return await paid_out(await ends(await saga.reset(), BookingStatus.COMPLETED))


async def terminated_and_started_again(scene: Scene) -> RealSaga:
    saga = await scene.confirmed(STARTED)
    await saga.terminated()
    booking = await saga.shop.booking(saga.booking_id)
    request = saga.shop.request(booking_id=saga.booking_id).model_copy(
        update={"starts_at": (await saga.shop.session_of(booking.id)).starts_at}
    )
    again = await scene.market.begin(saga.shop, request)
    await again.opened()
    await again.complete()
    return await paid_out(await ends(again, BookingStatus.COMPLETED))


Path = Callable[[Scene], Awaitable[RealSaga]]

PATHS: Final[tuple[Path, ...]] = (
    happy,
    charge_now,
    auto_completed,
    confirmation_asked_for,
    declined_then_paid,
    early_signal,
    wish_left_behind,
    payment_timeout,
    payment_found_at_timeout,
    three_d_secure_in_the_extension,
    strict_refusal,
    payment_unavailable,
    authorization_expired,
    cancelled_before_payment,
    cancelled_after_payment,
    cancelled_after_charge,
    cancelled_by_provider,
    forfeit,
    temporal_cancel,
    temporal_cancel_before_payment,
    temporal_cancel_after_outcome,
    refused,
    parked_retry,
    parked_signalled,
    parked_adopt,
    parked_abort,
    parked_undo,
    reset_after_capture,
    reset_after_transfer,
    terminated_and_started_again,
)
