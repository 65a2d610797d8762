"""Every wait of a booking: how it gets there, what ends the wait, and how the booking ends then."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sandbox.asking import Json
from sandbox.demo.scenario import Ending
from sandbox.demo.stage import Stage, at
from sandbox.demo.stories.aftermath import REFUNDED_LATER, UNPAID
from sandbox.demo.stories.booking import PAID
from sandbox.person import (
    FUNDS_AT_ONCE_CARD,
    Condition,
    has_payout,
    has_status,
    needs,
)

WINDOW: Final = timedelta(seconds=8)
"""Of the waits that end by the clock."""

Reach = Callable[[Stage], Coroutine[Any, Any, Json]]
Act = Callable[[Stage, Json], Coroutine[Any, Any, None]]


async def nothing(_: Stage, __: Json) -> None:
    """The clock does it."""


@dataclass(frozen=True)
class Wait:
    """A wait, and the only thing that ends it."""

    name: str
    reach: Reach
    shows: Condition
    """How the booking looks for as long as it waits."""
    ends_it: Act = nothing
    then: Act = nothing
    """What is still to be done by people afterwards."""
    ending: Ending = PAID
    by_the_clock: bool = False
    by_webhook: bool = False

    def is_over(self, booking: Json) -> bool:
        """Whether it has ended as it has to."""
        return not self.ending.departures(booking)


# --- reaching it ------------------------------------------------------------------------------------


async def unpaid(stage: Stage) -> Json:
    return await stage.book()


async def unpaid_for_long(stage: Stage) -> Json:
    return await stage.book(timedelta(days=1), payment_window=WINDOW)


async def before_its_provider(stage: Stage) -> Json:
    return await stage.booked(timedelta(days=1), approval="provider")


async def confirmed(stage: Stage) -> Json:
    return await stage.booked()


async def silent(stage: Stage) -> Json:
    return await stage.booked(-timedelta(minutes=1) + WINDOW)


async def held(stage: Stage) -> Json:
    return await stage.held()


async def held_by_the_clock(stage: Stage) -> Json:
    return await stage.complete(await stage.booked(payout_hold=WINDOW))


async def disputed(stage: Stage) -> Json:
    booking = await stage.held()
    await stage.control.dispute(await stage.charge_of(booking))
    return await stage.until(booking, has_payout("FROZEN"), "the hold to be frozen")


async def contested(stage: Stage) -> Json:
    booking = await stage.held()
    await stage.client.tell(booking["id"], "object", reason="It was over after half of the time.")
    return await stage.until(booking, needs("objection"), "ops to be asked")


async def blocked(stage: Stage) -> Json:
    await stage.control.account(await stage.account(), transfers="inactive")
    booking = await stage.complete(await stage.booked())
    return await stage.until(booking, has_payout("BLOCKED"), "the payout to find the account restricted")


async def parked(stage: Stage) -> Json:
    booking = await stage.booked()
    mine = {"method": "POST", "path": "/v1/payment_intents/*/capture", "key": f"*{booking['id']}*"}
    await stage.control.post("/faults", action="fail_before", status=400, match=mine)
    await stage.complete(booking)
    return await stage.until(booking, needs("settle"), "ops to be asked")


async def paid_out(stage: Stage) -> Json:
    return await stage.paid_out(FUNDS_AT_ONCE_CARD)


async def reversed_by_hand(stage: Stage) -> Json:
    """Its aftercare asks whether that was meant."""
    booking = await stage.paid_out(FUNDS_AT_ONCE_CARD)
    transfer = booking["payout"]["transfer_id"]
    await stage.outside.stripe.v1.transfers.reversals.create_async(transfer, {"amount": 1_000})
    return await stage.until(booking, needs("rebalance"), "ops to be asked")


# --- what ends it -----------------------------------------------------------------------------------


async def pays(stage: Stage, booking: Json) -> None:
    """At Stripe; only its webhook tells."""
    assert await stage.client.pay(booking["id"])


async def accepts(stage: Stage, booking: Json) -> None:
    await stage.provider.tell(booking["id"], "approve")


async def completes(stage: Stage, booking: Json) -> None:
    await stage.client.complete(booking["id"])


async def releases(stage: Stage, booking: Json) -> None:
    await stage.release(booking)


async def wins(stage: Stage, booking: Json) -> None:
    """The bank gives in; only a webhook tells."""
    of_it = {"payment_intent": booking["payment"]["payment_intent_id"]}
    found = await stage.outside.stripe.v1.disputes.list_async(of_it)  # type: ignore[arg-type]
    await stage.control.decide(found.data[0].id, "won")


async def sides_with_the_provider(stage: Stage, booking: Json) -> None:
    await stage.ops.resolve(booking["id"], "objection", "release", "the recording shows it all")


async def may_be_paid_again(stage: Stage, _: Json) -> None:
    await stage.control.account(await stage.account(), transfers="active")


async def tries_again(stage: Stage, booking: Json) -> None:
    await stage.ops.resolve(booking["id"], "settle", "retry", "Stripe is well again")


async def pays_again(stage: Stage, booking: Json) -> None:
    await stage.ops.resolve(booking["id"], "rebalance", "retry", "it was a mistake")


async def refunds_in_the_dashboard(stage: Stage, booking: Json) -> None:
    intent = booking["payment"]["payment_intent_id"]
    half = {"payment_intent": intent, "amount": REFUNDED_LATER.refunded}
    await stage.outside.stripe.v1.refunds.create_async(half)  # type: ignore[arg-type]


# --- and then ---------------------------------------------------------------------------------------


async def is_completed(stage: Stage, booking: Json) -> None:
    await stage.until(booking, has_status("CONFIRMED"), "its confirmation")
    await stage.client.complete(booking["id"])


async def takes_place(stage: Stage, booking: Json) -> None:
    moved = await stage.provider.reschedule(booking["id"], at(stage.pace.ahead))
    await stage.take_place(moved)


async def is_released(stage: Stage, booking: Json) -> None:
    await stage.until(booking, has_payout("HELD"), "the hold to go on")
    await stage.release(booking)


async def is_reversed(stage: Stage, booking: Json) -> None:
    await stage.until(booking, has_payout("PARTIALLY_REVERSED"), "the provider's part of it")


async def is_paid_again(stage: Stage, booking: Json) -> None:
    await stage.until(booking, has_payout("PAID"), "the rest of the share")


AUTO_COMPLETED: Final = Ending(
    "COMPLETED", "CAPTURED", "PAID", reason="auto_completed", captured=PAID.captured
)

WAITS: Final = (
    Wait("payment", unpaid, has_status("PENDING"), pays, is_completed, by_webhook=True),
    Wait("payment window", unpaid_for_long, has_status("PENDING"), ending=UNPAID, by_the_clock=True),
    Wait("approval", before_its_provider, has_status("AWAITING_APPROVAL"), accepts, takes_place),
    Wait("outcome", confirmed, has_status("CONFIRMED"), completes),
    Wait("silence", silent, has_status("CONFIRMED"), ending=AUTO_COMPLETED, by_the_clock=True),
    Wait("hold", held, has_payout("HELD"), releases),
    Wait("the hold's end", held_by_the_clock, has_payout("HELD"), by_the_clock=True),
    Wait("dispute", disputed, has_payout("FROZEN"), wins, is_released, by_webhook=True),
    Wait("objection", contested, needs("objection"), sides_with_the_provider, is_released),
    Wait("blocked payout", blocked, has_payout("BLOCKED"), may_be_paid_again, by_webhook=True),
    Wait("parked step", parked, needs("settle"), tries_again),
    Wait(
        "no wait any more",
        paid_out,
        has_payout("PAID"),
        refunds_in_the_dashboard,
        is_reversed,
        REFUNDED_LATER,
        by_webhook=True,
    ),
    Wait("aftercare", reversed_by_hand, needs("rebalance"), pays_again, is_paid_again),
)
