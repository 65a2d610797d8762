"""The reconciler: lost words and lost runs are made good, and money that differs is reported (DESIGN 9)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from activities import comparing, oversight
from activities.comparing import Comparison
from activities.findings import STEP, Findings, Observation
from activities.inbox import Inbox
from activities.lost_runs import LostRuns
from activities.oversight import OversightActivities, Watch
from activities.sweeping import Sweep
from activities.telling import Telling
from models.bookings import Booking, BookingRequest
from models.catalogue import Provider
from models.database import Database
from models.keys import (
    APP,
    aftercare_id_for,
    class_workflow_id_for,
    transfer_group_for,
    workflow_id_for,
)
from models.ledger import LedgerEntry
from models.records import Cursor, Finding, StripeEvent
from models.states import OperationState, PayoutStatus, ReportedOutcome
from tests.activities.desk import PROVIDER, Desk, now
from tests.activities.letters import NOBODY, listening
from tests.activities.money_steps import REFUND
from tests.activities.tampering import change_booking, change_operation, change_payout, sent_to_bank
from tests.activities.test_classes import order, put_up
from tests.sandbox.stripe.conftest import until
from tests.support.dev_server import own_temporal
from tests.support.scratch import scratch_database
from workflows.contracts import RELAY_WORKFLOW_ID
from workflows.followups import ClassOrder

PAID = "payment_intent.amount_capturable_updated"
AT_ONCE = timedelta(0)


@dataclass(frozen=True)
class Office:
    """A database of the test's own, and everybody who looks after it, at once instead of in minutes."""

    desk: Desk
    sweep: Sweep
    lost_runs: LostRuns
    comparison: Comparison
    findings: Findings
    oversight: OversightActivities

    async def compare(self) -> list[str]:
        """Look, report, and answer with the rules under which something stands."""
        standing = await self.findings.report(comparing.RULES, await self.comparison.look())
        return [one.rule for one in standing]


@pytest.fixture(scope="module")
async def quiet_temporal() -> AsyncIterator[Client]:
    async with own_temporal() as client:
        yield client


@pytest.fixture
async def office(database_url: str, desk: Desk, quiet_temporal: Client) -> AsyncIterator[Office]:
    desk = replace(desk, temporal=quiet_temporal)
    async with scratch_database(database_url) as database:
        inbox = Inbox(database, desk.temporal)
        findings = Findings(database)
        watch = Watch(
            sweep=Sweep(database, inbox, desk.gateway, now),
            lost_runs=LostRuns(database, inbox.telling, young=AT_ONCE, forgotten=AT_ONCE),
            comparison=Comparison(database, desk.gateway, findings, now, grace=AT_ONCE),
            findings=findings,
        )
        yield Office(
            replace(desk, database=database),
            watch.sweep,
            watch.lost_runs,
            watch.comparison,
            findings,
            OversightActivities(database, inbox.telling, watch, now),
        )


async def events(office: Office) -> list[StripeEvent]:
    async def work(session: AsyncSession) -> list[StripeEvent]:
        return list(await session.scalars(select(StripeEvent)))

    return await office.desk.database.run(work)


# --- lost words -----------------------------------------------------------------------------------


@pytest.mark.fault("W1")
async def test_events_that_no_webhook_brought_are_in_the_inbox_after_a_sweep_once(office: Office) -> None:
    booking_id = await office.desk.paid(await office.desk.shop())
    assert await events(office) == []
    assert await office.sweep.run() > 0
    found = await events(office)
    intent = await office.desk.intent_id(booking_id)
    assert PAID in {one.type for one in found if one.payment_intent_id == intent}
    assert all(one.account is None and one.handled_at is None for one in found)
    assert await office.sweep.run() == 0


@pytest.mark.fault("W1")
async def test_a_sweep_goes_on_where_the_last_one_ended_with_an_overlap(office: Office) -> None:
    await office.desk.paid(await office.desk.shop())
    await office.sweep.run()

    async def forget(session: AsyncSession) -> None:
        await session.execute(delete(StripeEvent))
        await session.execute(update(Cursor).values(at=now() + timedelta(days=1)))

    await office.desk.database.run(forget)
    assert await office.sweep.run() == 0, "what happened before the cursor is not read again"
    await office.desk.database.run(forget_cursor)
    assert await office.sweep.run() > 0


async def forget_cursor(session: AsyncSession) -> None:
    await session.execute(delete(Cursor))


async def test_the_events_of_an_account_are_swept_while_its_payouts_are_ours_to_send(office: Office) -> None:
    shop = await office.desk.shop()
    booking_id = await office.desk.earned(shop)
    await office.desk.control.ask("POST", f"/accounts/{shop.account_id}", payouts_enabled=False)
    await office.sweep.run()
    assert shop.account_id not in {one.account for one in await events(office)}
    manual = update(Provider).where(Provider.id == shop.provider_id).values(payout_schedule="manual")
    await office.desk.database.run(lambda session: session.execute(manual))
    assert await office.sweep.run() > 0
    swept = [one for one in await events(office) if one.account == shop.account_id]
    assert "account.updated" in {one.type for one in swept}
    await change_payout(office.desk, booking_id, status=PayoutStatus.PAID)
    await office.desk.control.ask("POST", f"/accounts/{shop.account_id}", payouts_enabled=True)
    assert await office.sweep.run() == 0


async def test_an_account_that_left_does_not_stop_the_sweep(office: Office) -> None:
    shop = await office.desk.shop()
    booking_id = await office.desk.earned(shop)
    await change_payout(office.desk, booking_id, status=PayoutStatus.BLOCKED)
    await office.desk.control.ask("POST", f"/accounts/{shop.account_id}", deauthorized=True)
    assert await office.sweep.run() > 0


# --- lost runs --------------------------------------------------------------------------------------


async def is_running(office: Office, workflow_id: str) -> bool:
    try:
        found = await office.desk.temporal.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return False
    return found.status is WorkflowExecutionStatus.RUNNING


async def stop(office: Office, workflow_id: str) -> None:
    await office.desk.temporal.get_workflow_handle(workflow_id).terminate("the test is over")


async def test_a_booking_whose_workflow_was_terminated_gets_another_run_of_the_same_request(
    office: Office,
) -> None:
    shop = await office.desk.shop()
    booking_id = await office.desk.reserved(shop)
    workflow = await listening(office.desk, booking_id)
    assert (await office.lost_runs.make_good()).runs == 0
    await workflow.terminate("by mistake")

    async def restarted() -> int:
        """Temporal's lists show an end a moment late."""
        return (await office.lost_runs.make_good()).runs

    assert await until(restarted) == 1
    assert await is_running(office, workflow_id_for(booking_id))
    assert (await office.lost_runs.make_good()).runs == 0
    started = await office.desk.temporal.get_workflow_handle(workflow_id_for(booking_id)).describe()
    assert (started.workflow_type, started.task_queue) == ("Booking", "bookings")
    await stop(office, workflow_id_for(booking_id))


async def test_a_young_booking_is_left_alone(office: Office) -> None:
    await office.desk.reserved(await office.desk.shop())
    patient = LostRuns(office.desk.database, Telling(office.desk.temporal))
    assert (await patient.make_good()).runs == 0


@pytest.mark.parametrize(("status", "runs"), [("HELD", 1), ("PAID", 0)])
async def test_a_finished_booking_is_run_again_only_while_its_payout_is_open(
    office: Office, status: str, runs: int
) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())
    await change_payout(office.desk, booking_id, status=status)
    assert (await office.lost_runs.make_good()).runs == runs
    if runs:
        await stop(office, workflow_id_for(booking_id))


async def test_a_payout_that_its_aftercare_looks_after_needs_no_other_run(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())
    aftercare = aftercare_id_for(booking_id)
    await office.desk.temporal.start_workflow("Aftercare", id=aftercare, task_queue=NOBODY)
    assert (await office.lost_runs.make_good()).runs == 0
    await stop(office, aftercare)


async def unbalance(office: Office, booking_id: UUID) -> None:
    """The provider is owed what nobody looks after any more."""

    async def work(session: AsyncSession) -> None:
        held = update(LedgerEntry).where(LedgerEntry.booking_id == booking_id, LedgerEntry.account == "held")
        await session.execute(held.values(account="provider_payable"))

    await tamper(office.desk.database, work)
    await change_payout(office.desk, booking_id, status=PayoutStatus.PAID)


async def test_books_that_do_not_balance_in_the_end_get_aftercare(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())
    await unbalance(office, booking_id)
    assert (await office.lost_runs.make_good()).aftercare == 1
    assert await is_running(office, aftercare_id_for(booking_id))
    assert (await office.lost_runs.make_good()).aftercare == 0
    await stop(office, aftercare_id_for(booking_id))


async def refusal(office: Office, booking_id: UUID) -> str | None:
    asked = await office.desk.database.run(lambda session: session.get_one(BookingRequest, booking_id))
    return asked.refusal


async def test_a_request_that_nobody_took_up_is_called_off(office: Office) -> None:
    shop = await office.desk.shop()
    forgotten, running = await shop.asked(shop.request()), await shop.asked(shop.request())
    workflow = await listening(office.desk, running.booking_id)
    patient = LostRuns(office.desk.database, Telling(office.desk.temporal))
    assert (await patient.make_good()).requests == 0
    assert (await office.lost_runs.make_good()).requests == 1
    assert await refusal(office, forgotten.booking_id) == "invalid_state"
    assert await refusal(office, running.booking_id) is None
    await workflow.terminate("the test is over")


# --- money that differs -------------------------------------------------------------------------------


async def test_books_and_stripe_that_agree_leave_no_finding(office: Office) -> None:
    booking_id = await REFUND.prepare(office.desk)
    assert await office.compare() == []
    await REFUND.act(office.desk.activities(), booking_id)
    assert await office.compare() == []


async def attention(office: Office, booking_id: UUID) -> str | None:
    booking = await office.desk.database.run(lambda session: session.get_one(Booking, booking_id))
    return booking.attention_step


async def test_a_refund_at_stripe_only_is_a_finding_until_our_books_have_it(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())
    intent = await office.desk.intent_id(booking_id)
    refund = await office.desk.sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 1_000})
    assert await office.compare() == [comparing.UNKNOWN_MONEY]
    assert await office.compare() == [comparing.UNKNOWN_MONEY]
    (finding,) = await office.findings.open_ones()
    assert (finding.subject, finding.booking_id) == (refund.id, booking_id)
    assert await attention(office, booking_id) == STEP
    await office.desk.control.ask("POST", f"/refunds/{refund.id}", status="failed")
    assert await office.compare() == []
    assert await attention(office, booking_id) is None


async def test_a_difference_that_a_booking_has_parked_for_keeps_its_own_attention(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())
    await change_booking(office.desk, booking_id, attention_step="pay_out")
    intent = await office.desk.intent_id(booking_id)
    await office.desk.sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 1_000})
    assert await office.compare() == [comparing.UNKNOWN_MONEY]
    assert await attention(office, booking_id) == "pay_out"


async def test_a_transfer_of_a_booking_that_we_never_made_is_a_finding(office: Office) -> None:
    shop = await office.desk.shop()
    booking_id = await office.desk.earned(shop)
    await office.desk.sdk.v1.payment_intents.create_async(
        {"amount": 9_000, "currency": "eur", "payment_method": "pm_card_bypassPending", "confirm": True}
    )
    params = {"currency": "eur", "destination": shop.account_id, "metadata": {"app": APP}}
    for amount in (100, 200):
        await office.desk.sdk.v1.transfers.create_async(
            {**params, "amount": amount, "transfer_group": transfer_group_for(booking_id)}  # type: ignore[typeddict-item]
        )
    found = await office.compare()
    assert sorted(set(found)) == sorted({comparing.UNKNOWN_MONEY, comparing.PAID_TWICE})
    assert found.count(comparing.UNKNOWN_MONEY) == 2


async def test_somebody_elses_money_on_the_same_account_is_no_finding(office: Office) -> None:
    intent = await office.desk.sdk.v1.payment_intents.create_async(
        {"amount": 5_000, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    )
    await office.desk.sdk.v1.refunds.create_async({"payment_intent": intent.id})
    assert await office.compare() == []


async def test_books_that_name_what_stripe_does_not_have_are_a_finding(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())

    async def rename(session: AsyncSession) -> None:
        mine = LedgerEntry.kind == "capture", LedgerEntry.booking_id == booking_id
        await session.execute(update(LedgerEntry).where(*mine).values(stripe_object_id="ch_nowhere"))

    await tamper(office.desk.database, rename)
    assert set(await office.compare()) == {comparing.NO_MONEY, comparing.UNKNOWN_MONEY}


async def test_an_amount_that_differs_is_a_finding(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())

    async def more(session: AsyncSession) -> None:
        mine = LedgerEntry.kind == "capture", LedgerEntry.booking_id == booking_id
        await session.execute(update(LedgerEntry).where(*mine).values(amount=LedgerEntry.amount + 1))

    await tamper(office.desk.database, more)
    assert await office.compare() == [comparing.OTHER_AMOUNT]


async def test_a_write_that_nobody_knows_the_end_of_is_a_finding_after_a_quarter_of_an_hour(
    office: Office,
) -> None:
    booking_id = await office.desk.opened(await office.desk.shop())
    (made,) = await office.desk.operations(booking_id, "intent")
    await change_operation(office.desk, made.key, state=OperationState.UNKNOWN)
    assert await office.compare() == []
    await change_operation(office.desk, made.key, started_at=now() - timedelta(minutes=16))
    assert await office.compare() == [comparing.OPERATION]


async def test_an_account_that_left_does_not_stop_the_comparison_of_the_others(office: Office) -> None:
    desk, shop, other = office.desk, await office.desk.shop(), await office.desk.shop()
    await sent_to_bank(desk, await desk.earned(shop), shop.account_id)
    await sent_to_bank(desk, await desk.earned(other), other.account_id)
    assert await office.compare() == [comparing.BANK, comparing.BANK]
    await desk.control.ask("POST", f"/accounts/{shop.account_id}", deauthorized=True)
    assert await office.compare() == [comparing.BANK, comparing.BANK]  # what cannot be seen is not resolved


async def test_transfers_of_another_product_are_nobodys_second_ones(office: Office) -> None:
    desk, shop = office.desk, await office.desk.shop()
    await desk.control.ask("POST", "/balance", amount=20_000, currency="eur")
    for _ in range(2):
        await desk.sdk.v1.transfers.create_async(
            {
                "amount": 100,
                "currency": "eur",
                "destination": shop.account_id,
                "transfer_group": "order_17",
                "metadata": {"booking_id": str(uuid4())},
            }
        )
        await desk.sdk.v1.transfers.create_async(
            {
                "amount": 100,
                "currency": "eur",
                "destination": shop.account_id,
                "transfer_group": "order_18",
                "metadata": {"booking_id": "a6a2c3b0-3f5f-4b0e-9a53-0d6c0f0b7a11"},
            }
        )
    assert await office.compare() == []


async def test_a_relay_that_was_ended_runs_again(office: Office) -> None:
    await office.oversight.reconcile()
    relay = office.desk.temporal.get_workflow_handle(RELAY_WORKFLOW_ID)
    await relay.terminate()
    await office.oversight.reconcile()
    assert await is_running(office, RELAY_WORKFLOW_ID)


async def test_a_long_look_says_that_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oversight, "BEAT_SECONDS", 0.01)
    beats, enough = 0, asyncio.Event()

    def heard(*_: object) -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            enough.set()

    async def look() -> None:
        async with oversight.alive():
            await enough.wait()

    environment = ActivityEnvironment()
    environment.on_heartbeat = heard
    async with asyncio.timeout(10):
        await environment.run(look)


async def test_what_moved_a_moment_ago_is_left_to_the_next_look(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())
    intent = await office.desk.intent_id(booking_id)
    await office.desk.sdk.v1.refunds.create_async({"payment_intent": intent, "amount": 1_000})
    patient = Comparison(office.desk.database, office.desk.gateway, office.findings, now)
    assert await patient.look() == []


async def tamper(database: Database, work: Callable[[AsyncSession], Awaitable[None]]) -> None:
    """Write over what no trigger would let anybody write over."""

    async def unguarded(session: AsyncSession) -> None:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await work(session)

    await database.run(unguarded)


# --- the whole look -------------------------------------------------------------------------------------


async def test_a_reconciliation_says_what_it_made_good_and_what_stands(office: Office) -> None:
    booking_id = await office.desk.paid(await office.desk.shop())
    first = await office.oversight.reconcile()
    assert first.repaired["runs"] == 1
    assert first.repaired["events"] > 0
    assert first.findings == 0
    second = await office.oversight.reconcile()
    assert not any(second.repaired.values())
    await stop(office, workflow_id_for(booking_id))


async def test_an_audit_resolves_what_it_does_not_see_any_more_and_nothing_else(office: Office) -> None:
    booking_id = await office.desk.earned(await office.desk.shop())
    await office.findings.report(
        [comparing.BANK], [Observation(comparing.BANK, "po_1", "of the other look", booking_id)]
    )
    await change_payout(office.desk, booking_id, status=PayoutStatus.CANCELLED)
    assert (await office.oversight.audit()).findings > 1
    await change_payout(office.desk, booking_id, status=PayoutStatus.HELD)
    assert (await office.oversight.audit()).findings == 1
    await office.findings.report([comparing.BANK], [])
    assert await office.findings.open_ones() == []


async def test_a_finding_that_comes_back_is_the_same_finding(office: Office) -> None:
    seen = Observation("a rule", f"subject {uuid4()}", "first")
    (first,) = await office.findings.report(["a rule"], [seen])
    assert await office.findings.report(["a rule"], []) == []
    (again,) = await office.findings.report(["a rule"], [replace(seen, detail="again")])
    assert (again.id, again.detail, again.resolved_at) == (first.id, "again", None)
    rows = select(Finding.id)

    async def ids(session: AsyncSession) -> list[int]:
        return list(await session.scalars(rows))

    assert await office.desk.database.run(ids) == [first.id]


# --- classes that lost their run --------------------------------------------------------------------------


async def started_with(office: Office, session_id: UUID) -> ClassOrder:
    temporal = office.desk.temporal
    history = await temporal.get_workflow_handle(class_workflow_id_for(session_id)).fetch_history()
    given = history.events[0].workflow_execution_started_event_attributes
    assert (given.workflow_type.name, given.task_queue.name) == ("Class", "bookings")
    (said,) = await temporal.data_converter.decode(given.input.payloads, [ClassOrder])
    assert isinstance(said, ClassOrder)
    return said


@pytest.mark.parametrize("kind", [ReportedOutcome.CANCELLED, ReportedOutcome.COMPLETED])
async def test_a_closed_class_without_a_workflow_is_told_again_while_somebody_has_a_seat(
    office: Office, kind: ReportedOutcome
) -> None:
    session_id, (first, last) = await put_up(office.desk, seats=2)
    running = [await listening(office.desk, booking_id) for booking_id in (first, last)]
    assert (await office.lost_runs.make_good()).runs == 0, "a class that is not over has none"
    await office.desk.activities().classes.close_class(order(session_id, kind))
    await change_booking(office.desk, first, status="CANCELLED", status_reason="cancelled_by_client")
    assert (await office.lost_runs.make_good()).runs == 1
    assert await started_with(office, session_id) == ClassOrder(
        session_id=session_id, kind=kind, actor=PROVIDER
    )
    assert (await office.lost_runs.make_good()).runs == 0
    await stop(office, class_workflow_id_for(session_id))
    assert (await office.lost_runs.make_good()).runs == 1
    await stop(office, class_workflow_id_for(session_id))
    await change_booking(office.desk, last, status="CANCELLED", status_reason="cancelled_by_provider")
    assert (await office.lost_runs.make_good()).runs == 0
    for workflow in running:
        await workflow.terminate("the test is over")


async def test_the_session_of_one_booking_is_no_class_to_be_told(office: Office) -> None:
    booking_id = await office.desk.reserved(await office.desk.shop())
    workflow = await listening(office.desk, booking_id)
    booking = await office.desk.database.run(lambda session: session.get_one(Booking, booking_id))
    session_id = booking.session_id
    await office.desk.activities().classes.close_class(order(session_id, ReportedOutcome.CANCELLED))
    assert (await office.lost_runs.make_good()).runs == 0
    await workflow.terminate("the test is over")
