"""From a template to a subject, a text and the same text as HTML.

The text is the master: every mail is written once, as a text, and its HTML is made from the finished
text. What people call themselves is brought onto one line first, so that a name can make neither a
header nor a paragraph of its own, and the HTML escapes all of it.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from activities.letters.reading import Matter
from models.money import display
from models.states import Role

TEMPLATES: Final = Path(__file__).parent / "templates"
LONGEST_NAME: Final = 120
LONGEST_SUBJECT: Final = 200
JOINERS: Final = "\u200c\u200d"
"""Format characters that words and faces of some scripts are spelled with."""
SOMEBODY: Final = {Role.CLIENT: "your client", Role.PROVIDER: "your provider", Role.OPS: "operations"}


@dataclass(frozen=True)
class Wording:
    """A mail in words."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Block:
    """A paragraph, or a list of what is what."""

    text: str = ""
    details: tuple[tuple[str, str], ...] = ()
    link: bool = False


class Letters:
    """Writes mails; one per process, templates are compiled once."""

    def __init__(self, public_url: str | None) -> None:
        self._public_url = (public_url or "").rstrip("/")
        loader = FileSystemLoader(TEMPLATES)
        plain: dict[str, Any] = {
            "loader": loader,
            "undefined": StrictUndefined,
            "keep_trailing_newline": True,
        }
        # Plain text has nothing to escape; what is made of it for HTML is escaped by the other one.
        self._texts = Environment(**plain, autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
        self._pages = Environment(**plain, autoescape=True, trim_blocks=True, lstrip_blocks=True)

    def write(self, matter: Matter) -> Wording:
        """The mail for its recipient."""
        template = self._texts.get_template(f"{matter.kind}.txt")
        values = self._values(matter)
        subject = one_line("".join(template.blocks["subject"](template.new_context(values))), LONGEST_SUBJECT)
        text = re.sub(r"\n{3,}", "\n\n", template.render(values)).strip() + "\n"
        page = self._pages.get_template("base.html")
        blocks = [_block(part, values["link"]) for part in text.strip().split("\n\n")]
        return Wording(subject, text, page.render(subject=subject, blocks=blocks))

    def _values(self, matter: Matter) -> dict[str, Any]:
        facts = matter.facts
        zone, currency = ZoneInfo(matter.zone), facts.currency or ""

        def when(instant: datetime) -> str:
            local = instant.astimezone(zone)
            offset = local.strftime("%z")
            return f"{day(instant)}, {local:%H:%M} ({matter.zone}, UTC{offset[:3]}:{offset[3:]})"

        def day(instant: datetime) -> str:
            local = instant.astimezone(zone)
            return f"{local:%A}, {local.day} {local:%B %Y}"

        def money(amount: int) -> str:
            return display(amount, currency)

        return {
            **{name: getattr(facts, name) for name in type(facts).model_fields},
            "recipient": matter.recipient.value,
            "names": {role.value: called(matter, role) for role in SOMEBODY},
            "service": one_line(matter.service) or "a session",
            "link": f"{self._public_url}/bookings/{matter.booking_id}" if self._public_url else "",
            "booking_id": matter.booking_id,
            "when": when,
            "day": day,
            "money": money,
        }


def called(matter: Matter, role: Role) -> str:
    """What to call somebody, on one line."""
    return one_line(matter.people[role].name or "") or SOMEBODY[role]


def one_line(words: str, longest: int = LONGEST_NAME) -> str:
    """Words without line breaks, control characters or marks that turn the writing round; not endless."""
    kept = "".join(" " if _is_unprintable(char) else char for char in words)
    return " ".join(kept.split())[:longest].strip()


def _is_unprintable(char: str) -> bool:
    # Cc: control, Cf: format (direction marks among them), Cs: surrogate, Zl and Zp: separators.
    return char not in JOINERS and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _block(part: str, link: str) -> Block:
    lines = part.split("\n")
    if all(line.startswith("  ") and ": " in line for line in lines):
        pairs = (line.strip().split(": ", 1) for line in lines)
        return Block(details=tuple((label, value) for label, value in pairs))
    return Block(text=" ".join(lines), link=bool(link) and part == link)
