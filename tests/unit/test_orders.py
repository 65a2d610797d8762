"""What mortal workers leave behind says which steps were cut short."""

import signal
from pathlib import Path

from tests.e2e.orders import ANYBODY, Boundary, Orders, Place

BEGUN = Place(Boundary("settle", "begun-1"), "a-booking")
RETURNED = Place(Boundary("settle", "returned-1"), "a-booking")
FAILED = Place(Boundary("settle", "failed-1"), "a-booking")


def test_an_attempt_that_neither_returned_nor_failed_was_cut_short(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    for place in (BEGUN, FAILED, BEGUN, RETURNED):
        orders.note(place)
    assert orders.cut() == []
    orders.note(BEGUN)
    assert orders.cut() == [BEGUN]


def test_the_way_of_a_booking_that_was_struck_in_a_step_is_not_the_usual_one(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    other = Place(BEGUN.boundary, "another")
    for place in (BEGUN, other):
        orders.note(place)
    assert orders.crossed() == {BEGUN.boundary: 2}
    orders.give(BEGUN)
    assert orders.take(BEGUN) is signal.SIGKILL
    assert orders.crossed() == {BEGUN.boundary: 1}


def test_what_is_nobody_s_goes_round_and_round(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.note(Place(Boundary("relay_inbox", "begun-1"), ANYBODY))
    assert orders.cut() == []
