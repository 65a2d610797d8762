"""A whole message: headers, the text, its HTML, the invitation."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict

from activities.letters.invitation import Invitation, invitation
from activities.letters.reading import Matter
from activities.letters.rendering import Letters, called

ATTACHED_AS: Final = "invite.ics"
ADDRESS: Final = re.compile(r"""([^@\s"\\<>()\[\],:;\x00-\x20\x7f]+)@([^@\s"\\<>()\[\],:;\x00-\x20\x7f]+)""")
"""Addresses in any script; those that need quotation marks are nobody's."""


class Unaddressable(Exception):
    """What a person gave as an address is none."""


class Sender(BaseModel):
    """Whom mails come from, as `MAIL_FROM` says it: `a@b`, or `Name <a@b>`."""

    model_config = ConfigDict(frozen=True)

    name: str
    address: str

    @classmethod
    def parse(cls, mail_from: str) -> Self:
        """Read a `MAIL_FROM`.

        Raises:
            ValueError: it has no address, or one that not every server could answer to.
        """
        name, address = parseaddr(mail_from)
        local, _, host = address.rpartition("@")
        if not (local and host and address.isascii() and mail_from.isprintable()):
            raise ValueError("MAIL_FROM must be an address, or Name <address>")
        return cls(name=name, address=address)

    @property
    def host(self) -> str:
        """Where ids of messages and calendar entries are ours."""
        return self.address.rpartition("@")[2]


class Composer:
    """Makes messages; the same mail gets the same Message-ID whenever it is sent."""

    def __init__(self, sender: Sender, letters: Letters) -> None:
        self.sender = sender
        self._letters = letters

    def compose(self, matter: Matter, written_at: datetime) -> EmailMessage:
        """The message for its recipient.

        Raises:
            Unaddressable: there is no address that a header could hold.
        """
        wording = self._letters.write(matter)
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(self.sender.name, addr_spec=self.sender.address)
        message["To"] = _to(matter)
        message["Subject"] = wording.subject
        message["Date"] = format_datetime(written_at)
        message["Message-ID"] = f"<{matter.id}@{self.sender.host}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(wording.text)
        message.add_alternative(wording.html, subtype="html")
        invite = invitation(
            matter, organizer=self.sender.address, host=self.sender.host, written_at=written_at
        )
        if invite is not None:
            _attach(message, invite)
        return message


def _to(matter: Matter) -> Address:
    local_part, host = _parts(matter)
    return Address(called(matter, matter.recipient), local_part, host)


def _parts(matter: Matter) -> tuple[str, str]:
    found = ADDRESS.fullmatch(matter.people[matter.recipient].email or "")
    if found is None:
        raise Unaddressable(f"the {matter.recipient} has no valid address")
    return found[1], found[2]


def _attach(message: EmailMessage, invite: Invitation) -> None:
    """As a part that calendars act on, and as a file for people whose mail program does not."""
    part: dict[str, Any] = {
        "maintype": "text",
        "subtype": "calendar",
        "cte": "base64",  # as it is, with the line ends that RFC 5545 wants
        "params": {"method": invite.method.value, "charset": "utf-8"},
    }
    message.add_alternative(invite.content, **part)
    message.add_attachment(invite.content, filename=ATTACHED_AS, **part)
