"""Plays scenarios at the same time, and says of each whether it ended as it has to and its money adds up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import stripe

from sandbox.client import Json, NotInTime, Outside, Refused
from sandbox.demo import figures
from sandbox.demo.audit import Figures, findings
from sandbox.demo.scenarios import Scenario
from sandbox.demo.stage import Pace, Stage

Tell = Callable[[str, str], None]
"""Takes a scenario's name and what it waits for now."""

TROUBLE = (NotInTime, Refused, httpx.HTTPError, stripe.StripeError)


@dataclass
class Played:
    """One scenario, how it ended, and what is wrong with that."""

    scenario: Scenario
    booking: Json | None = None
    wrong: list[str] = field(default_factory=list)
    figures: Figures | None = None


async def play_all(outside: Outside, scenarios: Sequence[Scenario], pace: Pace, tell: Tell) -> list[Played]:
    """Play all at once, then check the money of those that ended."""
    clients = (outside.client, outside.client2)

    async def play(number: int, scenario: Scenario) -> Played:
        def say(news: str) -> None:
            tell(scenario.name, news)

        return await _play(scenario, Stage(outside, clients[number % len(clients)], pace, say), say)

    played = await asyncio.gather(*(play(number, each) for number, each in enumerate(scenarios)))
    await audit(outside, played)
    return played


async def audit(outside: Outside, played: Sequence[Played]) -> None:
    """Add what does not add up to what is wrong."""
    ended = [(one, one.booking) for one in played if one.booking is not None]
    gathered = await figures.gather(outside, [booking for _, booking in ended])
    for (one, _), found in zip(ended, gathered, strict=True):
        one.figures = found
        one.wrong += findings(found)


async def _play(scenario: Scenario, stage: Stage, say: Callable[[str], None]) -> Played:
    try:
        booking = await scenario.play(stage)
    except TROUBLE as trouble:
        say(f"FAILED: {trouble}")
        return Played(scenario, wrong=[str(trouble)])
    return Played(scenario, booking, scenario.ending.departures(booking))
