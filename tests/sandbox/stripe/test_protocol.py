"""The manners that all endpoints share: keys, errors, pages, expansion, encoding."""

import base64
from typing import Any

import httpx
import pytest
import stripe

from sandbox.stripe import form
from sandbox.stripe.errors import ApiError
from sandbox.stripe.server import Running
from tests.sandbox.stripe.conftest import Control, client_of
from tests.sandbox.stripe.scenes import authorized, paid


async def test_a_wrong_key_is_refused(sandbox: Running, http: stripe.HTTPXClient) -> None:
    stranger = client_of(sandbox.url, "sk_test_not_this_one", http)
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key") as refused:
        await stranger.v1.customers.list_async()
    assert refused.value.http_status == 401
    assert refused.value.error is not None
    assert refused.value.error.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("Bearer", 401),
        ("Basic !", 401),
        ("Basic " + base64.b64encode(b"sk_test_sandbox:").decode(), 200),
        ("Bearer sk_test_sandbox", 200),
    ],
)
async def test_keys_come_as_bearer_or_basic(sandbox: Running, authorization: str, status: int) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with httpx.AsyncClient(base_url=sandbox.url, headers=headers) as client:
        assert (await client.get("/v1/customers")).status_code == status


async def test_errors_have_stripes_body_and_headers(raw: httpx.AsyncClient) -> None:
    missing = await raw.get("/v1/customers/cus_none", headers={"Stripe-Version": "2026-10-28.endive"})
    error = missing.json()["error"]
    assert (missing.status_code, error["code"], error["param"]) == (404, "resource_missing", "id")
    assert error["message"] == "No such customer: 'cus_none'"
    assert error["doc_url"].endswith("/resource-missing")
    assert missing.headers["request-id"] in error["request_log_url"]
    assert missing.headers["stripe-version"] == "2026-10-28.endive"


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "expected"),
    [
        ("GET", "/v1/unicorns", {}, 404, {"type": "invalid_request_error"}),
        ("DELETE", "/v1/balance", {}, 404, {"type": "invalid_request_error"}),
        ("POST", "/v1/customers", {"nam": "x"}, 400, {"code": "parameter_unknown", "param": "nam"}),
        (
            "POST",
            "/v1/payment_intents",
            {"amount": "1"},
            400,
            {"code": "parameter_missing", "param": "currency"},
        ),
        (
            "POST",
            "/v1/payment_intents",
            {"amount": "1.5", "currency": "usd"},
            400,
            {"code": "parameter_invalid_integer", "param": "amount"},
        ),
        (
            "POST",
            "/v1/payment_intents",
            {"amount": "500", "currency": "usd", "customer": "cus_none"},
            400,
            {"code": "resource_missing", "param": "customer"},
        ),
        (
            "POST",
            "/v1/payment_intents",
            {"amount": "500", "currency": "usd", "capture_method": "maybe"},
            400,
            {"param": "capture_method"},
        ),
        (
            "POST",
            "/v1/payment_intents",
            {"amount": "500", "currency": "usd", "confirm": "perhaps"},
            400,
            {"param": "confirm"},
        ),
        ("POST", "/v1/customers", {"metadata": "x"}, 400, {"param": "metadata"}),
        ("POST", "/v1/customers", {"metadata[a][b]": "x"}, 400, {"param": "metadata[a]"}),
        ("POST", "/v1/transfers", {"amount": "9" * 30, "currency": "usd", "destination": "x"}, 400, {}),
        ("POST", "/v1/prices", {"currency": "usd", "unit_amount": "1"}, 400, {"code": "parameter_missing"}),
        ("POST", "/v1/payment_methods", {"type": "sepa_debit"}, 400, {"param": "type"}),
    ],
)
async def test_nonsense_is_refused_with_what_is_wrong(  # noqa: PLR0917 - one column of the table each
    raw: httpx.AsyncClient, method: str, path: str, data: Any, status: int, expected: dict[str, str]
) -> None:
    refused = await raw.request(method, path, data=data)
    error = refused.json()["error"]
    assert refused.status_code == status
    assert expected.items() <= error.items()


async def test_a_body_that_is_no_form_is_refused(raw: httpx.AsyncClient) -> None:
    refused = await raw.post("/v1/customers", json={"email": "a"})
    assert refused.status_code == 400
    assert "content type" in refused.json()["error"]["message"]


async def test_pages_follow_each_other_in_both_directions(api: stripe.StripeClient) -> None:
    made = [(await api.v1.customers.create_async({})).id for _ in range(5)][::-1]
    customers = api.v1.customers
    first = await customers.list_async({"limit": 2})
    assert ([found.id for found in first.data], first.has_more) == (made[:2], True)
    second = await customers.list_async({"limit": 2, "starting_after": made[1]})
    assert ([found.id for found in second.data], second.has_more) == (made[2:4], True)
    last = await customers.list_async({"limit": 2, "starting_after": made[3]})
    assert ([found.id for found in last.data], last.has_more) == (made[4:], False)
    back = await customers.list_async({"limit": 2, "ending_before": made[3]})
    assert ([found.id for found in back.data], back.has_more) == (made[1:3], True)
    assert [found.id async for found in first.auto_paging_iter()] == made


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 101}, {"starting_after": "cus_none"}, {"created": {"since": 1}}]
)
async def test_a_page_has_bounds(api: stripe.StripeClient, params: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await api.v1.customers.list_async(params)


async def test_intents_are_found_by_customer_and_time(api: stripe.StripeClient, control: Control) -> None:
    mine = await api.v1.customers.create_async({})
    old = await authorized(api, customer=mine.id, metadata={"op": "old"})
    await control.ask("POST", "/clock", advance_seconds=100)
    new = await authorized(api, customer=mine.id, metadata={"op": "new"})
    await authorized(api)
    intents = api.v1.payment_intents
    assert [found.id for found in (await intents.list_async({"customer": mine.id})).data] == [new.id, old.id]
    since: Any = {"customer": mine.id, "created": {"gte": new.created}}
    until: Any = {"customer": mine.id, "created": {"lt": new.created}}
    assert [found.id for found in (await intents.list_async(since)).data] == [new.id]
    assert [found.id for found in (await intents.list_async(until)).data] == [old.id]
    assert [found.id for found in (await intents.list_async({"created": old.created})).data] == [old.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await intents.list_async({"customer": "cus_none"})
    dump = (await control.get("/_control/objects", params={"metadata_op": "new"})).json()["data"]
    assert {found["object"] for found in dump} == {"payment_intent", "charge"}


async def test_ids_are_expanded_into_objects(api: stripe.StripeClient) -> None:
    customer = await api.v1.customers.create_async({"email": "a@example.com"})
    intent = await paid(api, customer=customer.id)
    shown = await api.v1.payment_intents.retrieve_async(
        intent.id, {"expand": ["customer", "latest_charge.balance_transaction", "review", "payment_method"]}
    )
    fields = shown.to_dict()
    assert fields["customer"]["email"] == "a@example.com"
    assert fields["latest_charge"]["balance_transaction"]["net"] == 4825
    assert (fields["payment_method"]["type"], fields["review"]) == ("card", None)
    listed = await api.v1.payment_intents.list_async({"expand": ["data.latest_charge"]})
    assert listed.data[0].to_dict()["latest_charge"]["captured"] is True


@pytest.mark.parametrize("path", ["unicorn", "status", "customer.a.b.c.d", "amount.unicorn"])
async def test_what_cannot_be_expanded_is_refused(api: stripe.StripeClient, path: str) -> None:
    intent = await paid(api, customer=(await api.v1.customers.create_async({})).id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.retrieve_async(intent.id, {"expand": [path]})
    assert refused.value.param == "expand"


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a[0]=x&a[1]=y", {"a": ["x", "y"]}),
        ("a[]=x&a[]=y", {"a": ["x", "y"]}),
        ("a[10]=k&a[2]=c", {"a": ["c", "k"]}),
        ("a[0][b]=x&a[0][c]=y&a[1][b]=z", {"a": [{"b": "x", "c": "y"}, {"b": "z"}]}),
        ("a%5Bb%5D=%C3%A9+%26", {"a": {"b": "é &"}}),
        ("a[b=1&]=2", {"a[b": "1", "]": "2"}),
        ("", {}),
    ],
)
def test_forms_are_nested(encoded: str, decoded: Any) -> None:
    assert form.decode(form.pairs(encoded)) == decoded


@pytest.mark.parametrize("encoded", ["a=1&a[b]=2", "a" + "[b]" * 20 + "=1", "&".join(["a=1"] * 3000)])
def test_forms_that_make_no_sense_are_refused(encoded: str) -> None:
    with pytest.raises(ApiError):
        form.decode(form.pairs(encoded))


async def test_numbers_may_be_keys_of_metadata(raw: httpx.AsyncClient) -> None:
    made = await raw.post("/v1/customers", data={"metadata[0]": "zero", "metadata[1]": "one"})
    assert made.json()["metadata"] == {"0": "zero", "1": "one"}


async def test_the_current_account_can_be_asked_for(api: stripe.StripeClient) -> None:
    account = await api.v1.accounts.retrieve_current_async()
    assert (account.object, account.charges_enabled) == ("account", True)
