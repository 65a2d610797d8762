"""A booking for the calendar: an iCalendar object as RFC 5545 and RFC 5546 (iTIP) want it.

Instants are written in UTC: one moment, which no reader's table of summer times can move (TRAPS 46).
The UID stays the booking's; a higher SEQUENCE replaces or takes back what was sent before.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from icalendar import Calendar, Event, vCalAddress, vText

from activities.letters.reading import Matter
from activities.letters.rendering import called, one_line
from models.announcements import INVITES, TAKES_BACK
from models.states import Role

PRODUCT: Final = "-//durable-bookings//EN"
OTHER_SIDE: Final = {Role.CLIENT: Role.PROVIDER, Role.PROVIDER: Role.CLIENT}


class Method(StrEnum):
    """What the calendar is to do."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


@dataclass(frozen=True)
class Invitation:
    """An iCalendar object, and what it asks for."""

    method: Method
    content: bytes


def invitation(matter: Matter, *, organizer: str, host: str, written_at: datetime) -> Invitation | None:
    """What goes into the recipient's calendar, or out of it; None when this mail changes nothing there."""
    method = _method(matter)
    if method is None or matter.facts.starts_at is None or matter.facts.ends_at is None:
        return None
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method.value)
    calendar.add_component(_event(matter, method, organizer, host, written_at))
    return Invitation(method, calendar.to_ical())


def _method(matter: Matter) -> Method | None:
    if not matter.invitations or matter.recipient not in OTHER_SIDE:
        return None
    if matter.kind in INVITES:
        return Method.REQUEST
    return Method.CANCEL if matter.kind in TAKES_BACK and matter.facts.invited else None


def _event(matter: Matter, method: Method, organizer: str, host: str, written_at: datetime) -> Event:
    facts, event = matter.facts, Event()
    other = called(matter, OTHER_SIDE[matter.recipient])
    event.add("uid", f"{matter.booking_id}@{host}")
    event.add("sequence", facts.sequence)
    event.add("dtstamp", written_at.astimezone(UTC))
    event.add("dtstart", facts.starts_at and facts.starts_at.astimezone(UTC))
    event.add("dtend", facts.ends_at and facts.ends_at.astimezone(UTC))
    event.add("summary", f"{one_line(matter.service)} with {other}")
    event.add("status", "CANCELLED" if method is Method.CANCEL else "CONFIRMED")
    event.add("organizer", vCalAddress(f"mailto:{organizer}"))
    event.add("attendee", _attendee(matter))
    return event


def _attendee(matter: Matter) -> vCalAddress:
    address = vCalAddress(f"mailto:{one_line(matter.people[matter.recipient].email or '')}")
    # A quoted parameter can hold anything but a quotation mark (RFC 5545, 3.2).
    address.params["cn"] = vText(called(matter, matter.recipient).replace('"', "'"))
    address.params["role"] = vText("REQ-PARTICIPANT")
    address.params["partstat"] = vText("ACCEPTED")
    address.params["rsvp"] = vText("FALSE")
    return address
