"""Captured money: contested, given back, held longer, released."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select
from stripe import StripeClient
from temporalio.client import Client

from models.bookings import Remark
from models.database import Database
from models.keys import aftercare_id_for
from models.payments import Refund
from tests.api.calls import Json, as_client, as_ops, as_provider, booked, code, problem, soon
from tests.api.journeys import act, held, look, paid, until
from tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("running_worker")


async def timeline(api: httpx.AsyncClient, made: Json, headers: dict[str, str]) -> Json:
    seen: Json = (await api.get(f"/api/bookings/{made['id']}/timeline", headers=headers)).json()
    return seen


async def resolved(api: httpx.AsyncClient, made: Json, **decision: object) -> Json:
    """Ops decide; the question is asked a moment after it came up."""

    async def decide() -> Json:
        answer = await act(api, made, "resolve", as_ops(), **decision)
        return {"status": answer.status_code, "body": answer.json()}

    body: Json = (await until(decide, lambda seen: seen["status"] == 200))["body"]
    return body


# --- objections ----------------------------------------------------------------------------------


async def test_a_client_contests_and_ops_release(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, temporal: Client
) -> None:
    made = await held(api, shop, sdk)
    answer = await act(api, made, "object", as_client(shop), reason="it was half an hour short")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["payout"]["status"], answer.json()["payout"]["held_because"]) == (
        "FROZEN",
        "objection",
    )
    again = await act(api, made, "object", as_client(shop), reason="it was half an hour short")
    assert (again.status_code, again.json()["payout"]) == (200, answer.json()["payout"])
    history = await temporal.get_workflow_handle(made["workflow_id"]).fetch_history()
    assert "half an hour" not in history.to_json()
    for headers, reads in ((as_client(shop), True), (as_ops(), True), (as_provider(shop), False)):
        seen = await timeline(api, made, headers)
        said = [line["words"] for line in seen["happened"] if line["kind"] == "remark"]
        assert said == (["it was half an hour short"] if reads else [])
        assert (seen["awaiting"]["what"], seen["payout_held_because"]) == ("objection", ["objection"])
    body = await resolved(api, made, step="objection", action="release", reason="they agreed")
    assert body["attention"] is None or body["attention"]["step"] == "objection"
    freed = await until(lambda: look(api, made, as_ops()), lambda seen: seen["payout"]["status"] == "HELD")
    assert freed["payout"]["amount"] == 9_600


async def test_ops_give_a_part_of_a_contested_payment_back(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await held(api, shop, sdk)
    await act(api, made, "object", as_client(shop), reason="too short")
    await resolved(api, made, step="objection", action="refund", amount=2_000, reason="half an hour")
    freed = await until(lambda: look(api, made, as_ops()), lambda seen: seen["payout"]["status"] == "HELD")
    assert (freed["payment"]["amount_refunded"], freed["payout"]["amount"]) == (2_000, 8_000)


async def test_a_client_that_was_left_alone_contests_by_saying_so(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await held(api, shop, sdk)
    answer = await act(api, made, "no-show", as_client(shop), who="provider")
    assert (answer.status_code, answer.json()["payout"]["status"]) == (200, "FROZEN"), answer.text


async def test_there_is_nothing_to_contest_before_the_hold(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, database: Database
) -> None:
    made = await paid(api, shop, sdk)
    assert code(await act(api, made, "object", as_client(shop), reason="no")) == "invalid_state"
    said = select(func.count()).where(Remark.booking_id == made["id"])
    assert await database.run(lambda session: session.scalar(said)) == 0


# --- refunds -------------------------------------------------------------------------------------


async def test_a_refund_during_the_hold_shrinks_the_payout(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, database: Database
) -> None:
    made = await held(api, shop, sdk)
    headers = as_provider(shop) | {"Idempotency-Key": "late"}
    answer = await act(api, made, "refund", headers, amount=2_000, reason="started late")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["payment"]["status"], body["payment"]["amount_refunded"]) == ("PARTIALLY_REFUNDED", 2_000)
    assert (body["payout"]["amount"], body["payment"]["platform_fee"]) == (8_000, 2_000)
    again = await act(api, made, "refund", headers, amount=2_000, reason="started late")
    assert (again.status_code, again.json()["payment"]) == (200, body["payment"])
    other = await act(api, made, "refund", headers, amount=3_000, reason="started late")
    assert code(other) == "idempotency_key_reused"
    second = await act(api, made, "refund", as_ops(), amount=2_000, reason="on top")
    assert second.json()["payment"]["amount_refunded"] == 4_000
    count = select(func.count()).where(Refund.booking_id == made["id"])
    assert await database.run(lambda session: session.scalar(count)) == 2
    said = [line for line in (await timeline(api, made, as_client(shop)))["happened"] if "words" in line]
    assert [line["words"] for line in said] == ["started late", "on top"]


async def test_one_order_many_times_at_once_is_one_refund(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await held(api, shop, sdk)
    headers = as_provider(shop) | {"Idempotency-Key": f"once-{uuid4()}"}
    answers = await asyncio.gather(
        *(act(api, made, "refund", headers, amount=1_000, reason="sorry") for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert (await look(api, made, as_ops()))["payment"]["amount_refunded"] == 1_000


async def test_everything_is_refunded_without_an_amount(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await held(api, shop, sdk)
    answer = await act(api, made, "refund", as_ops(), reason="goodwill")
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED"), answer.text
    assert (answer.json()["payment"]["status"], answer.json()["payout"]["status"]) == (
        "REFUNDED",
        "CANCELLED",
    )
    assert code(await act(api, made, "refund", as_ops(), reason="again")) == "invalid_state"


async def test_no_more_is_refunded_than_was_captured(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await held(api, shop, sdk)
    answer = await act(api, made, "refund", as_ops(), amount=12_001, reason="too much")
    assert code(answer) == "validation_failed"


async def test_what_was_not_captured_is_not_refunded(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk)
    found = problem(await act(api, made, "refund", as_provider(shop), reason="no"))
    assert found["code"] == "invalid_state"
    assert "AUTHORIZED" in found["detail"]


async def test_a_refund_after_the_payout_is_taken_back_from_the_provider(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, temporal: Client
) -> None:
    made = await held(api, shop, sdk)
    await act(api, made, "hold", as_ops(), action="release", reason="trusted")
    over = await until(lambda: look(api, made, as_ops()), lambda seen: seen["payout"]["status"] == "PAID")
    assert over["payout"]["transfer_id"].startswith("tr_")
    await temporal.get_workflow_handle(made["workflow_id"]).result()
    answer = await act(api, made, "refund", as_provider(shop), amount=6_000, reason="half")
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment"]["amount_refunded"] == 6_000
    aftercare = temporal.get_workflow_handle(aftercare_id_for(made["id"]))
    await aftercare.result()
    seen = await timeline(api, made, as_ops())
    money = [line["journal"] for line in seen["happened"] if line["kind"] == "money"]
    assert "refund" in money
    assert {"reversal", "debt"} & set(money)
    assert code(await act(api, made, "object", as_client(shop), reason="late")) == "invalid_state"
    again = await act(api, made, "hold", as_ops(), action="release", reason="trusted")
    assert again.status_code == 200
    nothing = {"step": "rebalance", "action": "retry", "reason": "why not"}
    assert code(await act(api, made, "resolve", as_ops(), **nothing)) == "invalid_state"


# --- the hold ------------------------------------------------------------------------------------


async def test_ops_extend_and_release_the_hold(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await held(api, shop, sdk)
    later = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    order = {"action": "extend", "until": later.isoformat(), "reason": "the client is abroad"}
    answer = await act(api, made, "hold", as_ops(), **order)
    assert answer.status_code == 200, answer.text
    assert datetime.fromisoformat(answer.json()["payout"]["due_at"]) == later
    assert (await act(api, made, "hold", as_ops(), **order)).json() == answer.json()
    sooner = order | {"until": soon(1)}
    assert code(await act(api, made, "hold", as_ops(), **sooner)) == "validation_failed"
    released = await act(api, made, "hold", as_ops(), action="release", reason="all is well")
    assert released.status_code == 200, released.text
    await until(lambda: look(api, made, as_ops()), lambda seen: seen["payout"]["status"] == "PAID")


async def test_there_is_no_hold_before_the_outcome(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk)
    answer = await act(api, made, "hold", as_ops(), action="release", reason="now")
    assert code(answer) == "invalid_state"


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("hold", {"action": "extend", "reason": "no end"}),
        ("hold", {"action": "release", "until": soon(24), "reason": "an end"}),
        ("hold", {"action": "forget", "reason": "no such"}),
        ("hold", {"action": "release", "reason": ""}),
        ("refund", {"amount": 0, "reason": "nothing"}),
        ("refund", {"amount": 1.5, "reason": "a half"}),
        ("refund", {"amount": 100}),
        ("refund", {"amount": 100, "reason": "nul\x00"}),
        ("refund", {"amount": 100, "reason": "x" * 501}),
        ("resolve", {"step": "objection", "action": "retry", "reason": "no"}),
        ("resolve", {"step": "objection", "action": "release", "amount": 5, "reason": "no"}),
        ("resolve", {"step": "objection", "action": "refund", "object_id": "re_1", "reason": "no"}),
        ("resolve", {"step": "pay_out", "action": "adopt", "reason": "what?"}),
    ],
    ids=range(13),
)
async def test_an_order_has_a_shape(api: httpx.AsyncClient, shop: Shop, what: str, body: Json) -> None:
    made = await booked(api, shop)
    found = problem(await act(api, made, what, as_ops(), **body))
    assert found["code"] == "validation_failed"
    assert found["errors"]


@pytest.mark.parametrize("reason", ["", "\x00", "x" * 2001], ids=["empty", "nul", "long"])
async def test_words_have_bounds(api: httpx.AsyncClient, shop: Shop, reason: str) -> None:
    made = await booked(api, shop)
    assert code(await act(api, made, "object", as_client(shop), reason=reason)) == "validation_failed"
