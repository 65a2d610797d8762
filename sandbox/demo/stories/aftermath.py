"""The provider's money on its way, and what comes after it has arrived; payments that came too late."""

from datetime import timedelta
from typing import Any, Final

from models.keys import APP, stray_id_for
from sandbox.asking import Json, Refused
from sandbox.demo.scenario import HALF, Ending, Scenario, alone
from sandbox.demo.stage import PRICE, Stage
from sandbox.demo.stories.booking import PAID
from sandbox.person import FUNDS_AT_ONCE_CARD, GOOD_CARD, has_payment, has_payout, has_status

REVERSED_SHARE: Final = HALF - HALF * 2_000 // 10_000
"""The provider's part of a refund of half, and what half a payout may pay of its debts."""


# --- the payout ---------------------------------------------------------------------------------


async def blocked(stage: Stage) -> Json:
    """Stripe does not let the provider be paid; when it does again, the share follows by itself."""
    account = await stage.account()
    await stage.control.account(account, transfers="inactive")
    booking = await stage.booked()
    await stage.complete(booking)
    await stage.until(booking, has_payout("BLOCKED"), "the payout to find the account restricted")
    stage.say("the provider's account is in order again")
    await stage.control.account(account, transfers="active")
    return await stage.ended(booking, "the provider's share")


async def sent_to_the_bank(stage: Stage) -> Json:
    """An account on a manual schedule: its bank refuses the first payout and takes the second."""
    await stage.opened(payout_schedule="manual")
    account = await stage.account()
    await stage.control.account(account, payouts_fail="account_closed")
    booking = await stage.booked(card=FUNDS_AT_ONCE_CARD)
    await stage.complete(booking)
    await stage.look(lambda: _bank_refused(stage, account), "the bank to refuse the payout")
    stage.say("the provider names another bank account")
    await stage.control.account(account, payouts_fail=None, details_submitted=True)
    return await stage.ended(booking, "the provider's bank")


async def _bank_refused(stage: Stage, account: str) -> bool:
    payouts = await stage.outside.stripe.v1.payouts.list_async({"limit": 1}, {"stripe_account": account})
    return any(payout.status == "failed" for payout in payouts.data)


# --- after the payout ---------------------------------------------------------------------------


async def refund_reversed(stage: Stage) -> Json:
    """Half goes back after the provider was paid: its part of that is taken from its account."""
    booking = await stage.paid_out(FUNDS_AT_ONCE_CARD)
    await _refund_half(stage, booking)
    return await stage.becomes(booking, has_payout("PARTIALLY_REVERSED"), "the provider's part of it")


async def refund_owed(stage: Stage) -> tuple[Json, ...]:
    """The account is empty by then: the provider owes its part, and the next payout pays it."""
    first = await stage.paid_out(FUNDS_AT_ONCE_CARD)
    await stage.control.drain(await stage.account())
    await _refund_half(stage, first)
    await stage.look(lambda: _owes(stage, REVERSED_SHARE), "the provider's debt")
    second = await stage.booked()
    await stage.complete(second)
    paid = await stage.ended(second, "the next share, less what is owed")
    return await stage.becomes(first, has_payment("PARTIALLY_REFUNDED"), "the refund"), paid


async def _owes(stage: Stage, amount: int) -> bool:
    provider = await stage.opened()
    debts = (await stage.ops.get(f"/api/providers/{provider['id']}"))["debts"]
    return bool(sum(debt["amount"] for debt in debts) == amount)


async def _refund_half(stage: Stage, booking: Json) -> None:
    stage.say("ops give half back")
    await stage.ops.refund(booking["id"], "it turned out badly", HALF)


async def dispute_lost_later(stage: Stage) -> Json:
    """The client's bank takes the money back after the provider was paid, and keeps it."""
    booking, dispute = await _disputed(stage)
    await stage.control.decide(dispute, "lost")
    return await stage.becomes(booking, has_payout("REVERSED"), "the bank's verdict")


async def dispute_won_later(stage: Stage) -> Json:
    """Or gives it back, and the provider gets its share again."""
    booking, dispute = await _disputed(stage)
    await stage.control.decide(dispute, "won")
    return await stage.becomes(booking, has_payout("PAID"), "the provider's share, once more")


async def _disputed(stage: Stage) -> tuple[Json, str]:
    booking = await stage.paid_out(FUNDS_AT_ONCE_CARD)
    stage.say("the client's bank contests the charge")
    dispute = await stage.control.dispute(await stage.charge_of(booking))
    await stage.until(booking, has_payout("REVERSED"), "the provider's share to be taken back")
    return booking, dispute


# --- too late -----------------------------------------------------------------------------------


async def paid_late(stage: Stage) -> tuple[Json, ...]:
    """A payment for a booking that nobody paid in time: the slot is still free, so it is a booking after all."""
    ended = await _nobody_paid(stage)
    retaken = {"id": str(stray_id_for(await _pay_all_the_same(stage, ended)))}
    await stage.look(lambda: _exists(stage, retaken), "a booking to be made of it")
    await stage.until(retaken, has_status("CONFIRMED"), "the slot to be taken again")
    await stage.cancel(retaken)
    return ended, await stage.ended(retaken, "the authorization to be released")


async def _exists(stage: Stage, booking: Json) -> bool:
    try:
        await stage.client.see(booking["id"])
    except Refused as refusal:
        if refusal.code not in ("not_found", "booking_not_ready"):
            raise
        return False
    return True


async def paid_in_vain(stage: Stage) -> Json:
    """The same where the policy gives late payments back."""
    ended = await _nobody_paid(stage, late_payment="refund")
    intent = await _pay_all_the_same(stage, ended)
    await stage.look(lambda: _is_voided(stage, intent), "the late payment to be let go")
    return await stage.becomes(ended, has_status("CANCELLED"), "nothing any more")


async def _is_voided(stage: Stage, intent: str) -> bool:
    return (await stage.outside.stripe.v1.payment_intents.retrieve_async(intent)).status == "canceled"


async def _nobody_paid(stage: Stage, **policy: Any) -> Json:
    window = stage.pace.unpaid_window
    booking = await stage.book(timedelta(days=2), payment_window=window, **policy)
    return await stage.until(booking, has_status("CANCELLED"), "the payment window to end", window)


async def _pay_all_the_same(stage: Stage, booking: Json) -> str:
    """A second intent for the booking, of the kind that a crash leaves behind: no row knows it."""
    stage.say("a payment arrives all the same")
    intents = stage.outside.stripe.v1.payment_intents
    first = await intents.retrieve_async(booking["payment"]["payment_intent_id"])
    params: Any = {
        "amount": first.amount,
        "currency": first.currency,
        "customer": str(first.customer),
        "capture_method": "manual",
        "payment_method": GOOD_CARD,
        "confirm": True,
        "metadata": {"app": APP, "booking_id": booking["id"]},
    }
    async with stage.control.authorizing.among_others():
        return str((await intents.create_async(params)).id)


REFUNDED_LATER: Final = Ending(
    "COMPLETED", "PARTIALLY_REFUNDED", "PARTIALLY_REVERSED", captured=PRICE, refunded=HALF
)
OWED: Final = Ending("COMPLETED", "PARTIALLY_REFUNDED", "PAID", captured=PRICE, refunded=HALF)
PAYS_ITS_DEBT: Final = Ending("COMPLETED", "CAPTURED", "PAID", captured=PRICE, netted=REVERSED_SHARE)
TAKEN_BACK: Final = Ending("COMPLETED", "CAPTURED", "REVERSED", captured=PRICE, lost=PRICE)
UNPAID: Final = Ending("CANCELLED", "VOIDED", reason="payment_timeout")
CANCELLED_AFTER_ALL: Final = Ending("CANCELLED", "VOIDED", reason="cancelled_by_client")

SCENARIOS: Final = (
    Scenario("blocked, then paid", alone(blocked), (PAID,), plays_stripe=True),
    Scenario("sent to the bank", alone(sent_to_the_bank), (PAID,), plays_stripe=True),
    Scenario("refund, reversed", alone(refund_reversed), (REFUNDED_LATER,)),
    Scenario("refund, owed", refund_owed, (OWED, PAYS_ITS_DEBT), plays_stripe=True),
    Scenario("dispute lost later", alone(dispute_lost_later), (TAKEN_BACK,), plays_stripe=True),
    Scenario("dispute won later", alone(dispute_won_later), (PAID,), plays_stripe=True),
    Scenario("paid late", paid_late, (UNPAID, CANCELLED_AFTER_ALL), plays_stripe=True, hurried=True),
    Scenario("paid in vain", alone(paid_in_vain), (UNPAID,), plays_stripe=True, hurried=True),
)
