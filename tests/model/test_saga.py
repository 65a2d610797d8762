"""The saga's decisions, driven at random: whatever happens, the money is accounted for (FAULTS 1 and 3, M1)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from models.saga import events
from models.saga.events import Event
from models.saga.reducer import reduce
from models.saga.standing import Saga
from models.states import PayoutStatus
from tests.model.machine import Life
from tests.model.shop import Reduce, Shop
from tests.support.properties import examples

pytestmark = pytest.mark.fault("M1")

LIVES = settings(
    max_examples=examples("M1_EXAMPLES", usual=500, nightly=5_000),
    stateful_step_count=examples("M1_STEPS", usual=40, nightly=60),
    database=None,
)


@pytest.mark.timeout(1200)
def test_whatever_happens_to_its_bookings_a_providers_money_is_accounted_for(
    record_property: Callable[[str, object], None],
) -> None:
    record_property("injected", LIVES.max_examples)
    seen: Counter[str] = Counter()

    class Counted(Life):
        def teardown(self) -> None:
            seen.update(happened(self.shop))

    run_state_machine_as_test(Counted, settings=LIVES)
    assert {what for what, count in seen.items() if count >= 10} >= RARE, seen


RARE: Final = frozenset({"paid out", "reversed", "owed", "netted", "waived", "lost", "disputed", "ended"})
"""Lives in which nothing happens prove nothing."""


def happened(shop: Shop) -> set[str]:
    """What became of the money in these bookings."""
    found: set[str] = set()
    for saga in shop.sagas.values():
        books = saga.books
        facts = {
            "paid out": books.transferred,
            "reversed": books.reversed,
            "owed": books.raised,
            "netted": books.netted,
            "waived": books.waived,
            "lost": books.division.loss,
            "disputed": saga.disputes,
            "ended": saga.ended,
        }
        found |= {what for what, fact in facts.items() if fact}
    return found


# --- and a rule that is wrong would be found --------------------------------------------------------


def forgets_to_shrink_the_payout(saga: Saga, event: Event) -> Saga:
    """Transfers the share as it was when the hold began."""
    after = reduce(saga, event)
    if after.share < saga.share and saga.waits_to_be_paid:
        return replace(after, share=saga.share)
    if after.in_flight and saga.in_flight is None and saga.waits_to_be_paid:
        return replace(after, in_flight=saga.share - (after.books.netted - saga.books.netted))
    return after


def pays_out_what_is_frozen(saga: Saga, event: Event) -> Saga:
    """Looks at nothing but the clock."""
    if isinstance(event, events.TransferDue) and saga.hold and saga.payout is PayoutStatus.FROZEN:
        thawed = replace(saga.hold, status=PayoutStatus.HELD, due_at=event.at)
        return reduce(replace(saga, hold=thawed), event)
    return reduce(saga, event)


def refunds_whatever_is_asked_again(saga: Saga, event: Event) -> Saga:
    """Takes a repeated order for a new one."""
    if isinstance(event, events.RefundOrdered) and event.id in saga.refunds:
        event = replace(event, id=f"{event.id} again")
    return reduce(saga, event)


def pays_a_debt_and_the_whole_share(saga: Saga, event: Event) -> Saga:
    """Nets what is owed, and transfers as if it had not."""
    after = reduce(saga, event)
    if after.in_flight and saga.in_flight is None:
        return replace(after, in_flight=after.in_flight + after.books.netted - saga.books.netted)
    return after


def leaves_an_authorization_behind(saga: Saga, event: Event) -> Saga:
    """Ends the booking and forgets the card."""
    after = reduce(saga, event)
    return replace(after, payment=saga.payment) if isinstance(event, events.Settle) else after


MUTANTS: tuple[Reduce, ...] = (
    forgets_to_shrink_the_payout,
    pays_out_what_is_frozen,
    refunds_whatever_is_asked_again,
    pays_a_debt_and_the_whole_share,
    leaves_an_authorization_behind,
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wrong", MUTANTS, ids=lambda wrong: wrong.__name__)
def test_a_rule_that_is_wrong_is_found(wrong: Callable[[Saga, Event], Saga]) -> None:
    class Wrong(Life):
        make_shop = partial(Shop, reduce=wrong)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Wrong, settings=settings(LIVES, derandomize=True, phases=[Phase.generate], print_blob=False)
        )
