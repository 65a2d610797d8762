"""Plays scenarios at the same time, and says of each whether it ended as it has to and its money adds up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import stripe

from sandbox.asking import Json, NotInTime, Refused
from sandbox.client import Outside
from sandbox.demo import figures
from sandbox.demo.audit import Figures, findings
from sandbox.demo.scenario import Scenario
from sandbox.demo.stage import Pace, Say, Stage

AT_A_TIME: Final = 12
"""Scenarios; more than a small machine can serve would only wait for each other, and miss their seconds."""

Tell = Callable[[str, str], None]
"""Takes a scenario's name and what it waits for now."""

TROUBLE = (NotInTime, Refused, httpx.HTTPError, stripe.StripeError)


@dataclass
class Played:
    """One scenario, how its bookings ended, and what is wrong with that."""

    scenario: Scenario
    bookings: tuple[Json, ...] = ()
    wrong: list[str] = field(default_factory=list)
    figures: tuple[Figures, ...] = ()


def playable(outside: Outside, scenarios: Sequence[Scenario]) -> list[Scenario]:
    """What can be played: nobody plays with the real Stripe."""
    return [each for each in scenarios if outside.control is not None or not each.plays_stripe]


async def play_all(outside: Outside, scenarios: Sequence[Scenario], pace: Pace, tell: Tell) -> list[Played]:
    """Play many at a time, then check the money of those that ended."""
    clients, places = (outside.client, outside.client2), asyncio.Semaphore(AT_A_TIME)

    async def play(number: int, scenario: Scenario) -> Played:
        def say(news: str) -> None:
            tell(scenario.name, news)

        async with places:
            return await _play(scenario, Stage(outside, clients[number % len(clients)], pace, say), say)

    # Who lives by seconds has to wait for them: the sooner that begins, the sooner all is over.
    numbers = sorted(range(len(scenarios)), key=lambda number: not scenarios[number].hurried)
    ended = await asyncio.gather(*(play(number, scenarios[number]) for number in numbers))
    played = [one for _, one in sorted(zip(numbers, ended, strict=True), key=lambda pair: pair[0])]
    await audit(outside, played)
    return played


async def audit(outside: Outside, played: Sequence[Played]) -> None:
    """Add what does not add up to what is wrong."""
    gathered = iter(await figures.gather(outside, [each for one in played for each in one.bookings]))
    for one in played:
        one.figures = tuple(next(gathered) for _ in one.bookings)
        one.wrong += [sentence for found in one.figures for sentence in findings(found)]


async def _play(scenario: Scenario, stage: Stage, say: Say) -> Played:
    try:
        bookings = await scenario.play(stage)
    except TROUBLE as trouble:
        say(f"FAILED: {trouble}")
        return Played(scenario, wrong=[str(trouble)])
    return Played(scenario, bookings, _departures(scenario, bookings))


def _departures(scenario: Scenario, bookings: tuple[Json, ...]) -> list[str]:
    endings = zip(scenario.endings, bookings, strict=True)
    return [sentence for ending, booking in endings for sentence in ending.departures(booking)]
