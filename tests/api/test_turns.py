"""A crowd at one booking, served one after the other; and why a paid booking may still wait."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from api import sagas
from api.confirming import _obstacle
from api.errors import Code
from api.turns import Turns
from models.bookings import Booking


async def test_one_at_a_time_per_booking() -> None:
    turns, booking_id, inside, most = Turns(), uuid4(), 0, 0

    async def talk() -> None:
        nonlocal inside, most
        async with turns.take(booking_id):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(talk() for _ in range(20)))
    assert most == 1


async def test_bookings_do_not_wait_for_each_other() -> None:
    turns = Turns()
    async with turns.take(uuid4()), turns.take(uuid4()):
        pass


async def test_nobody_waits_longer_than_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sagas, "ANSWER_WITHIN", timedelta(milliseconds=10))
    turns, booking_id = Turns(), uuid4()
    async with turns.take(booking_id):
        with pytest.raises(sagas.Unreachable):
            async with turns.take(booking_id):
                pytest.fail("this turn was taken")
    async with turns.take(booking_id):
        pass


async def test_bookings_are_forgotten() -> None:
    turns = Turns()
    async with turns.take(uuid4()):
        assert len(turns._locks) == 1
    assert len(turns._locks) == 0


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (None, Code.PAYMENT_METADATA_MISMATCH),
        ("PaymentMismatch: amount is 1, not 2", Code.PAYMENT_METADATA_MISMATCH),
        ("StripeUnavailable: no answer", Code.BOOKING_CONFIRM_FAILED),
    ],
)
def test_what_is_in_the_way_is_named(message: str | None, code: Code) -> None:
    assert _obstacle(Booking(attention_message=message)) is code


def test_a_key_makes_an_update_id_and_none_makes_a_new_one() -> None:
    booking_id = uuid4()
    same = {sagas.update_id("cancel", "c", booking_id, "key") for _ in range(2)}
    assert len(same) == 1
    others = {
        sagas.update_id("complete", "c", booking_id, "key"),
        sagas.update_id("cancel", "d", booking_id, "key"),
        sagas.update_id("cancel", "c", uuid4(), "key"),
        sagas.update_id("cancel", "c", booking_id, None),
        sagas.update_id("cancel", "c", booking_id, None),
    }
    assert len(others | same) == 6
