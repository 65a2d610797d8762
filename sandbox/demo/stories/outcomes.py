"""Who came and who did not, and what is said about it while the money is on hold."""

from datetime import timedelta
from typing import Final

from sandbox.asking import Json
from sandbox.demo.scenario import HALF, Ending, Scenario, alone
from sandbox.demo.stage import PRICE, SESSION, Stage, at
from sandbox.demo.stories.booking import PAID
from sandbox.person import has_payment, has_payout, needs

THIRD: Final = PRICE // 3


# --- no-shows -----------------------------------------------------------------------------------


async def client_did_not_come(stage: Stage) -> Json:
    """The policy keeps half of the price, and the provider gets its share of that."""
    booking = await stage.booked(client_no_show_keep_bps=5_000)
    stage.say("the provider says that the client did not come")
    await stage.provider.tell(booking["id"], "no-show", who="client")
    return await stage.ended(booking, "half of the money to be captured")


async def provider_did_not_come(stage: Stage) -> Json:
    """The client says so, the provider does not contradict, and everything goes back."""
    booking = await stage.booked(stage.pace.silent_for - SESSION)
    stage.say("the client says that the provider did not come")
    await stage.client.tell(booking["id"], "no-show", who="provider")
    left = stage.pace.silent_for + stage.pace.completion_grace
    return await stage.ended(booking, "the provider to contradict until the grace ends", left)


async def contradiction(stage: Stage) -> Json:
    """Each says something else: ops decide that the client gets a third back."""
    booking = await stage.booked()
    stage.say("the client says that the provider did not come")
    await stage.client.tell(booking["id"], "no-show", who="provider")
    stage.say("the provider says that the session has happened")
    await stage.provider.complete(booking["id"])
    await stage.until(booking, needs("reports"), "ops to be asked")
    await stage.ops.resolve(booking["id"], "reports", "refund", "both were late", THIRD)
    return await stage.ended(booking, "what ops decided")


# --- during the hold ----------------------------------------------------------------------------


async def refund_in_hold(stage: Stage) -> Json:
    """A third goes back before the provider is paid, so the share shrinks with it."""
    booking = await stage.held()
    stage.say("ops give a third back")
    await stage.ops.refund(booking["id"], "it started late", THIRD)
    await stage.release(booking)
    return await stage.ended(booking, "the smaller share")


async def refund_of_all_in_hold(stage: Stage) -> Json:
    """Everything goes back, and there is no share any more."""
    booking = await stage.held()
    stage.say("the provider gives everything back")
    await stage.provider.refund(booking["id"], "I was not prepared")
    return await stage.ended(booking, "the payout to be called off")


async def refund_fails_late(stage: Stage) -> Json:
    """The client's bank sends a refund back: the provider's share is whole again."""
    booking = await stage.held()
    stage.say("ops give a third back")
    await stage.ops.refund(booking["id"], "it started late", THIRD)
    refunds = await stage.outside.stripe.v1.refunds.list_async(
        {"payment_intent": booking["payment"]["payment_intent_id"]}
    )
    await stage.control.post(f"/refunds/{refunds.data[0].id}", status="failed")
    await stage.until(booking, has_payment("CAPTURED"), "the refund that came back")
    await stage.release(booking)
    return await stage.ended(booking, "the whole share")


async def refunded_in_the_dashboard(stage: Stage) -> Json:
    """Somebody refunds in Stripe's dashboard, past us: the books follow."""
    booking = await stage.held()
    await _refund_in_the_dashboard(stage, booking)
    await stage.until(booking, has_payment("PARTIALLY_REFUNDED"), "the webhook about it")
    await stage.release(booking)
    return await stage.ended(booking, "the smaller share")


async def lost_webhook(stage: Stage) -> Json:
    """The same, and Stripe's word of it is lost: reconciliation makes it good."""
    booking = await stage.held()
    async with stage.control.webhooks_lost(["charge.refunded", "charge.refund.updated", "refund.*"]):
        await _refund_in_the_dashboard(stage, booking)
        await stage.look(lambda: _is_lost(stage, "charge.refunded"), "the webhook to be lost")
    stage.say("ops compare with Stripe")
    await stage.ops.post("/api/ops/reconcile")
    await stage.until(booking, has_payment("PARTIALLY_REFUNDED"), "what the comparison found")
    await stage.release(booking)
    return await stage.ended(booking, "the smaller share")


async def _is_lost(stage: Stage, kind: str) -> bool:
    return kind in await stage.control.lost()


async def _refund_in_the_dashboard(stage: Stage, booking: Json) -> None:
    stage.say("somebody refunds a third in Stripe's dashboard")
    intent = booking["payment"]["payment_intent_id"]
    await stage.outside.stripe.v1.refunds.create_async({"payment_intent": intent, "amount": THIRD})


async def dispute_won(stage: Stage) -> Json:
    """The client's bank contests the charge; the hold is frozen, and goes on when the bank gives in."""
    booking = await _disputed(stage)
    await stage.until(booking, has_payout("HELD"), "the hold to go on")
    await stage.release(booking)
    return await stage.ended(booking, "the provider's share")


async def dispute_lost(stage: Stage) -> Json:
    """The bank keeps the money: there is nothing to pay out."""
    booking = await _disputed(stage, "lost")
    return await stage.ended(booking, "the payout to be called off")


async def _disputed(stage: Stage, verdict: str = "won") -> Json:
    booking = await stage.held()
    stage.say("the client's bank contests the charge")
    dispute = await stage.control.dispute(await stage.charge_of(booking))
    await stage.until(booking, has_payout("FROZEN"), "the hold to be frozen")
    stage.say(f"the bank decides: {verdict}")
    await stage.control.decide(dispute, verdict)
    return booking


async def objection_released(stage: Stage) -> Json:
    """The client contests, ops look into it and side with the provider."""
    booking = await _contested(stage)
    await stage.ops.resolve(booking["id"], "objection", "release", "the recording shows the whole session")
    await stage.until(booking, has_payout("HELD"), "the hold to go on")
    await stage.release(booking)
    return await stage.ended(booking, "the provider's share")


async def objection_refunded(stage: Stage) -> Json:
    """Or they give half of it back."""
    booking = await _contested(stage)
    await stage.ops.resolve(booking["id"], "objection", "refund", "half of it was missing", HALF)
    await stage.until(booking, has_payout("HELD"), "the hold to go on")
    await stage.release(booking)
    return await stage.ended(booking, "the smaller share")


async def _contested(stage: Stage) -> Json:
    booking = await stage.held()
    stage.say("the client contests")
    await stage.client.tell(booking["id"], "object", reason="It was over after half of the time.")
    return await stage.until(booking, needs("objection"), "ops to be asked")


async def hold_changed(stage: Stage) -> Json:
    """Ops extend the hold, then end it."""
    booking = await stage.held()
    stage.say("ops extend the hold")
    longer = at(stage.pace.long_hold + timedelta(hours=1))
    await stage.ops.hold(booking["id"], "extend", "the client is travelling", longer)
    await stage.release(booking)
    return await stage.ended(booking, "the provider's share")


SMALLER: Final = Ending("COMPLETED", "PARTIALLY_REFUNDED", "PAID", captured=PRICE, refunded=THIRD)

SCENARIOS: Final = (
    Scenario(
        "client did not come",
        alone(client_did_not_come),
        (Ending("NO_SHOW", "CAPTURED", "PAID", reason="client_no_show", captured=HALF),),
    ),
    Scenario(
        "provider did not come",
        alone(provider_did_not_come),
        (Ending("CANCELLED", "VOIDED", reason="provider_no_show"),),
    ),
    Scenario(
        "contradiction",
        alone(contradiction),
        (Ending("COMPLETED", "CAPTURED", "PAID", reason="decided_by_ops", captured=PRICE - THIRD),),
    ),
    Scenario("refund in the hold", alone(refund_in_hold), (SMALLER,)),
    Scenario(
        "all refunded in hold",
        alone(refund_of_all_in_hold),
        (Ending("COMPLETED", "REFUNDED", "CANCELLED", captured=PRICE, refunded=PRICE),),
    ),
    Scenario("refund fails late", alone(refund_fails_late), (PAID,), plays_stripe=True),
    Scenario("refund in dashboard", alone(refunded_in_the_dashboard), (SMALLER,)),
    Scenario("lost webhook", alone(lost_webhook), (SMALLER,), plays_stripe=True, hurried=True),
    Scenario("dispute won in hold", alone(dispute_won), (PAID,), plays_stripe=True),
    Scenario(
        "dispute lost in hold",
        alone(dispute_lost),
        (Ending("COMPLETED", "CAPTURED", "CANCELLED", captured=PRICE, lost=PRICE),),
        plays_stripe=True,
    ),
    Scenario("objection, released", alone(objection_released), (PAID,)),
    Scenario(
        "objection, refunded",
        alone(objection_refunded),
        (Ending("COMPLETED", "PARTIALLY_REFUNDED", "PAID", captured=PRICE, refunded=HALF),),
    ),
    Scenario("hold changed", alone(hold_changed), (PAID,)),
)
