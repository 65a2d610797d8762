"""From the reserved slot to the outcome that everybody hopes for, and the ways to call a booking off before."""

from datetime import timedelta
from typing import Final

from sandbox.asking import Json
from sandbox.demo.scenario import HALF, Ending, Scenario, alone
from sandbox.demo.stage import PRICE, SESSION, Stage, at
from sandbox.person import REFUSED_CARD, has_status

TIERS: Final = [
    {"hours_before": 48, "refund_bps": 10_000},
    {"hours_before": 24, "refund_bps": 7_500},
    {"hours_before": 0, "refund_bps": 0},
]


async def happy_path(stage: Stage) -> Json:
    """Booked, paid, held, paid out."""
    booking = await stage.booked()
    await stage.complete(booking)
    return await stage.ended(booking, "the money to be captured")


async def charged_at_once(stage: Stage) -> Json:
    """The same where the service charges when it is booked."""
    booking = await stage.booked(capture="on_payment")
    await stage.complete(booking)
    return await stage.ended(booking, "the booking to be completed")


async def nobody_pays(stage: Stage) -> Json:
    """The slot is held for the payment window, and then it is free again."""
    window = stage.pace.unpaid_window
    booking = await stage.book(timedelta(days=1), payment_window=window)
    return await stage.ended(booking, "the payment window to end", window)


async def declined_then_paid(stage: Stage) -> Json:
    """A refused card costs nothing but another try."""
    booking = await stage.book()
    await stage.be_refused(booking, REFUSED_CARD)
    await stage.pay(booking)
    await stage.complete(booking)
    return await stage.ended(booking, "the money to be captured")


async def silence(stage: Stage) -> Json:
    """Nobody says how it went, so it went well, once the grace after the session is over."""
    booking = await stage.booked(stage.pace.silent_for - SESSION)
    left = stage.pace.silent_for + stage.pace.completion_grace
    return await stage.ended(booking, "the session and its grace to end without a word", left)


# --- approval -----------------------------------------------------------------------------------


async def approved(stage: Stage) -> Json:
    """The provider wants to be asked, says yes, and would rather have it over at once."""
    booking = await stage.booked(timedelta(days=1), approval="provider")
    stage.say("the provider accepts")
    await stage.provider.tell(booking["id"], "approve")
    stage.say("the provider moves the session to a moment from now")
    moved = await stage.provider.reschedule(booking["id"], at(stage.pace.ahead))
    await stage.take_place(moved)
    return await stage.ended(booking, "the money to be captured")


async def rejected(stage: Stage) -> Json:
    """The provider says no, and nothing stays authorized."""
    booking = await stage.booked(timedelta(days=1), approval="provider")
    stage.say("the provider turns it down")
    await stage.provider.tell(booking["id"], "reject", reason="I am on holiday then.")
    return await stage.ended(booking, "the authorization to be released")


async def never_answered(stage: Stage) -> Json:
    """The provider says nothing, which is no."""
    window = stage.pace.unpaid_window
    booking = await stage.booked(timedelta(days=1), approval="provider", approval_window=window)
    return await stage.ended(booking, "the provider's time to answer to end", window)


# --- called off ---------------------------------------------------------------------------------


async def cancelled_early(stage: Stage) -> Json:
    """Two days before, all comes back: the authorization is let go, nothing was ever charged."""
    booking = await stage.booked(timedelta(days=2))
    await stage.cancel(booking)
    return await stage.ended(booking, "the authorization to be released")


async def cancelled_after_charge(stage: Stage) -> Json:
    """The same where the service charges at once: here it is a refund."""
    booking = await stage.booked(timedelta(days=2), capture="on_payment")
    await stage.cancel(booking)
    return await stage.ended(booking, "the refund")


async def cancelled_in_a_tier(stage: Stage) -> Json:
    """A day and a half before, a quarter is kept, and the provider gets its share of that."""
    booking = await stage.booked(timedelta(hours=36), cancellation_tiers=TIERS)
    await stage.cancel(booking)
    return await stage.ended(booking, "a quarter of the money to be captured")


async def cancelled_late(stage: Stage) -> Json:
    """Two hours before, half is kept: the provider earns a share of that half."""
    booking = await stage.booked(timedelta(hours=2))
    await stage.cancel(booking)
    return await stage.ended(booking, "half of the money to be captured")


async def cancelled_by_provider(stage: Stage) -> Json:
    """However late the provider cancels, the client pays nothing."""
    booking = await stage.booked(timedelta(hours=2))
    stage.say("the provider cancels")
    await stage.provider.cancel(booking["id"])
    return await stage.ended(booking, "the authorization to be released")


# --- classes ------------------------------------------------------------------------------------


async def _a_full_class(stage: Stage, starts_in: timedelta) -> tuple[Json, Json, Json]:
    """A class with two seats, and both of them paid for."""
    session = await stage.put_up(starts_in, seats=2)
    stage.say("two clients take its two seats")
    people = (stage.client, stage.other_client)
    seats = [await who.join(session["id"]) for who in people]
    first, second = [await stage.pay(seat, who=who) for seat, who in zip(seats, people, strict=True)]
    return session, first, second


async def class_held(stage: Stage) -> tuple[Json, ...]:
    """A class takes place: its provider says so once, and every seat in it is settled."""
    session, *seats = await _a_full_class(stage, 3 * stage.pace.ahead)
    await stage.starts(seats[0])
    stage.say("the provider says that the class was held")
    await stage.provider.post(f"/api/sessions/{session['id']}/complete")
    return tuple([await stage.ended(seat, "the class's seats to be settled") for seat in seats])


async def class_called_off(stage: Stage) -> tuple[Json, ...]:
    """A class is called off, and everybody in it gets everything back."""
    session, *seats = await _a_full_class(stage, timedelta(days=2))
    stage.say("the provider calls the class off")
    await stage.provider.post(f"/api/sessions/{session['id']}/cancel")
    for seat in seats:
        await stage.until(seat, has_status("CANCELLED"), "the class's bookings to hear of it")
    return tuple([await stage.ended(seat, "the class's authorizations to be released") for seat in seats])


PAID: Final = Ending("COMPLETED", "CAPTURED", "PAID", captured=PRICE)
CALLED_OFF: Final = Ending("CANCELLED", "VOIDED", reason="cancelled_by_provider")

SCENARIOS: Final = (
    Scenario("happy path", alone(happy_path), (PAID,)),
    Scenario("charged at once", alone(charged_at_once), (PAID,)),
    Scenario("nobody pays", alone(nobody_pays), (Ending("CANCELLED", "VOIDED", reason="payment_timeout"),)),
    Scenario("declined, then paid", alone(declined_then_paid), (PAID,)),
    Scenario(
        "ended in silence",
        alone(silence),
        (Ending("COMPLETED", "CAPTURED", "PAID", reason="auto_completed", captured=PRICE),),
    ),
    Scenario("approved", alone(approved), (PAID,)),
    Scenario("rejected", alone(rejected), (Ending("REJECTED", "VOIDED", reason="rejected_by_provider"),)),
    Scenario(
        "never answered",
        alone(never_answered),
        (Ending("CANCELLED", "VOIDED", reason="approval_timeout"),),
    ),
    Scenario(
        "cancelled in time",
        alone(cancelled_early),
        (Ending("CANCELLED", "VOIDED", reason="cancelled_by_client"),),
    ),
    Scenario(
        "charged, cancelled",
        alone(cancelled_after_charge),
        (Ending("CANCELLED", "REFUNDED", reason="cancelled_by_client", captured=PRICE, refunded=PRICE),),
    ),
    Scenario(
        "cancelled in a tier",
        alone(cancelled_in_a_tier),
        (Ending("CANCELLED", "CAPTURED", "PAID", reason="cancelled_by_client", captured=PRICE // 4),),
    ),
    Scenario(
        "cancelled late",
        alone(cancelled_late),
        (Ending("FORFEIT", "CAPTURED", "PAID", reason="cancelled_by_client", captured=HALF),),
    ),
    Scenario("provider cancels", alone(cancelled_by_provider), (CALLED_OFF,)),
    Scenario("class held", class_held, (PAID, PAID)),
    Scenario("class called off", class_called_off, (CALLED_OFF, CALLED_OFF)),
)
