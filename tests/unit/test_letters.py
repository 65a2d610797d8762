"""Every mail in words: for every recipient, with the oddest names, in every currency, across summer time."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from activities.letters.composing import Composer, Sender, Unaddressable
from activities.letters.reading import Matter, Person
from activities.letters.rendering import Letters
from models.announcements import SAID, TOLD, Facts, Kind, Standing
from models.states import BookingStatus, PaymentStatus, Role

WRITTEN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
START = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
EVERY = sorted({(one.kind, one.recipient) for told in (*TOLD.values(), *SAID.values()) for one in told})
COMPOSER = Composer(Sender.parse("Bookings <bookings@shop.example>"), Letters("https://shop.example/"))
ODD_NAMES = [
    "<b>Bob</b><script>alert(1)</script>",
    "Eve\r\nBcc: victim@else.example\r\n\r\nhidden body",
    "Zoë 👩‍👩‍👧 Ωmega \u202etxt.exe",
    'Quote " \\ ; , : Semicolon',
    "  What: free of charge",
    "{{ 7 * 7 }} {% raw %}",
    "x" * 5000,
    "\n\n",
    None,
]


def matter(kind: Kind, recipient: Role, **changed: Any) -> Matter:
    facts = {
        "currency": "eur",
        "amount": 9_600,
        "price": 12_000,
        "captured": 6_000,
        "refunded": 1_000,
        "released": 6_000,
        "platform_fee": 2_400,
        "debt_netted": 500,
        "transfer_id": "tr_1",
        "starts_at": START,
        "ends_at": START + timedelta(hours=1),
        "previous_starts_at": START - timedelta(days=1),
        "until": START - timedelta(days=2),
        "charge_at": START - timedelta(days=2),
        "reason": "cancelled_by_client",
        "outcome": "WON",
        "invited": True,
    }
    name = changed.pop("name", "Ann")
    person = Person(name, changed.pop("email", "person@else.example"))
    return Matter(
        id=UUID(int=7),
        booking_id=UUID(int=8),
        kind=kind,
        recipient=recipient,
        facts=Facts(**facts | changed.pop("facts", {})),
        standing=Standing(
            booking=BookingStatus.CONFIRMED,
            starts_at=START,
            expires_at=START,
            payment=PaymentStatus.AUTHORIZED,
        ),
        people=dict.fromkeys((Role.CLIENT, Role.PROVIDER, Role.OPS), person),
        service=changed.pop("service", "Lesson"),
        zone=changed.pop("zone", "Europe/Berlin"),
        invitations=changed.pop("invitations", True),
    )


def sent(subject: Matter) -> EmailMessage:
    """The message as whoever receives it reads it."""
    message = COMPOSER.compose(subject, WRITTEN)
    return message_from_bytes(message.as_bytes(), EmailMessage, policy=policy.default)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class Tags(HTMLParser):
    """Which elements a page has, and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        self.found.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


OURS = {"html", "head", "meta", "title", "body", "main", "h1", "p", "a", "table", "tr", "th", "td"}


@pytest.mark.parametrize(("kind", "recipient"), EVERY)
@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_every_mail_to_everybody_bears_the_oddest_names(
    kind: Kind, recipient: Role, name: str | None
) -> None:
    message = sent(matter(kind, recipient, name=name, service=name or "Lesson"))
    assert {*message.keys()} == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }
    assert [one.addr_spec for one in message["To"].addresses] == ["person@else.example"]
    assert message["Message-ID"] == f"<{UUID(int=7)}@shop.example>"
    text, page = body(message, "plain"), Tags(body(message, "html"))
    assert page.found <= OURS
    assert "hidden body" not in text.split("\n")
    assert not any(line.startswith("  What: free of charge") for line in text.split("\n"))
    assert "49" not in str(message["Subject"])
    assert len(str(message["Subject"])) <= 200
    assert "\u202e" not in text


@pytest.mark.parametrize(("kind", "recipient"), EVERY)
def test_the_page_says_what_the_text_says(kind: Kind, recipient: Role) -> None:
    message = sent(matter(kind, recipient))
    text, page = body(message, "plain"), Tags(body(message, "html"))
    said = re.sub(r"\s|:", "", page.words)
    for line in text.splitlines():
        wanted = re.sub(r"\s|:", "", line)
        assert wanted in said or line.startswith("https://shop.example/bookings/")
    assert 'lang="en"' in body(message, "html")
    assert "None" not in text
    assert "{" not in text


@pytest.mark.parametrize(("kind", "recipient"), EVERY)
def test_a_mail_gets_by_with_the_facts_that_a_new_row_has(kind: Kind, recipient: Role) -> None:
    bare = dict.fromkeys(("transfer_id", "previous_starts_at", "charge_at", "reason"))
    zero = {"captured": 0, "refunded": 0, "released": 0, "debt_netted": 0}
    assert "None" not in body(sent(matter(kind, recipient, facts=bare | zero)), "plain")


@pytest.mark.parametrize(
    ("currency", "amount", "shown"),
    [("eur", 12_345, "123.45 EUR"), ("jpy", 12_345, "12345 JPY"), ("kwd", 12_340, "12.340 KWD")],
)
def test_amounts_are_shown_in_their_currencys_own_decimals(currency: str, amount: int, shown: str) -> None:
    refunded = sent(matter(Kind.REFUND_MADE, Role.CLIENT, facts={"currency": currency, "amount": amount}))
    assert shown in str(refunded["Subject"])
    assert shown in body(refunded, "plain")


@pytest.mark.parametrize(
    ("starts_at", "shown"),
    [
        ("2026-03-28T14:00:00Z", "Saturday, 28 March 2026, 15:00 (Europe/Berlin, UTC+01:00)"),
        ("2026-03-29T14:00:00Z", "Sunday, 29 March 2026, 16:00 (Europe/Berlin, UTC+02:00)"),
        ("2026-10-25T00:30:00Z", "Sunday, 25 October 2026, 02:30 (Europe/Berlin, UTC+02:00)"),
        ("2026-10-25T01:30:00Z", "Sunday, 25 October 2026, 02:30 (Europe/Berlin, UTC+01:00)"),
    ],
)
def test_times_are_the_providers_with_the_zone_named_also_in_the_hour_that_comes_twice(
    starts_at: str, shown: str
) -> None:
    instant = datetime.fromisoformat(starts_at)
    facts = {"starts_at": instant, "ends_at": instant + timedelta(hours=1)}
    message = sent(matter(Kind.CONFIRMED, Role.CLIENT, facts=facts))
    assert f"When: {shown}" in body(message, "plain")
    (event,) = calendar(message).walk("VEVENT")
    assert event.decoded("dtstart") == instant
    local = event.decoded("dtstart").astimezone(ZoneInfo("Europe/Berlin"))
    assert f"{local:%H:%M}" in shown
    assert event.decoded("dtend") - event.decoded("dtstart") == timedelta(hours=1)


def calendar(message: EmailMessage) -> Calendar:
    acted_on, attached = (part for part in message.walk() if part.get_content_type() == "text/calendar")
    content = attached.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert acted_on.get_payload(decode=True) == content
    assert attached.get_filename() == "invite.ics"
    assert content.replace(b"\r\n", b"").find(b"\n") == -1
    parsed = Calendar.from_ical(content)
    assert isinstance(parsed, Calendar)
    assert {part["Content-Type"].params["method"] for part in (acted_on, attached)} == {parsed["METHOD"]}
    return parsed


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_an_invitation_is_replaced_and_taken_back_under_one_uid(name: str | None) -> None:
    read = []
    for sequence, kind in enumerate((Kind.CONFIRMED, Kind.RESCHEDULED, Kind.CANCELLED)):
        found = calendar(sent(matter(kind, Role.CLIENT, name=name, facts={"sequence": sequence})))
        (event,) = found.walk("VEVENT")
        read.append((found["METHOD"], event["STATUS"], event["SEQUENCE"], event["UID"]))
        assert event["ATTENDEE"] == "mailto:person@else.example"
        assert event["ORGANIZER"] == "mailto:bookings@shop.example"
    uid = f"{UUID(int=8)}@shop.example"
    assert read == [
        ("REQUEST", "CONFIRMED", 0, uid),
        ("REQUEST", "CONFIRMED", 1, uid),
        ("CANCEL", "CANCELLED", 2, uid),
    ]


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (Kind.CANCELLED, {"facts": {"invited": False}}),
        (Kind.CONFIRMED, {"invitations": False}),
        (Kind.RECEIPT, {}),
    ],
    ids=["never invited", "invitations are somebody else's", "nothing for the calendar"],
)
def test_a_calendar_is_left_alone_when_nothing_changes_in_it(kind: Kind, changed: dict[str, Any]) -> None:
    message = sent(matter(kind, Role.CLIENT, **changed))
    assert not [part for part in message.walk() if part.get_content_type() == "text/calendar"]


@pytest.mark.parametrize(
    "email", [None, "", "nobody", "a@b\r\nBcc: c@d.example", "a b@c.example", "@x", "x@"]
)
def test_an_address_that_is_none_makes_no_message(email: str | None) -> None:
    with pytest.raises(Unaddressable) as raised:
        COMPOSER.compose(matter(Kind.RECEIPT, Role.CLIENT, email=email), WRITTEN)
    assert not email or email not in str(raised.value)


@pytest.mark.parametrize(
    ("facts", "shown", "hidden"),
    [
        ({"captured": 0, "refunded": 0, "released": 0}, "You were not charged.", "Kept"),
        (
            {"captured": 0, "refunded": 0, "released": 12_000},
            "Released without being charged: 120.00",
            "Charged",
        ),
        ({"captured": 6_000, "refunded": 0, "released": 6_000}, "Kept: 60.00 EUR", "Refunded"),
        ({"captured": 12_000, "refunded": 12_000, "released": 0}, "Kept: 0.00 EUR", "Released"),
    ],
    ids=["never paid", "authorized only", "a part kept", "all refunded"],
)
def test_a_cancellation_says_what_was_kept_and_what_goes_back(
    facts: dict[str, int], shown: str, hidden: str
) -> None:
    text = body(sent(matter(Kind.CANCELLED, Role.CLIENT, facts=facts)), "plain")
    assert shown in text
    assert f"{hidden}: " not in text


@pytest.mark.parametrize("broken", ["", "nobody", "Name <>", "a@", "@b", "a@b\nBcc: c@d"])
def test_a_sender_without_an_address_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="MAIL_FROM"):
        Sender.parse(broken)
