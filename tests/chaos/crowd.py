"""The people of a run: everybody plays a story of the demo, patiently, and sometimes presses everything twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import httpx

from sandbox.asking import Api, Json
from sandbox.client import Outside
from sandbox.demo.scenario import Scenario
from sandbox.demo.stage import Pace, Stage
from sandbox.person import Condition, Person
from tests.chaos.plan import CLIENTS, HURRY_BELOW, Arrival, Plan, stories
from tests.e2e.stacks import PATIENCE

AT_A_TIME: Final = 24
"""Stories; more would only wait for each other."""

LOOK_EVERY: Final = 0.8
"""Seconds that people wait before they look again: dozens of them should not be the load."""

LONG: Final = Pace(
    # Shorter than people are patient, so that they live to see a lost webhook made good by the deadline.
    payment_window=timedelta(seconds=45),
    unpaid_window=timedelta(seconds=8),
    completion_grace=timedelta(seconds=20),
    payout_hold=timedelta(seconds=4),
    silent_for=timedelta(seconds=30),
    # A request may be repeated for a while, and "now" is good for a minute.
    ahead=timedelta(seconds=25),
    short_authorization=timedelta(seconds=60),
    patience=PATIENCE,
)
SHORT: Final = replace(
    LONG,
    payment_window=timedelta(seconds=30),
    unpaid_window=timedelta(seconds=5),
    completion_grace=timedelta(seconds=5),
    silent_for=timedelta(seconds=20),
    ahead=timedelta(seconds=15),
)


class Phones(Api):
    """The API as a crowd asks it; knows every booking that was ever promised to somebody."""

    def __init__(self, http: httpx.AsyncClient, patience: float) -> None:
        super().__init__(http, patience)
        self.http = http
        self.made: set[str] = set()
        self.twice = False
        self.pressed_twice = 0

    async def ask(self, token: str, method: str, path: str, body: Json | None = None) -> Json:
        if method == "GET":
            await asyncio.sleep(LOOK_EVERY)
        answer = await super().ask(token, method, path, body)
        if (method, path) == ("POST", "/api/bookings"):
            self.made.add(answer["id"])
        return answer

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: Json | None
    ) -> httpx.Response | Exception:
        if not self.twice or method != "POST":
            return await super()._once(method, path, headers, body)
        self.pressed_twice += 1
        once = super()._once
        first, _ = await asyncio.gather(once(method, path, headers, body), once(method, path, headers, body))
        return first


class Patient(Person):
    """Somebody who also waits that long for a slot to become one that can be paid."""

    async def until(self, booking_id: str, condition: Condition, what: str, within: float = PATIENCE) -> Json:
        return await super().until(booking_id, condition, what, within)


@dataclass(frozen=True)
class Told:
    """How a story went for whoever played it; a world that changed is no fault of the booking's."""

    arrival: Arrival
    trouble: str | None


class Crowd:
    """Plays a plan's arrivals."""

    def __init__(self, everybody: Outside, phones: Phones, say: Callable[[str], None]) -> None:
        self._everybody = everybody
        self.phones = phones
        self._say = say
        self._places = asyncio.Semaphore(AT_A_TIME)
        self.under_way: dict[int, str] = {}
        """What each story that has begun waits for."""
        self.told: list[Told] = []
        self.ops = Person(phones, everybody.client.browser, everybody.ops.token)
        self._clients = [self._client(number) for number in range(CLIENTS)]

    def _client(self, number: int) -> Person:
        token = self._everybody.issuer.token(
            "client", f"chaos-{number}", name=f"Client {number}", email=f"client-{number}@sandbox.example"
        )
        return Patient(self.phones, self._everybody.client.browser, token)

    async def play(self, plan: Plan, began: float) -> None:
        """Play all stories, each from its moment on."""
        known = stories(plan.minutes)
        pace = LONG if plan.minutes >= HURRY_BELOW else SHORT
        async with asyncio.TaskGroup() as group:
            for number, arrival in enumerate(plan.arrivals):
                stage = self._stage(number, arrival, pace)
                group.create_task(self._play(number, arrival, known[arrival.story], stage, began))

    async def _play(
        self, number: int, arrival: Arrival, scenario: Scenario, stage: Stage, began: float
    ) -> None:
        await asyncio.sleep(began + arrival.at - time.monotonic())
        async with self._places:
            trouble = await self._trouble(scenario, stage)
            self.under_way.pop(number, None)
            self.told.append(Told(arrival, trouble))
            if trouble:
                self._say(f"{arrival.story} went another way: {trouble}")

    def _stage(self, number: int, arrival: Arrival, pace: Pace) -> Stage:
        def say(news: str) -> None:
            self.under_way[number] = news

        client, other = self._clients[arrival.client], self._clients[arrival.other]
        around = replace(self._everybody, client=client, client2=other, ops=self.ops)
        return Stage(around, client, pace, say)

    @staticmethod
    async def _trouble(scenario: Scenario, stage: Stage) -> str | None:
        stage.say("about to start")
        try:
            bookings = await scenario.play(stage)
        except Exception as error:  # noqa: BLE001 - whatever a story stumbles over, its booking has to end
            return f"{type(error).__name__} {error}"
        wrong = [
            sentence
            for ending, booking in zip(scenario.endings, bookings, strict=True)
            for sentence in ending.departures(booking)
        ]
        return "; ".join(wrong) or None


@asynccontextmanager
async def phones(everybody: Outside) -> AsyncIterator[Phones]:
    """Open the crowd's connections."""
    async with httpx.AsyncClient(
        base_url=everybody.stack.api_url, timeout=15, trust_env=False, limits=httpx.Limits()
    ) as http:
        yield Phones(http, PATIENCE)
