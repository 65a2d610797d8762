"""Whether a transaction changes anything: who dies after one that has only read leaves the world as it was."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

WROTE: Final = text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")


async def wrote(session: AsyncSession) -> bool:
    """Postgres gives a transaction a number when it first changes or locks a row."""
    await session.flush()
    return bool(await session.scalar(WROTE))
