"""The authorization's clock: kept cards charged in time, authorizations renewed or captured before they end."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, Role
from tests.workflows.leads import to_renewal
from tests.workflows.saga import PlayedSaga, Sagas

FAR = timedelta(days=20)
SECOND = timedelta(seconds=1)


async def kept(sagas: Sagas, **policy: object) -> PlayedSaga:
    """A booking far off, whose card is kept."""
    saga = await sagas.start(starts_in=FAR, **policy)
    await saga.confirmed("setup")
    return saga


async def refused(sagas: Sagas) -> PlayedSaga:
    """The kept card is refused on its day."""
    saga = await kept(sagas)
    saga.world.card_refused = True
    assert saga.world.booking.authorize_at is not None
    await saga.passes_until(saga.world.booking.authorize_at)
    await saga.world.reached("authorize")
    await saga.quiet()
    return saga


# --- renewing -----------------------------------------------------------------------------------


async def test_before_it_ends_an_authorization_is_captured_and_the_hold_still_starts_at_the_outcome(
    sagas: Sagas,
) -> None:
    saga = await sagas.start()
    await to_renewal(saga)
    await saga.world.reached("renew_authorization")
    lasted = saga.world.call("renew_authorization").at - saga.world.call("confirm").at
    assert abs(lasted - timedelta(hours=30)) < SECOND
    await saga.passes_until(saga.world.starts_at)
    assert saga.world.booking.payment_status is PaymentStatus.CAPTURED
    await saga.complete()
    outcome = saga.world.call("settle").at
    await saga.ends()
    assert timedelta(0) <= saga.world.call("pay_out").at - outcome - timedelta(hours=72) < SECOND
    assert saga.world.transferred == [9600]


async def test_captured_early_and_cancelled_it_is_refunded_by_the_same_tiers(sagas: Sagas) -> None:
    saga = await sagas.start()
    await to_renewal(saga)
    await saga.world.reached("renew_authorization")
    assert (await saga.cancel()).status is BookingStatus.FORFEIT
    await saga.ends()
    assert (saga.world.refunded, saga.world.transferred) == (6000, [4800])


async def test_a_policy_may_authorize_anew_as_often_as_it_takes(sagas: Sagas) -> None:
    saga = await sagas.start(authorization_expiry="reauthorize")
    await to_renewal(saga)
    assert (await saga.ends()).reason == "auto_completed"
    assert saga.world.renewals == 2
    assert (saga.world.captured, saga.world.transferred) == (12_000, [9600])


@pytest.mark.fault("S5")
async def test_an_authorization_that_ended_before_it_could_be_renewed_ends_the_booking(sagas: Sagas) -> None:
    world = await sagas.world()
    world.authorized_for = timedelta(hours=40)
    saga = await sagas.begin(world)
    await saga.confirmed()
    await saga.quiet()
    world.intent = "expired"
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "authorization_expired")
    assert world.steps("renew_authorization", "settle") == ["renew_authorization"]


@pytest.mark.fault("S5")
async def test_a_completion_that_finds_no_authorization_is_none(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.begun()
    saga.world.intent = "expired"
    assert (await saga.complete()).status is BookingStatus.CANCELLED
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "authorization_expired")
    assert (saga.world.captured, saga.world.transferred) == (0, [])


@pytest.mark.fault("R1")
async def test_what_expired_under_a_run_that_was_stopped_is_let_go_by_the_next(sagas: Sagas) -> None:
    saga = await sagas.start()
    await saga.confirmed()
    await saga.terminated()
    saga.world.update(payment_status=PaymentStatus.EXPIRED)
    again = await sagas.begin(saga.world)
    assert (await again.ends()).reason == "authorization_expired"
    assert saga.world.call("release").at < saga.world.starts_at


# --- charging a kept card -----------------------------------------------------------------------


async def test_a_kept_card_is_charged_on_its_day_and_not_before(sagas: Sagas) -> None:
    saga = await kept(sagas)
    await saga.quiet()
    assert (saga.world.booking.plan, saga.world.booking.payment_status) == ("authorize_later", "SAVED")
    assert "waiting for the day to charge the card" in await saga.details()
    day = saga.world.booking.authorize_at
    assert day == saga.world.starts_at - timedelta(hours=48)
    await saga.passes_until(day - SECOND)
    assert "authorize" not in saga.world.steps()
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert timedelta(0) <= saga.world.call("authorize").at - day < SECOND
    assert saga.world.steps("authorize", "renew_authorization", "settle") == ["authorize", "settle"]
    assert saga.world.transferred == [9600]


@pytest.mark.parametrize("asked", [True, False])
async def test_a_refused_card_that_is_fixed_in_time_keeps_the_booking(sagas: Sagas, *, asked: bool) -> None:
    saga = await refused(sagas)
    fix_by = saga.world.booking.fix_by
    assert fix_by is not None
    assert fix_by < saga.world.starts_at
    assert "waiting for the client to fix the payment" in await saga.details()
    assert f"{fix_by:%Y-%m-%d %H:%M:%S}" in await saga.details()
    saga.world.intent = "requires_capture"
    if asked:
        assert (await saga.confirm()).status is BookingStatus.CONFIRMED
        assert saga.world.booking.payment_status is PaymentStatus.AUTHORIZED
    else:
        await saga.stripe_says("evt_capturable")
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.transferred == [9600]


@pytest.mark.fault("W1")
async def test_a_fix_that_nobody_told_us_about_is_found_at_the_deadline(sagas: Sagas) -> None:
    saga = await refused(sagas)
    saga.world.intent = "requires_capture"
    assert (await saga.ends()).status is BookingStatus.COMPLETED
    assert saga.world.steps("close_payment") == ["close_payment"]


async def test_a_refused_card_that_nobody_fixes_lets_the_seat_go_at_the_deadline(sagas: Sagas) -> None:
    saga = await refused(sagas)
    fix_by = saga.world.booking.fix_by
    assert fix_by is not None
    await saga.passes_until(fix_by - SECOND)
    assert "close_payment" not in saga.world.steps()
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "authorization_refused")
    assert timedelta(0) <= saga.world.call("close_payment").at - fix_by < SECOND
    assert (saga.world.captured, saga.world.transferred) == (0, [])


@pytest.mark.parametrize("role", [Role.CLIENT, Role.PROVIDER])
async def test_cancelled_before_its_day_a_kept_card_is_never_charged(sagas: Sagas, role: Role) -> None:
    saga = await kept(sagas)
    assert (await saga.cancel(role)).status is BookingStatus.CANCELLED
    await saga.ends()
    assert (saga.world.captured, saga.world.steps("authorize")) == (0, [])


async def test_cancelled_while_its_card_is_refused_there_is_nothing_to_forfeit(sagas: Sagas) -> None:
    saga = await refused(sagas)
    await saga.passes(timedelta(hours=23, minutes=30))
    assert (await saga.cancel()).status is BookingStatus.CANCELLED
    await saga.ends()
    assert (saga.world.captured, saga.world.transferred) == (0, [])


@pytest.mark.fault("R1")
async def test_the_deadline_to_fix_a_card_survives_its_run(sagas: Sagas) -> None:
    saga = await refused(sagas)
    fix_by = saga.world.booking.fix_by
    await saga.terminated()
    again = await sagas.begin(saga.world)
    assert (await again.ends()).reason == "authorization_refused"
    assert fix_by is not None
    assert timedelta(0) <= saga.world.call("close_payment").at - fix_by < SECOND
