"""The provider accepts or rejects; silence counts as no, and nobody stays charged for it."""

from datetime import timedelta

import pytest

from models.states import BookingStatus, PaymentStatus, Role
from tests.workflows.saga import PlayedSaga, Sagas, refusal
from tests.workflows.talk import by
from workflows.contracts import Do

HOUR = timedelta(hours=1)


async def asked(sagas: Sagas, intent: str = "requires_capture", **policy: object) -> PlayedSaga:
    """A paid booking that is before its provider."""
    saga = await sagas.start(approval="provider", **policy)
    await saga.before_its_provider(intent)
    return saga


async def let_go(saga: PlayedSaga, status: BookingStatus, reason: str) -> None:
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (status, reason)
    assert saga.world.booking.payment_status in (PaymentStatus.VOIDED, PaymentStatus.REFUNDED)
    assert (saga.world.books.kept, saga.world.transferred) == (0, [])
    assert saga.world.steps("give_back", "release") == ["give_back", "release"]


async def test_accepted_it_is_confirmed_and_goes_on(sagas: Sagas) -> None:
    saga = await asked(sagas)
    assert (await saga.approve()).status is BookingStatus.CONFIRMED
    assert await refusal(saga.approve()) == "invalid_state"
    assert (await saga.ends()).reason == "auto_completed"
    assert saga.world.transferred == [9600]


@pytest.mark.parametrize(
    ("intent", "policy"), [("requires_capture", {}), ("succeeded", {"capture": "on_payment"})]
)
async def test_rejected_the_money_goes_back_and_the_seat_with_it(
    sagas: Sagas, intent: str, policy: dict[str, str]
) -> None:
    saga = await asked(sagas, intent, **policy)
    assert (await saga.reject()).status is BookingStatus.REJECTED
    await let_go(saga, BookingStatus.REJECTED, "rejected_by_provider")


async def test_silence_is_a_no_at_the_deadline_and_not_a_second_before(sagas: Sagas) -> None:
    saga = await asked(sagas, approval_window=timedelta(hours=5))
    due = saga.world.booking.approval_due_at
    assert due is not None
    assert (
        timedelta(0) <= due - saga.world.call("ask_approval").at - timedelta(hours=5) < timedelta(seconds=1)
    )
    await saga.passes_until(due - timedelta(seconds=1))
    assert "give_back" not in saga.world.steps()
    await let_go(saga, BookingStatus.CANCELLED, "approval_timeout")
    assert timedelta(0) <= saga.world.call("give_back").at - due < timedelta(seconds=2)


async def test_an_approval_is_never_awaited_beyond_the_session_s_start(sagas: Sagas) -> None:
    saga = await asked(sagas, starts_in=timedelta(hours=3))
    assert saga.world.booking.approval_due_at == saga.world.starts_at
    await let_go(saga, BookingStatus.CANCELLED, "approval_timeout")


@pytest.mark.parametrize("role", [Role.CLIENT, Role.PROVIDER, Role.OPS])
async def test_cancelled_while_the_provider_thinks_it_costs_nothing(sagas: Sagas, role: Role) -> None:
    saga = await asked(sagas, starts_in=timedelta(hours=2))
    assert (await saga.cancel(role)).status is BookingStatus.CANCELLED
    await let_go(saga, BookingStatus.CANCELLED, f"cancelled_by_{role}")


@pytest.mark.fault("S5")
async def test_an_authorization_that_is_gone_ends_the_waiting(sagas: Sagas) -> None:
    saga = await asked(sagas)
    saga.world.intent = "expired"
    await saga.stripe_says("evt_canceled")
    assert (await saga.ends()).reason == "authorization_expired"
    assert "confirm" not in saga.world.steps()


async def test_the_first_word_of_the_provider_stands(sagas: Sagas) -> None:
    saga = await asked(sagas)
    gate = saga.world.stops_in("give_back")
    rejecting = await saga.asks("reject", by(Role.PROVIDER))
    await gate.entered.wait()
    assert await refusal(saga.approve()) == "invalid_state"
    again = await saga.asks("reject", by(Role.PROVIDER))
    gate.opened.set()
    answers = [(await one.result()).status for one in (rejecting, again)]
    assert answers == [BookingStatus.REJECTED] * 2
    await let_go(saga, BookingStatus.REJECTED, "rejected_by_provider")


async def test_what_is_accepted_can_no_longer_be_rejected(sagas: Sagas) -> None:
    saga = await asked(sagas)
    gate = saga.world.stops_in("confirm")
    first = await saga.asks("approve", by(Role.PROVIDER))
    second = await saga.asks("approve", by(Role.PROVIDER))
    await gate.entered.wait()
    assert await refusal(saga.reject()) == "invalid_state"
    gate.opened.set()
    answers = [(await one.result()).status for one in (first, second)]
    assert answers == [BookingStatus.CONFIRMED] * 2
    assert saga.world.steps("confirm") == ["confirm"]
    await saga.cancel()
    await saga.ends()


async def test_a_cancellation_that_came_first_is_not_overtaken_by_an_approval(sagas: Sagas) -> None:
    saga = await asked(sagas)
    gate = saga.world.stops_in("read_payment")
    await saga.stripe_says("evt_2")
    await gate.entered.wait()
    cancelling = await saga.asks_to_cancel()
    assert await refusal(saga.approve()) == "invalid_state"
    gate.opened.set()
    assert (await cancelling.result()).status is BookingStatus.CANCELLED
    await let_go(saga, BookingStatus.CANCELLED, "cancelled_by_client")
    assert "confirm" not in saga.world.steps()


async def test_nobody_can_accept_what_is_not_paid(sagas: Sagas) -> None:
    saga = await sagas.start(approval="provider")
    await saga.opened()
    assert await refusal(saga.approve()) == "invalid_state"
    assert await refusal(saga.reject()) == "invalid_state"
    await saga.cancel()
    await saga.ends()


@pytest.mark.fault("R1")
async def test_started_again_it_waits_until_the_same_deadline(sagas: Sagas) -> None:
    saga = await asked(sagas)
    due = saga.world.booking.approval_due_at
    await saga.terminated()
    again = await sagas.begin(saga.world)
    await again.passes(HOUR)
    assert saga.world.booking.approval_due_at == due
    assert saga.world.steps("ask_approval") == ["ask_approval"]
    await let_go(again, BookingStatus.CANCELLED, "approval_timeout")


@pytest.mark.fault("R1")
async def test_an_approval_told_to_a_run_that_takes_over_is_heard(sagas: Sagas) -> None:
    saga = await asked(sagas)
    await saga.terminated()
    gate = saga.world.stops_in("reserve")
    again = await sagas.begin(saga.world)
    approving = await again.asks("approve", by(Role.PROVIDER))
    gate.opened.set()
    assert (await approving.result()).status is BookingStatus.CONFIRMED
    await again.cancel()
    await again.ends()


@pytest.mark.fault("R1")
async def test_a_rejection_is_carried_on_by_the_next_run(sagas: Sagas) -> None:
    saga = await asked(sagas)
    saga.world.fails("release")
    await saga.asks("reject", by(Role.PROVIDER))
    await saga.world.reached("attention release")
    await saga.terminated()
    again = await sagas.begin(saga.world)
    ended = await again.ends()
    assert (ended.status, ended.reason) == (BookingStatus.REJECTED, "rejected_by_provider")


async def test_a_kept_card_is_put_before_the_provider_too(sagas: Sagas) -> None:
    saga = await asked(sagas, "setup", starts_in=timedelta(days=20))
    assert saga.world.booking.payment_status is PaymentStatus.SAVED
    await saga.approve()
    assert isinstance(saga.world.call("confirm").message, Do)
    await saga.cancel()
    await saga.ends()
