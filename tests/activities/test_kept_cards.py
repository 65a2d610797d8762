"""A card that is kept now and charged nearer the date, with nobody there (DESIGN section 5)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from activities.authorizations import UNDECIDED_LOOK
from activities.errors import Failure, PaymentMismatch, StripeFailure
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent, Setup
from activities.stripe_requests import CancelSetup
from models.notifications import Notification
from models.states import BookingStatus, PaymentStatus
from sandbox.stripe.server import Running
from tests.activities.desk import (
    CLIENT,
    NEEDS_3DS,
    PROVIDER,
    REFUSED_LATER,
    Desk,
    Picture,
    abandoned,
    cancelled_by,
    completed,
    do,
    now,
    number,
)
from tests.activities.money_steps import AUTHORIZE, AUTHORIZE_REFUSED, CLOSE_SETUP, PRICE

TAMPERED: dict[str, dict[str, Any]] = {
    "customer": {"customer": "cus_another"},
    "livemode": {"livemode": True},
    "booking": {"metadata": {"booking_id": "another"}},
}
LETTERS = select(func.count()).select_from(Notification)


class Tampered(StripeGateway):
    """Stripe has another SetupIntent than the one we asked for."""

    changes: dict[str, Any]

    async def retrieve_setup(self, setup_id: str) -> Setup:
        return (await super().retrieve_setup(setup_id)).model_copy(update=self.changes)


class Undecided(StripeGateway):
    """The bank takes its time: what is charged reads `status` until it is cleared."""

    status: str | None

    async def retrieve_intent(self, intent_id: str) -> Intent:
        intent = await super().retrieve_intent(intent_id)
        waits = self.status and intent.status == "requires_capture"
        return intent.model_copy(update={"status": self.status, "charge": None}) if waits else intent


class Overtaken(StripeGateway):
    """The client gives a card after we looked and before our cancellation arrives."""

    desk: Desk

    async def cancel_setup(self, request: CancelSetup, *, key: str) -> Setup:
        setup = await self.retrieve_setup(request.setup_intent)
        if setup.status == "requires_payment_method":
            await self.desk.sdk.v1.setup_intents.confirm_async(setup.id, {"payment_method": "pm_card_visa"})
        return await super().cancel_setup(request, key=key)


async def setup_id(desk: Desk, booking_id: UUID) -> str:
    found = (await desk.payment(booking_id)).setup_intent_id
    assert found is not None
    return found


async def test_a_card_that_is_kept_stands_for_the_payment_and_has_its_day(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id = await desk.opened_far_off(shop)
    await desk.keep_card(booking_id)
    state = await desk.activities().payments.read_payment(do(booking_id))
    starts_at = (await shop.session_of(booking_id)).starts_at
    assert (state.payment_status, state.payment_opened) == (PaymentStatus.SAVED, True)
    assert state.authorize_at == starts_at - timedelta(hours=48)
    assert (await desk.payment(booking_id)).payment_method_id is not None
    assert (await desk.picture(booking_id)).intents == ()


@pytest.mark.parametrize("how", TAMPERED)
async def test_a_card_that_was_kept_for_something_else_is_never_recorded(
    desk: Desk, outside: Running, how: str
) -> None:
    booking_id = await desk.opened_far_off(await desk.shop())
    await desk.keep_card(booking_id)
    gateway = Tampered.connect(outside.secret_key, outside.url)
    gateway.changes = TAMPERED[how]
    for step in ("read_payment", "close_payment"):
        with pytest.raises(PaymentMismatch, match=how):
            await getattr(desk.activities(gateway=gateway).payments, step)(do(booking_id))
    await gateway.close()
    assert (await desk.picture(booking_id)).payment == "PENDING"


@pytest.mark.parametrize("strict", [False, True])
async def test_a_card_that_cannot_be_kept_ends_a_booking_only_where_the_policy_is_strict(
    desk: Desk, *, strict: bool
) -> None:
    booking_id = await desk.opened_far_off(await desk.shop(policy={"strict_payment_failure": strict}))
    with pytest.raises(Exception, match="declined"):
        await desk.keep_card(booking_id, "pm_card_chargeDeclined")
    state = await desk.activities().payments.read_payment(do(booking_id))
    assert (state.payment_status, state.payment_refused) == (PaymentStatus.PENDING, strict)


async def test_a_card_that_was_kept_wins_over_the_end_of_the_window(desk: Desk) -> None:
    booking_id = await desk.opened_far_off(await desk.shop())
    await desk.keep_card(booking_id)
    for _ in range(2):
        state = await desk.activities().payments.close_payment(do(booking_id))
        assert state.payment_status is PaymentStatus.SAVED


async def test_a_client_who_is_in_3d_secure_while_keeping_a_card_gets_one_grace(desk: Desk) -> None:
    booking_id = await desk.opened_far_off(await desk.shop())
    await desk.keep_card(booking_id, NEEDS_3DS)
    payments = desk.activities().payments
    granted = await payments.close_payment(do(booking_id))
    assert granted.payment_status is PaymentStatus.PENDING
    over = await payments.close_payment(do(booking_id, at=granted.expires_at))
    assert over.payment_status is PaymentStatus.VOIDED
    assert await desk.picture(booking_id) == CLOSE_SETUP.ends


@pytest.mark.parametrize("undone", [False, True], ids=["window over", "given back"])
async def test_a_card_that_is_kept_just_before_our_cancellation_is_seen(
    desk: Desk, outside: Running, *, undone: bool
) -> None:
    booking_id = await desk.opened_far_off(await desk.shop())
    racing = Overtaken.connect(outside.secret_key, outside.url)
    racing.desk = desk
    payments = desk.activities(gateway=racing).payments
    await (payments.give_back(abandoned(booking_id)) if undone else payments.close_payment(do(booking_id)))
    await racing.close()
    picture = await desk.picture(booking_id)
    expected = "VOIDED" if undone else "SAVED"
    assert (picture.payment, picture.setups, picture.intents) == (expected, ("succeeded",), ())


async def test_an_undo_finds_the_setup_whose_making_was_lost(desk: Desk) -> None:
    booking_id = await desk.reserved_far_off(await desk.shop())
    await desk.control.fault("reset_after", "/v1/setup_intents")
    with pytest.raises(StripeFailure):
        await desk.activities().payments.open_payment(do(booking_id))
    await desk.activities().payments.give_back(abandoned(booking_id))
    assert await desk.picture(booking_id) == CLOSE_SETUP.ends


async def test_ops_can_adopt_the_setup_that_was_made_for_the_booking(desk: Desk) -> None:
    booking_id = await desk.reserved_far_off(await desk.shop())
    await desk.control.fault("fail_before", "/v1/setup_intents", status=400, code="parameter_invalid")
    with pytest.raises(StripeFailure):
        await desk.activities().payments.open_payment(do(booking_id))
    (customer,) = await desk.control.objects("customer")
    made = await desk.sdk.v1.setup_intents.create_async(
        {"customer": customer["id"], "metadata": {"booking_id": str(booking_id)}}
    )
    await desk.activities().payments.open_payment(do(booking_id, adopt=made.id))
    assert await setup_id(desk, booking_id) == made.id


async def test_a_card_is_not_charged_before_its_day(desk: Desk) -> None:
    booking_id = await desk.saved(await desk.shop())
    state = await desk.activities().authorizations.authorize(do(booking_id))
    assert state.payment_status is PaymentStatus.SAVED
    assert (await desk.picture(booking_id)).intents == ()


async def test_a_card_that_is_charged_on_its_day_is_captured_like_any_other(desk: Desk) -> None:
    booking_id = await AUTHORIZE.prepare(desk)
    state = await desk.activities().authorizations.authorize(do(booking_id))
    assert (state.payment_status, state.authorize_at, state.fix_by) == (PaymentStatus.AUTHORIZED, None, None)
    assert state.renew_at is not None
    await desk.activities().payments.settle(completed(booking_id))
    picture = await desk.picture(booking_id)
    assert (picture.booking, picture.payout, picture.captured) == ("COMPLETED", "HELD", PRICE)


@pytest.mark.parametrize("card", [REFUSED_LATER, NEEDS_3DS], ids=["declined", "wants its owner"])
async def test_a_card_that_is_refused_on_its_day_leaves_time_to_repair_it(desk: Desk, card: str) -> None:
    shop = await desk.shop()
    booking_id = await desk.opened_far_off(shop)
    await desk.keep_card(booking_id, card)
    if card == NEEDS_3DS:
        await desk.authenticate(await setup_id(desk, booking_id), kind="setup_intents")
    await desk.activities().payments.read_payment(do(booking_id))
    await desk.activities().bookings.confirm(do(booking_id))
    await desk.comes_due(booking_id, authorize_at=now())
    first = await desk.activities().authorizations.authorize(step := do(booking_id))
    starts_at = (await shop.session_of(booking_id)).starts_at
    assert (first.payment_status, first.status) == (PaymentStatus.SAVED, BookingStatus.CONFIRMED)
    assert first.fix_by == step.at + (starts_at - step.at) / 2
    again = await desk.activities().authorizations.authorize(do(booking_id))
    assert again == first
    assert len(await desk.operations(booking_id, "confirm")) == 1
    told = LETTERS.where(Notification.booking_id == booking_id, Notification.kind == "card_refused")
    assert await number(desk.database, told) == 1


async def test_a_client_who_repairs_the_card_on_session_keeps_the_booking(desk: Desk) -> None:
    booking_id = await AUTHORIZE_REFUSED.prepare(desk)
    await desk.activities().authorizations.authorize(do(booking_id))
    await desk.confirm_card(booking_id)
    state = await desk.activities().payments.read_payment(do(booking_id))
    assert (state.payment_status, state.fix_by) == (PaymentStatus.AUTHORIZED, None)
    payment = await desk.payment(booking_id)
    assert payment.payment_method_id is None  # this one was not kept: it cannot be charged again
    assert await desk.picture(booking_id) == AUTHORIZE.ends


async def test_a_card_that_was_repaired_unheard_wins_over_its_deadline(desk: Desk) -> None:
    booking_id = await desk.unrepaired(await desk.shop())
    await desk.confirm_card(booking_id)
    state = await desk.activities().payments.close_payment(do(booking_id))
    assert state.payment_status is PaymentStatus.AUTHORIZED
    assert await desk.picture(booking_id) == AUTHORIZE.ends


async def test_a_card_that_waits_for_its_day_is_not_let_go_by_a_close_that_comes_late(desk: Desk) -> None:
    booking_id = await desk.saved(await desk.shop())
    state = await desk.activities().payments.close_payment(do(booking_id))
    assert state.payment_status is PaymentStatus.SAVED


@pytest.mark.fault("S5")
async def test_an_intent_that_was_cancelled_in_the_dashboard_ends_the_kept_card(desk: Desk) -> None:
    booking_id = await desk.unrepaired(await desk.shop())
    await desk.sdk.v1.payment_intents.cancel_async(await desk.intent_id(booking_id))
    state = await desk.activities().authorizations.authorize(do(booking_id))
    assert state.payment_status is PaymentStatus.FAILED


@pytest.mark.parametrize("stage", [Desk.saved, Desk.unrepaired], ids=["kept", "refused"])
@pytest.mark.parametrize(
    "end",
    [
        lambda desk, booking_id: desk.activities().payments.give_back(abandoned(booking_id)),
        lambda desk, booking_id: desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id)),
        lambda desk, booking_id: desk.activities().payments.settle(cancelled_by(CLIENT, booking_id)),
    ],
    ids=["undone", "provider cancels", "client cancels"],
)
async def test_a_booking_that_ends_before_its_card_is_charged_costs_nothing(
    desk: Desk, stage: Callable[..., Any], end: Callable[..., Any]
) -> None:
    booking_id = await stage(desk, await desk.shop())
    await end(desk, booking_id)
    picture = await desk.picture(booking_id)
    assert (picture.payment, picture.captured, picture.payout) == ("VOIDED", 0, None)
    assert set(picture.intents) <= {"canceled"}


async def undecided(outside: Running) -> Undecided:
    gateway = Undecided.connect(outside.secret_key, outside.url)
    gateway.status = "processing"
    return gateway


async def test_a_charge_that_the_bank_has_not_decided_is_looked_at_again_after_a_pause(
    desk: Desk, outside: Running
) -> None:
    booking_id = await AUTHORIZE.prepare(desk)
    gateway, at = await undecided(outside), now()
    steps = desk.activities(gateway=gateway).authorizations
    for late in (timedelta(0), UNDECIDED_LOOK):
        state = await steps.authorize(do(booking_id, at=at + late))
        assert (state.payment_status, state.fix_by) == (PaymentStatus.SAVED, None)
        assert state.authorize_at == at + late + UNDECIDED_LOOK
    gateway.status = None
    state = await steps.authorize(do(booking_id, at=at + 2 * UNDECIDED_LOOK))
    assert state.payment_status is PaymentStatus.AUTHORIZED
    assert len(await desk.operations(booking_id, "confirm")) == 1
    await gateway.close()


async def test_an_authorization_that_the_bank_grants_only_later_stands(desk: Desk, outside: Running) -> None:
    booking_id = await desk.paid(await desk.shop())
    gateway = await undecided(outside)
    payments = desk.activities(gateway=gateway).payments
    assert (await payments.read_payment(do(booking_id))).payment_status is PaymentStatus.PROCESSING
    gateway.status = None
    assert (await payments.read_payment(do(booking_id))).payment_status is PaymentStatus.AUTHORIZED
    await gateway.close()


async def test_a_charge_that_the_bank_refuses_only_later_is_the_clients_to_repair(
    desk: Desk, outside: Running
) -> None:
    booking_id = await AUTHORIZE.prepare(desk)
    gateway, at = await undecided(outside), now()
    steps = desk.activities(gateway=gateway).authorizations
    await steps.authorize(do(booking_id, at=at))
    gateway.status = "requires_payment_method"
    state = await steps.authorize(do(booking_id, at=at + UNDECIDED_LOOK))
    assert (state.payment_status, state.fix_by is None) == (PaymentStatus.SAVED, False)
    await gateway.close()


async def test_a_kept_card_that_its_owner_has_taken_away_is_the_clients_to_repair(desk: Desk) -> None:
    booking_id = await AUTHORIZE.prepare(desk)
    kept = (await desk.payment(booking_id)).payment_method_id
    await desk.sdk.v1.payment_methods.detach_async(kept or "")
    state = await desk.activities().authorizations.authorize(do(booking_id))
    assert (state.payment_status, state.fix_by is None) == (PaymentStatus.SAVED, False)
    await desk.confirm_card(booking_id)
    repaired = await desk.activities().payments.read_payment(do(booking_id))
    assert repaired.payment_status is PaymentStatus.AUTHORIZED


async def test_a_stored_answer_does_not_bring_back_a_charge_that_was_cancelled_since(desk: Desk) -> None:
    booking_id = await AUTHORIZE.prepare(desk)
    await desk.control.fault("reset_after", AUTHORIZE.path)
    with pytest.raises(StripeFailure):
        await desk.activities().authorizations.authorize(do(booking_id))
    await desk.sdk.v1.payment_intents.cancel_async(await desk.intent_id(booking_id))
    state = await desk.activities().authorizations.authorize(do(booking_id))
    assert state.payment_status is PaymentStatus.VOIDED


async def test_what_became_of_a_charge_counts_also_when_it_is_read_only_later(desk: Desk) -> None:
    booking_id = await AUTHORIZE.prepare(desk)
    await desk.control.fault("reset_before", "/v1/payment_intents/*", match={"method": "GET", "nth": 2})
    with pytest.raises(StripeFailure) as unread:
        await desk.activities().authorizations.authorize(do(booking_id))
    assert unread.value.failure is Failure.STRIPE_INDETERMINATE
    await desk.activities().authorizations.authorize(do(booking_id))
    assert await desk.picture(booking_id) == AUTHORIZE.ends
    assert len(await desk.operations(booking_id, "confirm")) == 1


async def test_a_charge_that_was_frozen_before_the_booking_ended_finds_nothing_to_charge(
    desk: Desk,
) -> None:
    booking_id = await AUTHORIZE.prepare(desk)
    await desk.control.fault("reset_before", AUTHORIZE.path)
    with pytest.raises(StripeFailure) as lost:
        await desk.activities().authorizations.authorize(do(booking_id))
    assert lost.value.failure is Failure.STRIPE_INDETERMINATE
    await desk.activities().payments.settle(cancelled_by(PROVIDER, booking_id))
    state = await desk.activities().authorizations.authorize(do(booking_id))
    assert state.payment_status is PaymentStatus.VOIDED
    assert await desk.picture(booking_id) == Picture(
        booking="CANCELLED", payment="VOIDED", intents=("canceled",), setups=("succeeded",)
    )
