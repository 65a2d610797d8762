"""The authorization's clock: networks let go of what is not captured in time, and dates move."""

from datetime import timedelta
from typing import Any, Final

from sandbox.asking import Json
from sandbox.demo.scenario import Ending, Scenario, alone
from sandbox.demo.stage import Stage, at
from sandbox.demo.stories.booking import PAID
from sandbox.person import KEPT_THEN_REFUSED_CARD, has_payment

FAR_OFF: Final = timedelta(days=30)
"""Beyond any authorization: a card is kept, and charged nearer the date."""
SOON: Final = timedelta(days=2)


async def captured_early(stage: Stage) -> Json:
    """The authorization is about to end before anybody says how it went: the money is captured."""
    booking = await _authorized_briefly(stage)
    within = stage.pace.short_authorization
    await stage.until(booking, has_payment("CAPTURED"), "the authorization to be captured in time", within)
    await stage.complete(booking)
    return await stage.ended(booking, "the provider's share")


async def authorized_again(stage: Stage) -> Json:
    """The same under a policy that authorizes anew; the first authorization is let go."""
    booking = await _authorized_briefly(stage, authorization_expiry="reauthorize")
    first = booking["payment"]["payment_intent_id"]
    await stage.until(
        booking,
        lambda it: it["payment"]["payment_intent_id"] != first,
        "a second authorization",
        stage.pace.short_authorization,
    )
    await stage.complete(booking)
    return await stage.ended(booking, "the provider's share")


async def _authorized_briefly(stage: Stage, **policy: Any) -> Json:
    booking = await stage.book(**policy)
    async with stage.control.short_authorizations(stage.pace.short_authorization):
        await stage.client.pay(booking["id"])
    return await stage.until(booking, has_payment("AUTHORIZED"), "Stripe's webhook to confirm the booking")


async def authorized_later(stage: Stage) -> Json:
    """A month ahead the card is only kept; the session is brought forward, and the card is charged."""
    booking = await stage.booked(FAR_OFF)
    moved = await _moved(stage, booking, stage.pace.ahead)
    await stage.until(booking, has_payment("AUTHORIZED"), "the kept card to be charged")
    await stage.take_place(moved)
    return await stage.ended(booking, "the provider's share")


async def refused_then_fixed(stage: Stage) -> Json:
    """The kept card is refused when its day comes; the client uses another one in time."""
    booking = await stage.booked(FAR_OFF, card=KEPT_THEN_REFUSED_CARD)
    moved = await _moved(stage, booking, 2 * stage.pace.ahead)
    await stage.until(booking, _to_be_fixed, "the kept card to be refused")
    await stage.pay(booking)
    await stage.until(booking, has_payment("AUTHORIZED"), "the other card")
    await stage.take_place(moved)
    return await stage.ended(booking, "the provider's share")


async def never_fixed(stage: Stage) -> Json:
    """Or does not, and the slot goes to somebody else."""
    booking = await stage.booked(FAR_OFF, card=KEPT_THEN_REFUSED_CARD)
    await _moved(stage, booking, stage.pace.ahead)
    return await stage.ended(booking, "the client to use another card, in vain", stage.pace.ahead)


async def rescheduled(stage: Stage) -> Json:
    """The new time is taken before the old one is let go, and nobody pays again."""
    booking = await stage.booked(SOON)
    moved = await _moved(stage, booking, stage.pace.ahead)
    await stage.take_place(moved)
    return await stage.ended(booking, "the money to be captured")


async def rescheduled_far_off(stage: Stage) -> Json:
    """Moved beyond its authorization, the card is kept instead; moved back, it is charged again."""
    booking = await stage.booked(SOON)
    await _moved(stage, booking, FAR_OFF)
    await stage.until(booking, has_payment("SAVED"), "the authorization to be let go")
    moved = await _moved(stage, booking, stage.pace.ahead)
    await stage.until(booking, has_payment("AUTHORIZED"), "the kept card to be charged")
    await stage.take_place(moved)
    return await stage.ended(booking, "the provider's share")


async def _moved(stage: Stage, booking: Json, starts_in: timedelta) -> Json:
    stage.say("the client moves the booking")
    return await stage.client.reschedule(booking["id"], at(starts_in))


def _to_be_fixed(booking: Json) -> bool:
    return booking["payment"]["fix_by"] is not None


SCENARIOS: Final = (
    Scenario("captured early", alone(captured_early), (PAID,), plays_stripe=True, hurried=True),
    Scenario("authorized again", alone(authorized_again), (PAID,), plays_stripe=True, hurried=True),
    Scenario("authorized later", alone(authorized_later), (PAID,)),
    Scenario("refused, then fixed", alone(refused_then_fixed), (PAID,), hurried=True),
    Scenario(
        "refused, never fixed",
        alone(never_fixed),
        (Ending("CANCELLED", "FAILED", reason="authorization_refused"),),
    ),
    Scenario("rescheduled", alone(rescheduled), (PAID,)),
    Scenario("rescheduled far off", alone(rescheduled_far_off), (PAID,)),
)
