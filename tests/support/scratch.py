"""A migrated database to break: constraints dropped here are missed by nobody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from models.database import Database
from tests.support.migrated import migrate


async def _run(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@asynccontextmanager
async def scratch_database(url: str, *broken: str) -> AsyncIterator[Database]:
    """A database of one's own on the server at `url`, migrated, then changed by the statements `broken`."""
    name = f"scratch_{uuid4().hex}"
    await _run(url, f"CREATE DATABASE {name}")
    database = Database.connect(make_url(url).set(database=name).render_as_string(hide_password=False))
    try:
        await migrate(database)
        async with database.engine.connect() as connection:
            for statement in broken:
                await connection.execute(text(statement))
            await connection.commit()
        yield database
    finally:
        await database.close()
        await _run(url, f"DROP DATABASE {name} WITH (FORCE)")
