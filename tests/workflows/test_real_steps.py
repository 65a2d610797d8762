"""The same story with the real activities, Postgres and the sandbox's Stripe, under time skipping."""

from datetime import timedelta

import pytest
import stripe

from activities.stripe_gateway import StripeGateway
from models.bookings import BookingRequest
from models.database import Database
from models.keys import workflow_id_for
from models.states import BookingStatus, PaymentStatus, PayoutStatus, Role, SessionStatus
from sandbox.stripe.server import Running as StripeSandbox
from tests.support.shop import Shop, open_shop
from tests.workflows.real import Control, Market, RealSaga, until
from workflows.contracts import Refusal


@pytest.fixture
async def shop(database: Database, hasty_gateway: StripeGateway) -> Shop:
    return await open_shop(database, hasty_gateway)


@pytest.fixture
def control(hasty_stripe: StripeSandbox) -> Control:
    return Control(hasty_stripe)


async def test_a_booking_is_paid_held_and_paid_out(market: Market, shop: Shop) -> None:
    saga = await market.start(shop)
    await saga.held()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    await saga.settled(captured=12_000, transfers=(9600,))
    payout = await shop.payout(saga.booking_id)
    booking = await shop.booking(saga.booking_id)
    assert payout.status is PayoutStatus.PAID
    assert booking.outcome_at is not None
    assert payout.due_at == booking.outcome_at + timedelta(hours=72)
    assert (await shop.session_of(saga.booking_id)).status is SessionStatus.COMPLETED


async def test_money_taken_at_once_is_held_the_same_way(
    market: Market, database: Database, hasty_gateway: StripeGateway
) -> None:
    shop = await open_shop(database, hasty_gateway, policy={"capture": "on_payment"})
    saga = await market.start(shop)
    await saga.confirmed()
    assert (await saga.money()).captured == 12_000
    assert (await saga.ends()).reason == "auto_completed"
    await saga.settled(captured=12_000, transfers=(9600,))


async def test_money_taken_at_once_is_refunded_when_the_provider_cancels(
    market: Market, database: Database, hasty_gateway: StripeGateway
) -> None:
    shop = await open_shop(database, hasty_gateway, policy={"capture": "on_payment"})
    saga = await market.start(shop)
    await saga.confirmed()
    assert (await saga.cancel(Role.PROVIDER)).status is BookingStatus.CANCELLED
    assert (await saga.ends()).reason == "cancelled_by_provider"
    await saga.settled(captured=12_000, refunded=12_000)
    assert (await shop.payment(saga.booking_id)).status is PaymentStatus.REFUNDED


async def test_an_unpaid_seat_can_be_taken_by_somebody_else_after_the_window(
    market: Market, shop: Shop
) -> None:
    saga = await market.start(shop)
    await saga.opened()
    rival = await market.request(shop)
    rival = rival.model_copy(update={"starts_at": (await shop.session_of(saga.booking_id)).starts_at})
    refused = await (await market.begin(shop, rival)).ends()
    assert refused.refusal is Refusal.SLOT_TAKEN
    assert (await saga.ends()).reason == "payment_timeout"
    assert (await saga.money()).status == "canceled"
    again = rival.model_copy(update={"booking_id": (await market.request(shop)).booking_id})
    second = await market.begin(shop, again)
    assert (await second.opened()).refusal is None
    await second.cancel()
    await second.ends()


async def test_a_client_who_cancels_in_time_pays_nothing(market: Market, shop: Shop) -> None:
    saga = await market.start(shop)
    await saga.confirmed()
    assert (await saga.cancel()).status is BookingStatus.CANCELLED
    await saga.ends()
    await saga.settled(captured=0)
    assert (await saga.money()).status == "canceled"


async def test_a_client_who_cancels_late_forfeits_half_and_the_provider_gets_its_share(
    market: Market, shop: Shop
) -> None:
    saga = await market.start(shop)
    await saga.confirmed()
    await saga.passes(timedelta(hours=43))
    assert (await saga.cancel()).status is BookingStatus.FORFEIT
    assert (await saga.ends()).status is BookingStatus.FORFEIT
    await saga.settled(captured=6000, transfers=(4800,))


async def test_a_declined_card_keeps_the_seat_and_the_next_card_pays(market: Market, shop: Shop) -> None:
    saga = await market.start(shop)
    await saga.opened()
    with pytest.raises(stripe.CardError):
        await saga.pays("pm_card_chargeDeclined")
    assert (await saga.confirm()).status is BookingStatus.PENDING
    await saga.pays()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.ends()
    await saga.settled(captured=12_000, transfers=(9600,))


async def test_a_strict_policy_takes_the_first_refusal_for_an_answer(
    market: Market, database: Database, hasty_gateway: StripeGateway
) -> None:
    shop = await open_shop(database, hasty_gateway, policy={"strict_payment_failure": True})
    saga = await market.start(shop)
    await saga.opened()
    with pytest.raises(stripe.CardError):
        await saga.pays("pm_card_chargeDeclined")
    assert (await saga.confirm()).status is BookingStatus.CANCELLED
    assert (await saga.ends()).reason == "payment_failed"
    await saga.settled(captured=0)


@pytest.mark.fault("W1")
async def test_a_kept_card_that_is_refused_can_be_repaired_however_strict_the_policy(
    market: Market, database: Database, hasty_gateway: StripeGateway
) -> None:
    shop = await open_shop(database, hasty_gateway, policy={"strict_payment_failure": True})
    saga = await market.start(shop, timedelta(days=30))
    await saga.confirmed("pm_card_chargeCustomerFail")
    authorize_at = (await shop.payment(saga.booking_id)).authorize_at
    assert authorize_at is not None
    await saga.passes_until(authorize_at)

    async def refused() -> bool:
        return (await shop.payment(saga.booking_id)).fix_by is not None

    await until(refused)
    await saga.stripe_says("payment_intent.payment_failed")
    await saga.quiet()
    await saga.pays()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.ends()
    await saga.settled(captured=12_000, transfers=(9600,))


async def test_three_d_secure_at_the_last_minute_gets_its_extension_and_wins(
    market: Market, shop: Shop, control: Control
) -> None:
    saga = await market.start(shop)
    await saga.opened()
    assert (await saga.pays("pm_card_authenticationRequired")).status == "requires_action"
    await saga.passes_until((await shop.booking(saga.booking_id)).expires_at)

    async def extended() -> bool:
        return (await shop.booking(saga.booking_id)).grace_used

    await until(extended)
    intent_id = await saga.intent_id()
    await control.ask("POST", f"/payment_intents/{intent_id}/authenticate", outcome="success")
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.cancel()
    await saga.ends()
    await saga.settled(captured=0)


@pytest.mark.fault("S5")
async def test_a_provider_who_cannot_be_paid_waits_and_is_paid_once_it_can_be(
    market: Market, shop: Shop, control: Control
) -> None:
    saga = await market.start(shop)
    await saga.held()
    await control.ask("POST", f"/accounts/{shop.account_id}", transfers="inactive")

    async def blocked() -> bool:
        return (await shop.payout(saga.booking_id)).status is PayoutStatus.BLOCKED

    await saga.passes_until((await shop.payout(saga.booking_id)).due_at)
    await until(blocked)
    assert (await shop.booking(saga.booking_id)).attention_step is None
    await control.ask("POST", f"/accounts/{shop.account_id}", transfers="active")
    await saga.account_changes()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    await saga.settled(captured=12_000, transfers=(9600,))
    assert (await shop.booking(saga.booking_id)).attention_step is None


async def opened(saga: RealSaga) -> None:
    await saga.opened()


async def paid_and_not_told(saga: RealSaga) -> None:
    await saga.opened()
    await saga.pays()


async def confirmed(saga: RealSaga) -> None:
    await saga.confirmed()


async def held(saga: RealSaga) -> None:
    await saga.held()


@pytest.mark.fault("R1")
@pytest.mark.parametrize("stage", [opened, paid_and_not_told, confirmed, held])
async def test_terminated_anywhere_a_booking_carries_on_from_postgres(
    market: Market, shop: Shop, stage: object
) -> None:
    request = await market.request(shop)
    saga = await market.begin(shop, request)
    assert callable(stage)
    await stage(saga)
    before = await shop.booking(saga.booking_id)
    due = {"expires_at": before.expires_at, "completion_due_at": before.completion_due_at}
    await saga.terminated()
    again = await market.begin(shop, request)
    assert again.handle.id == workflow_id_for(request.booking_id)
    assert again.handle.first_execution_run_id != saga.handle.first_execution_run_id
    await again.opened()
    if stage is opened:
        await again.pays()
    if stage is not held:
        assert (await again.confirm()).status is BookingStatus.CONFIRMED
    assert (await again.ends()).status is BookingStatus.COMPLETED
    await again.settled(captured=12_000, transfers=(9600,))
    after = await shop.booking(saga.booking_id)
    assert {name: getattr(after, name) for name in due} == due
    intents = await again.sdk.v1.payment_intents.list_async({"customer": await customer_of(again)})
    assert len(intents.data) == 1


async def customer_of(saga: RealSaga) -> str:
    intent = await saga.sdk.v1.payment_intents.retrieve_async(await saga.intent_id())
    assert isinstance(intent.customer, str)
    return intent.customer


@pytest.mark.fault("R1")
async def test_a_hold_that_was_interrupted_is_not_started_again(market: Market, shop: Shop) -> None:
    request = await market.request(shop)
    saga = await market.begin(shop, request)
    await saga.held()
    due_at = (await shop.payout(saga.booking_id)).due_at
    await saga.passes_until(due_at - timedelta(hours=1))
    await saga.terminated()
    again = await market.begin(shop, request)
    await again.opened()
    await again.passes_until(due_at)

    async def paid() -> bool:
        return (await shop.payout(saga.booking_id)).status is PayoutStatus.PAID

    await until(paid)
    await again.settled(captured=12_000, transfers=(9600,))


@pytest.mark.fault("R1")
async def test_a_refused_reservation_stays_refused_when_it_is_started_again(
    market: Market, shop: Shop
) -> None:
    first = await market.start(shop)
    await first.opened()
    rival = await market.request(shop)
    rival = rival.model_copy(update={"starts_at": (await shop.session_of(first.booking_id)).starts_at})
    assert (await (await market.begin(shop, rival)).ends()).refusal is Refusal.SLOT_TAKEN
    await first.cancel()
    await first.ends()
    stored = await shop.database.run(lambda session: session.get_one(BookingRequest, rival.booking_id))
    assert stored.refusal == Refusal.SLOT_TAKEN
