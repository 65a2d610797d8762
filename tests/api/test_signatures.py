"""The door for Stripe's webhooks (FAULTS W3, W4): two verdicts, and never another exception."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.stripe_webhooks import TOLERANCE, InvalidPayload, InvalidSignature, verify
from tests.api.calls import WEBHOOK_SECRETS as SECRETS
from tests.api.calls import event, signed
from tests.api.forging import forgeries, rotations

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_an_event_is_reduced_to_its_ids() -> None:
    sent = event(account="acct_1", livemode=True)
    found = verify(*signed(sent, at=NOW), SECRETS, NOW)
    assert found.id == sent["id"]
    assert found.type == "payment_intent.succeeded"
    assert (found.account, found.livemode) == ("acct_1", True)
    assert found.object_id == found.payment_intent_id == sent["data"]["object"]["id"]


@pytest.mark.parametrize(
    ("subject", "intent_id"),
    [
        ({"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}, "pi_1"),
        (
            {"id": "re_1", "object": "refund", "payment_intent": {"id": "pi_1", "object": "payment_intent"}},
            "pi_1",
        ),
        ({"id": "dp_1", "object": "dispute", "payment_intent": None}, None),
        ({"id": "tr_1", "object": "transfer"}, None),
        ({"object": "balance"}, None),
    ],
)
def test_the_intent_behind_other_objects_is_found(subject: dict[str, object], intent_id: str | None) -> None:
    found = verify(*signed(event("x.y", data={"object": subject}), at=NOW), SECRETS, NOW)
    assert (found.object_id, found.payment_intent_id) == (subject.get("id"), intent_id)


@pytest.mark.fault("W3")
@pytest.mark.parametrize("skew", [TOLERANCE, -TOLERANCE, timedelta(0)])
def test_three_hundred_seconds_are_recent(skew: timedelta) -> None:
    assert verify(*signed(event(), at=NOW + skew), SECRETS, NOW).livemode is False


@pytest.mark.fault("W3")
@pytest.mark.parametrize("skew", [timedelta(seconds=301), -timedelta(seconds=301), timedelta(days=365)])
def test_older_and_later_is_not(skew: timedelta) -> None:
    with pytest.raises(InvalidSignature):
        verify(*signed(event(), at=NOW + skew), SECRETS, NOW)


EVENT = event()
FORGERIES = forgeries(EVENT, NOW)


@pytest.mark.fault("W3")
@pytest.mark.parametrize("header", FORGERIES.values(), ids=FORGERIES.keys())
def test_nobody_else_gets_in(header: str | None) -> None:
    with pytest.raises(InvalidSignature):
        verify(json.dumps(EVENT).encode(), header, SECRETS, NOW)


@pytest.mark.fault("W3")
@pytest.mark.parametrize("kind", rotations(EVENT, NOW))
def test_a_rotation_shuts_nobody_out(kind: str) -> None:
    header = rotations(EVENT, NOW)[kind]
    assert verify(json.dumps(EVENT).encode(), header, SECRETS, NOW).id == EVENT["id"]


@pytest.mark.fault("W3")
@pytest.mark.parametrize("secrets", [(), ("",), (" ",)])
def test_no_secret_opens_nothing(secrets: tuple[str, ...]) -> None:
    for secret in ("", " "):
        with pytest.raises(InvalidSignature):
            verify(*signed(event(), secret, NOW), secrets, NOW)


@pytest.mark.fault("W3")
def test_one_changed_byte_is_noticed() -> None:
    payload, header = signed(event(), at=NOW)
    with pytest.raises(InvalidSignature):
        verify(payload + b" ", header, SECRETS, NOW)


@pytest.mark.fault("W4")
@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b"",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"id": 1}',
        b"NaN",
        json.dumps(event(id="evt_\x00")).encode(),
        json.dumps(event(id="\ud800")).encode(),
        json.dumps(event(id="e" * 256)).encode(),
        json.dumps(event(livemode="no")).encode(),
        json.dumps(event(data=[])).encode(),
        json.dumps(event(data={"object": {"id": "\n"}})).encode(),
        b'{"id":"evt_1","type":"x","livemode":' + b"9" * 5000 + b"}",
    ],
    ids=range(18),
)
def test_signed_nonsense_is_told_apart(payload: bytes) -> None:
    with pytest.raises(InvalidPayload):
        verify(*signed(payload, at=NOW), SECRETS, NOW)


@pytest.mark.fault("W4")
def test_signed_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises((InvalidSignature, InvalidPayload)):
        verify(*signed(b"\xff\xfe{}", at=NOW), SECRETS, NOW)


@pytest.mark.fault("W3")
@given(payload=st.binary(max_size=200), header=st.none() | st.text(max_size=200))
def test_there_is_no_third_verdict(payload: bytes, header: str | None) -> None:
    with pytest.raises((InvalidSignature, InvalidPayload)):
        verify(payload, header, SECRETS, NOW)


@pytest.mark.fault("W4")
@given(
    payload=st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_not_even_for_signed_bytes(payload: bytes) -> None:
    with pytest.raises((InvalidSignature, InvalidPayload)):
        verify(*signed(payload, at=NOW), SECRETS, NOW)
