"""How Alembic reaches the database: the URL comes from the caller or from DATABASE_URL."""

import asyncio
import os
from typing import Any

from alembic import context
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from models import bookings, catalogue, ledger, notifications, payments, records
from models.base import Base

TABLES = (bookings, catalogue, ledger, notifications, payments, records)  # imported for their tables
LOCK_TIMEOUT = "5s"
"""A migration that cannot get its lock gives up before it queues everybody behind it."""


def run(connection: Connection) -> None:
    """Run the migrations on an open connection."""
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection, target_metadata=Base.metadata, compare_type=True, compare_server_default=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Open the one connection that migrations need."""
    url = context.config.get_main_option("sqlalchemy.url") or os.environ["DATABASE_URL"]
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given: Any = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(connect_and_run())
