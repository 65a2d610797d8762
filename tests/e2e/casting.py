"""Stories whose people are their own, so that an order can name the booking that it is for."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import httpx
import jwt

from models.keys import booking_id_for
from sandbox.asking import Api, Json
from sandbox.client import Outside
from sandbox.demo.play import TROUBLE, Played
from sandbox.demo.scenario import Scenario
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stage import Pace, Stage
from sandbox.demo.stories import cards
from sandbox.person import Condition, Person
from tests.e2e.matrix import Row

PATIENCE: Final = 600.0
"""Seconds that any one thing may take: a step that dies with its worker is tried again after thirty, and others die beside it."""

PACE: Final = Pace(
    payment_window=timedelta(minutes=10),
    # Whoever says how it went may be kept from it for a while.
    completion_grace=timedelta(minutes=10),
    unpaid_window=timedelta(seconds=8),
    payout_hold=timedelta(seconds=4),
    long_hold=timedelta(hours=1),
    silent_for=timedelta(seconds=30),
    # A booking is moved to then, and what is under way before it may die, and then the moving.
    ahead=timedelta(minutes=2),
    # It is renewed when a quarter is left, and the renewal may die, more than once if others die beside it.
    short_authorization=timedelta(minutes=6),
    patience=PATIENCE,
)

IN_SILENCE: Final = replace(PACE, completion_grace=timedelta(seconds=2))
"""For those who wait until the grace is over."""

SILENT: Final = frozenset({"ended in silence", "provider did not come"})

LONG: Final = frozenset(scenario.name for scenario in cards.SCENARIOS) | {"approved"}
"""Those that live by dates have no time to be struck twice, and begin first."""

AT_MOST: Final = 2
"""Strikes in one story, each of which takes it half a minute."""

STORIES: Final = {scenario.name: scenario for scenario in SCENARIOS}

Asked = Callable[[str], None]
"""Hears a booking's id before its request is sent."""


class Patient(Person):
    """Somebody who waits."""

    async def until(self, booking_id: str, condition: Condition, what: str, within: float = PATIENCE) -> Json:
        return await super().until(booking_id, condition, what, within)


class Company(Outside):
    """Everybody who has to do with one story."""

    def provider(self, subject: str) -> Person:
        person = super().provider(subject)
        return Patient(person.api, person.browser, person.token)


@dataclass(frozen=True)
class Part:
    """A story with a number, for it may be played more than once, and where it is struck."""

    number: int
    scenario: Scenario
    rows: Sequence[Row] = ()

    @property
    def pace(self) -> Pace:
        return IN_SILENCE if self.scenario.name in SILENT else PACE


def cast(rows: Sequence[Row], chance: random.Random) -> list[Part]:
    """Give every boundary to a story that goes through it, few to each, in any order."""
    roles: dict[str, list[list[Row]]] = {}
    for row in chance.sample(rows, len(rows)):
        story = chance.choice(row.case.stories)
        theirs = roles.setdefault(story, [])
        for role in theirs:
            if _has_room(role, row, story):
                role.append(row)
                break
        else:
            theirs.append([row])
    numbered = enumerate((story, role) for story, many in roles.items() for role in many)
    parts = [Part(number, STORIES[story], role) for number, (story, role) in numbered]
    chance.shuffle(parts)
    return sorted(parts, key=lambda part: part.scenario.name not in LONG)


def _has_room(role: Sequence[Row], row: Row, story: str) -> bool:
    if len(role) >= (1 if story in LONG else AT_MOST):
        return False
    return row.case.step not in {other.case.step for other in role}


async def played(outside: Outside, part: Part, asked: Asked) -> Played:
    """Play a part with people who have nothing to do with other stories."""
    waited: list[str] = []
    async with _company(outside, part.number, asked) as own:
        try:
            bookings = await part.scenario.play(Stage(own, own.client, part.pace, waited.append))
        except TROUBLE as trouble:
            struck = ", ".join(f"{row.boundary.step} {row.boundary.point}" for row in part.rows)
            return Played(
                part.scenario, wrong=[f"{waited[-1]}: {trouble} (struck at: {struck or 'elsewhere'})"]
            )
    endings = zip(part.scenario.endings, bookings, strict=True)
    wrong = [sentence for ending, booking in endings for sentence in ending.departures(booking)]
    return Played(part.scenario, bookings, wrong)


@asynccontextmanager
async def _company(outside: Outside, number: int, asked: Asked) -> AsyncIterator[Outside]:
    """Two clients and a connection of their own."""

    async def hear(request: httpx.Request) -> None:
        if (request.method, request.url.path) == ("POST", "/api/bookings"):
            token = request.headers["Authorization"].removeprefix("Bearer ")
            subject = jwt.decode(token, options={"verify_signature": False})["sub"]
            asked(str(booking_id_for(subject, request.headers["Idempotency-Key"])))

    hooks = {"request": [hear]}
    async with httpx.AsyncClient(
        base_url=outside.stack.api_url, timeout=15, trust_env=False, event_hooks=hooks
    ) as http:
        api = Api(http, PATIENCE)

        def somebody(subject: str) -> Person:
            token = outside.issuer.token("client", subject, name="Some Body", email=f"{subject}@example.com")
            return Patient(api, outside.client.browser, token)

        first, second = somebody(f"client-{number}a"), somebody(f"client-{number}b")
        ops = Patient(api, outside.ops.browser, outside.ops.token)
        yield Company(outside.stack, first, second, ops, outside.stripe, outside.control, outside.issuer)
