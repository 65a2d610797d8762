"""What a run will do, drawn from its seed before anything starts: who comes when, and what strikes when."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import cycle
from typing import Final

from sandbox.demo.scenario import Scenario
from sandbox.demo.scenarios import SCENARIOS

CLIENTS: Final = 12
"""People who book; everybody is one customer at Stripe."""

CALM: Final = 3.0
"""Seconds before the first disaster: somebody has to be there to be struck."""

ARRIVE_WITHIN: Final = 0.85
"""Part of the fault time in which bookings arrive; the last ones should be struck, too."""

UNFIT: Final = frozenset({"lost webhook"})
"""It sets the webhook mode, which is a disaster's to set here."""

HURRY_BELOW: Final = 1.0
"""Minutes: a run shorter than that has short windows, and no time to wait for an authorization to end."""

LONGEST_STOP: Final = 40.0
"""Seconds: longer than one attempt of a step may take, so that a retry runs beside the stopped one."""


class Kind(StrEnum):
    """What can strike."""

    WORKER_KILLED = "worker killed"
    API_KILLED = "API killed"
    TEMPORAL_KILLED = "Temporal killed"
    POSTGRES_KILLED = "Postgres killed"
    POSTGRES_SHUT = "Postgres shut down at once"
    SESSIONS_CUT = "database sessions cut"
    WORKER_STOPPED = "worker stopped for a while"
    FAIL_BEFORE = "Stripe: fail_before"
    RESET_BEFORE = "Stripe: reset_before"
    TIMEOUT_BEFORE = "Stripe: timeout_before"
    RATE_LIMIT = "Stripe: rate_limit"
    CONFLICT = "Stripe: conflict"
    SLOW = "Stripe: slow"
    FAIL_AFTER = "Stripe: fail_after"
    TIMEOUT_AFTER = "Stripe: timeout_after"
    RESET_AFTER = "Stripe: reset_after"
    MALFORMED = "Stripe: malformed"
    CACHED_500 = "Stripe: cached_500"
    REFUSED = "Stripe refuses for good"
    KEYS_FORGOTTEN = "Stripe forgets its keys"
    WEBHOOKS_DROP = "webhooks: drop"
    WEBHOOKS_DUPLICATE = "webhooks: duplicate"
    WEBHOOKS_DELAY = "webhooks: delay"
    WEBHOOKS_REORDER = "webhooks: reorder"
    INBOX_REPLAYED = "delivered webhooks sent again"
    WORKFLOW_RESET = "workflow reset"
    WORKFLOW_TERMINATED = "workflow terminated"
    PRESSED_TWICE = "everything pressed twice"

    @property
    def word(self) -> str:
        """What the sandbox's Stripe calls it."""
        return self.value.rpartition(": ")[2]


PARTS: Final = {
    Kind.WORKER_KILLED: 1.2,
    Kind.API_KILLED: 0.8,
    Kind.TEMPORAL_KILLED: 0.6,
    Kind.POSTGRES_KILLED: 0.6,
    Kind.POSTGRES_SHUT: 0.4,
    Kind.SESSIONS_CUT: 0.8,
    Kind.WORKER_STOPPED: 0.4,
}
STRIPE: Final = {
    **dict.fromkeys((kind for kind in Kind if kind.value.startswith("Stripe: ")), 1.0),
    Kind.REFUSED: 1.0,
    Kind.KEYS_FORGOTTEN: 1.0,
}
WEBHOOKS: Final = dict.fromkeys((kind for kind in Kind if kind.value.startswith("webhooks: ")), 0.6)
WORKFLOWS: Final = {
    Kind.WORKFLOW_RESET: 3.0,
    Kind.WORKFLOW_TERMINATED: 1.5,
    Kind.INBOX_REPLAYED: 1.0,
    Kind.PRESSED_TWICE: 1.0,
}
GROUPS: Final = (PARTS, STRIPE, WEBHOOKS, WORKFLOWS)
"""How often each strikes in a minute; every kind strikes once at least. Two of one group never overlap."""

ANYTHING: Final = ("POST", "*", "booking:*")
"""Method, path and key of every write that a booking makes: there is always one soon."""

UNGUARDED: Final = (("POST", "/v1/transfers", "*"), ("POST", "/v1/payment_intents", "*"))
"""The same for workers that send without keys of ours."""

TARGETS: Final = (
    ANYTHING,
    ("POST", "/v1/customers", "*"),
    ("POST", "/v1/payment_intents", "booking:*"),
    ("POST", "/v1/payment_intents/*/capture", "*"),
    ("POST", "/v1/payment_intents/*/cancel", "*"),
    ("POST", "/v1/refunds", "booking:*"),
    ("POST", "/v1/transfers*", "*"),
    ("POST", "/v1/setup_intents", "*"),
    ("GET", "/v1/payment_intents*", "*"),
    ("GET", "/v1/transfers*", "*"),
    ("GET", "/v1/refunds*", "*"),
    ("GET", "*", "*"),
)


@dataclass(frozen=True)
class Arrival:
    """Somebody begins a story of the demo."""

    at: float
    story: str
    client: int
    other: int


@dataclass(frozen=True)
class Disaster:
    """Something strikes; what each kind makes of the drawn numbers is in `disasters.py`."""

    at: float
    kind: Kind
    lasts: float
    pick: float
    """Between 0 and 1: which of those that are there, the oldest first."""
    times: int
    acted: bool
    """Whether Stripe did what it answers 500 to for ever."""
    target: tuple[str, str, str]


@dataclass(frozen=True)
class Plan:
    """A whole run; the same numbers make the same plan."""

    seed: int
    bookings: int
    minutes: float
    workers: int
    """With two of them, one goes on beside the other that is stopped or killed."""
    arrivals: tuple[Arrival, ...]
    disasters: tuple[Disaster, ...]

    @property
    def seconds(self) -> float:
        """How long things may strike."""
        return self.minutes * 60

    @property
    def unguarded(self) -> "Plan":
        """The same, aimed at what moves money or asks for it: workers without guards do that twice then."""
        aims = cycle(UNGUARDED)
        return replace(self, disasters=tuple(replace(one, target=next(aims)) for one in self.disasters))

    @property
    def replay(self) -> str:
        """The command that plays this again."""
        return f"make chaos SEED={self.seed} BOOKINGS={self.bookings} MINUTES={self.minutes:g}"


def stories(minutes: float) -> dict[str, Scenario]:
    """What can be played; a short run has no time for those that live by seconds."""
    return {
        one.name: one
        for one in SCENARIOS
        if one.name not in UNFIT and (minutes >= HURRY_BELOW or not one.hurried)
    }


def draw(seed: int, bookings: int, minutes: float) -> Plan:
    """The plan of a seed."""
    chance = random.Random(seed)  # noqa: S311 - chaos, not secrets
    workers = chance.choice((1, 2))
    arrivals = tuple(_arrivals(chance, bookings, minutes))
    struck = [one for group in GROUPS for one in _disasters(chance, group, minutes)]
    return Plan(seed, bookings, minutes, workers, arrivals, tuple(sorted(struck, key=lambda one: one.at)))


def _arrivals(chance: random.Random, bookings: int, minutes: float) -> Iterator[Arrival]:
    """Every story once before any comes again, until there are bookings enough."""
    told: list[str] = []
    known, deck, left = stories(minutes), list[str](), bookings
    while left > 0:
        deck = deck or chance.sample(sorted(known), len(known))
        told.append(deck.pop())
        left -= len(known[told[-1]].endings)
    moments = sorted(chance.uniform(0, minutes * 60 * ARRIVE_WITHIN) for _ in told)
    for at, story in zip(moments, told, strict=True):
        client, other = chance.sample(range(CLIENTS), 2)
        yield Arrival(at, story, client, other)


def _disasters(chance: random.Random, rates: dict[Kind, float], minutes: float) -> Iterator[Disaster]:
    """Each in a slot of its own, over before the next begins."""
    kinds = [kind for kind, rate in rates.items() for _ in range(max(1, round(rate * minutes)))]
    chance.shuffle(kinds)
    slot = (minutes * 60 - CALM) / len(kinds)
    met: set[Kind] = set()
    short = minutes < HURRY_BELOW
    for number, kind in enumerate(kinds):
        yield Disaster(
            at=CALM + slot * (number + chance.uniform(0, 0.4)),
            kind=kind,
            lasts=min(slot * chance.uniform(0.4, 0.55), LONGEST_STOP),
            # What takes its minute by design is left to longer runs: to be restarted while still young, and
            # to prove that nothing hides behind a stored 500.
            pick=chance.random() * (0.3 if short else 1),
            times=chance.randint(1, 3),
            acted=short or chance.random() < 0.5,
            # The first of a kind has to hit something.
            target=_target(chance, TARGETS if kind in met else (ANYTHING,)),
        )
        met.add(kind)


def _target(chance: random.Random, targets: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    return chance.choice(targets)
