"""The timeline: what happened, in whose words, and what money did."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient

from api.journals import MEASURED_BY, SEES, WORDS, movements
from models import ledger
from models.books import Books, Division
from models.database import Database
from models.ledger import JournalKind, Line
from models.records import AuditEvent
from models.states import Role
from tests.api.calls import Headers, Json, as_client, as_ops, as_provider, booked
from tests.api.journeys import act, held
from tests.api.rows import BOOKING_ID, NOW
from tests.support.shop import Shop

BOOKS = Books(currency="eur", fee_bps=2_000, captured=12_000)
LESS = BOOKS.model_copy(update={"refunded": 2_000})
PAID = BOOKS.model_copy(update={"allocated": True, "transferred": 9_600})

JOURNALS: list[tuple[JournalKind, Sequence[Line], int, str]] = [
    (JournalKind.CAPTURE, ledger.capture(12_000), 12_000, "120.00 EUR was captured from the client"),
    (JournalKind.STRIPE_FEE, ledger.stripe_fee(300), 300, "Stripe kept 3.00 EUR"),
    (JournalKind.REFUND, ledger.shift(BOOKS, LESS), 2_000, "20.00 EUR was refunded to the client"),
    (
        JournalKind.REFUND,
        ledger.shift(PAID, PAID.model_copy(update={"refunded": 2_000})),
        2_000,
        "20.00 EUR was refunded to the client",
    ),
    (JournalKind.REFUND_FAILURE, ledger.shift(LESS, BOOKS), 2_000, "A refund of 20.00 EUR failed"),
    (
        JournalKind.DISPUTE,
        ledger.shift(BOOKS, BOOKS.model_copy(update={"disputed": 12_000})),
        12_000,
        "The client's bank withdrew 120.00 EUR",
    ),
    (
        JournalKind.DISPUTE,
        ledger.shift(BOOKS.model_copy(update={"disputed": 12_000}), BOOKS),
        -12_000,
        "The client's bank returned 120.00 EUR",
    ),
    (JournalKind.DISPUTE_FEE, ledger.dispute_fee(1_500), 1_500, "The dispute cost a fee of 15.00 EUR"),
    (JournalKind.DISPUTE_FEE, ledger.dispute_fee(-1_500), -1_500, "fee of 15.00 EUR back"),
    (
        JournalKind.ALLOCATION,
        ledger.allocation(Division(platform_fee=2_400, provider_share=9_600)),
        9_600,
        "96.00 EUR is the provider's share",
    ),
    (JournalKind.TRANSFER, ledger.transfer(9_600), 9_600, "96.00 EUR was transferred to the provider"),
    (JournalKind.REVERSAL, ledger.reversal(1_000), 1_000, "10.00 EUR was taken back"),
    (JournalKind.NETTING, ledger.netting(500), 500, "5.00 EUR of the provider's share paid debts"),
    (JournalKind.DEBT, ledger.debt(700), 700, "The provider owes 7.00 EUR"),
    (JournalKind.DEBT_RELIEF, ledger.debt_relief(700), 700, "The provider owes 7.00 EUR less"),
    (JournalKind.WAIVER, ledger.waiver(600), 600, "6.00 EUR stays with the platform"),
]


def posted(kind: JournalKind, lines: Sequence[Line]) -> list[ledger.LedgerEntry]:
    rows = ledger.entries(kind, BOOKING_ID, "eur", lines, "obj_1")
    for row in rows:
        row.posted_at = NOW
    return rows


@pytest.mark.parametrize(("kind", "lines", "amount", "told"), JOURNALS, ids=range(len(JOURNALS)))
def test_a_journal_says_what_happened(
    kind: JournalKind, lines: Sequence[Line], amount: int, told: str
) -> None:
    (movement,) = movements(posted(kind, lines), Role.OPS)
    assert movement.amount == amount
    assert told in movement.told
    assert movement.stripe_object_id == "obj_1"


def test_every_kind_of_journal_has_words() -> None:
    assert {kind for kind, _, _, _ in JOURNALS} == set(WORDS) == set(MEASURED_BY) == set(JournalKind)


def test_everybody_sees_the_money_that_is_theirs() -> None:
    entries = [entry for kind, lines, _, _ in JOURNALS for entry in posted(kind, lines)]
    seen = {role: {each.journal for each in movements(entries, role)} for role in SEES}
    assert JournalKind.TRANSFER not in seen[Role.CLIENT]
    assert JournalKind.STRIPE_FEE not in seen[Role.PROVIDER]
    assert JournalKind.DEBT in seen[Role.PROVIDER]
    assert seen[Role.OPS] == set(JournalKind)
    assert all(each.stripe_object_id is None for each in movements(entries, Role.CLIENT))


def test_journals_are_told_in_the_order_of_posting() -> None:
    late, early = posted(*JOURNALS[10][:2]), posted(*JOURNALS[0][:2])
    for entry in late:
        entry.posted_at = NOW + timedelta(hours=1)
    told = [each.journal for each in movements([*late, *early], Role.OPS)]
    assert told == [JournalKind.CAPTURE, JournalKind.TRANSFER]


async def timeline(api: httpx.AsyncClient, made: Json, headers: Headers) -> Json:
    answer = await api.get(f"/api/bookings/{made['id']}/timeline", headers=headers)
    assert answer.status_code == 200, answer.text
    seen: Json = answer.json()
    return seen


@pytest.mark.usefixtures("running_worker")
async def test_a_booking_tells_its_life(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await held(api, shop, sdk)
    seen = await timeline(api, made, as_provider(shop))
    moves = [
        (line["entity"], line["from_status"], line["to_status"], line["actor_role"])
        for line in seen["happened"]
        if line["kind"] == "transition"
    ]
    assert moves[:3] == [
        ("session", None, "DRAFT", "system"),
        ("booking", None, "PENDING", "system"),
        ("payment", None, "PENDING", "system"),
    ]
    assert ("booking", "CONFIRMED", "COMPLETED", "provider") in moves
    assert ("payout", None, "HELD", "provider") in moves or ("payout", None, "HELD", "system") in moves
    money = [line["told"] for line in seen["happened"] if line["kind"] == "money"]
    assert "120.00 EUR was captured from the client" in money
    assert (seen["awaiting"]["what"], seen["payout_held_because"]) == ("hold", ["hold"])
    assert seen["awaiting"]["until"] == made["payout"]["due_at"]


@pytest.mark.usefixtures("running_worker")
async def test_only_ops_read_who_it_was(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    await act(api, made, "cancel", as_client(shop), reason="I am ill")
    ours, theirs = await timeline(api, made, as_ops()), await timeline(api, made, as_provider(shop))
    assert shop.client_id in {line.get("actor_id") for line in ours["happened"]}
    assert {line.get("actor_id") for line in theirs["happened"]} == {None}
    assert {line.get("workflow_run_id") for line in theirs["happened"]} == {None}
    said = [line for line in theirs["happened"] if line["kind"] == "remark"]
    assert [(line["about"], line["actor_role"], line["words"]) for line in said] == [
        ("cancel", "client", "I am ill")
    ]
    assert (theirs["awaiting"], theirs["payout_held_because"]) == (None, [])


@pytest.mark.usefixtures("running_worker")
async def test_what_ops_wrote_is_for_ops(api: httpx.AsyncClient, shop: Shop, database: Database) -> None:
    made = await booked(api, shop)

    async def decided(session: AsyncSession) -> None:
        for reason in ("the client is a friend of Ada's", "decided_by_ops"):
            event = AuditEvent(
                booking_id=UUID(made["id"]),
                entity="payout",
                entity_id=uuid4(),
                from_status="FROZEN",
                to_status="HELD",
                actor_role=Role.OPS,
                actor_id="ops-1",
                reason=reason,
                at=NOW,
            )
            session.add(event)

    await database.run(decided)
    ours, theirs = await timeline(api, made, as_ops()), await timeline(api, made, as_client(shop))
    reasons = [
        {line["reason"] for line in seen["happened"] if line["kind"] == "transition"} - {None}
        for seen in (ours, theirs)
    ]
    assert reasons == [{"the client is a friend of Ada's", "decided_by_ops"}, {"decided_by_ops"}]
