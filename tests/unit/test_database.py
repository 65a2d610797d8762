"""Lost races are run again, and only those (DESIGN 6, FAULTS P2)."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from models.catalogue import Client
from models.database import ATTEMPTS, Database

pytestmark = pytest.mark.fault("P2")

RAISE = "DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{code}'; END $$"


@pytest.fixture(autouse=True)
def _without_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.database.random.uniform", lambda *_: 0)


async def fails(database: Database, code: str, times: int) -> int:
    """Do something that Postgres refuses so many times; answers on which attempt it worked."""
    attempts = 0

    async def work(session: AsyncSession) -> int:
        nonlocal attempts
        attempts += 1
        if attempts <= times:
            await session.execute(text(RAISE.format(code=code)))
        return attempts

    return await database.run(work)


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_lost_race_is_run_again_until_it_is_won(database: Database, code: str) -> None:
    assert await fails(database, code, ATTEMPTS - 1) == ATTEMPTS


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_race_that_is_always_lost_surfaces_in_the_end(database: Database, code: str) -> None:
    with pytest.raises(DBAPIError, match="lost"):
        await fails(database, code, ATTEMPTS)


async def test_what_is_no_race_is_not_run_again(database: Database) -> None:
    attempts: list[int] = []

    async def work(session: AsyncSession) -> None:
        attempts.append(1)
        await session.execute(text(RAISE.format(code="23514")))

    with pytest.raises(DBAPIError, match="lost"):
        await database.run(work)
    assert len(attempts) == 1


async def test_a_real_deadlock_ends_with_both_having_done_their_work(database: Database) -> None:
    one, other = (f"client-{uuid4()}" for _ in range(2))

    async def make(session: AsyncSession) -> None:
        session.add_all([Client(id=one, name=""), Client(id=other, name="")])

    await database.run(make)
    meet = asyncio.Barrier(2)
    rounds: list[str] = []

    async def rename(first: str, second: str, mark: str) -> None:
        met = False

        async def work(session: AsyncSession) -> None:
            nonlocal met
            rounds.append(mark)
            await session.execute(update(Client).where(Client.id == first).values(name=Client.name + mark))
            if not met:
                met = True
                await meet.wait()
            await session.execute(update(Client).where(Client.id == second).values(name=Client.name + mark))

        await database.run(work)

    await asyncio.gather(rename(one, other, "a"), rename(other, one, "b"))
    assert len(rounds) == 3
    async with database.transaction() as session:
        for client_id in (one, other):
            client = await session.get_one(Client, client_id)
            assert sorted(client.name or "") == ["a", "b"]


async def test_a_transaction_that_fails_leaves_nothing_behind(database: Database) -> None:
    client_id = f"client-{uuid4()}"

    async def work(session: AsyncSession) -> None:
        session.add(Client(id=client_id))
        await session.flush()
        raise KeyError(client_id)

    with pytest.raises(KeyError):
        await database.run(work)
    assert await database.run(lambda session: session.get(Client, client_id)) is None
