"""Anything at all, as a body or a query: a problem, or what was asked for, and never a failure."""

import json
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from tests.api.calls import as_ops, bearer, problem, signed
from tests.api.rules import RULES
from tests.api.test_bodies import WEBHOOKS, path_of
from tests.support.properties import examples

pytestmark = [pytest.mark.fault("W4"), pytest.mark.timeout(1200)]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
some_bytes = st.binary(max_size=300) | anything.map(json.dumps).map(str.encode)
bodies = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            *("service_id", "starts_at", "name", "policy", "amount", "currency", "step", "reason", "email"),
            *("session_id", "capacity", "who", "action", "until", "payout_schedule", "object_id"),
        ),
        anything,
    ),
)
POSTED = [path_of(route) for route in sorted(RULES) if route[0] == "post" and route[1] not in WEBHOOKS]
SWEEPS = ("/api/ops/audit", "/api/ops/reconcile")
"""They take no body."""

fuzzing = limits(
    max_examples=examples("W4_EXAMPLES", usual=300, nightly=5_000),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@fuzzing
@given(
    body=(bodies | anything).map(json.dumps).map(str.encode) | some_bytes,
    path=st.sampled_from([path for path in POSTED if path not in SWEEPS]),
    role=st.sampled_from(["client", "provider", "ops"]),
)
async def test_nothing_that_is_sent_breaks_anything(
    api: httpx.AsyncClient, body: bytes, path: str, role: str
) -> None:
    headers = bearer(role, "fuzz") | {"Content-Type": "application/json"}
    assert problem(await api.post(path, content=body, headers=headers))["status"] < 500


@fuzzing
@given(body=some_bytes, path=st.sampled_from(sorted(WEBHOOKS)), header=st.none() | st.binary(max_size=80))
async def test_nothing_that_is_delivered_breaks_anything(
    api: httpx.AsyncClient, body: bytes, path: str, header: bytes | None
) -> None:
    headers = [] if header is None else [(b"Stripe-Signature", header)]
    assert problem(await api.post(path, content=body, headers=headers))["status"] == 400


@fuzzing
@given(body=some_bytes, path=st.sampled_from(sorted(WEBHOOKS)))
async def test_not_even_under_a_signature(api: httpx.AsyncClient, body: bytes, path: str) -> None:
    payload, header = signed(body, WEBHOOKS[path])
    answer = await api.post(path, content=payload, headers={"Stripe-Signature": header})
    assert problem(answer)["status"] == 400


@limits(fuzzing, max_examples=100)
@given(
    query=st.dictionaries(
        st.sampled_from(["status", "from", "to", "cursor", "limit", "provider_id", "booking_id", "resolved"]),
        st.text(),
    )
)
async def test_nothing_that_is_asked_breaks_anything(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    asked = (
        *("/api/bookings", "/api/services", f"/api/services/{uuid4()}/availability"),
        *("/api/ops/findings", "/api/metrics/summary"),
    )
    for path in asked:
        answer = await api.get(path, params=query, headers=as_ops())
        assert answer.status_code < 500, answer.text
