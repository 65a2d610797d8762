"""The product's schema, in a database that a test or a measurement opened itself."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection

from models.database import Database

ALEMBIC = Path(__file__).parents[2] / "alembic.ini"


async def migrate(database: Database) -> None:
    async with database.engine.connect() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config(ALEMBIC)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
