"""What an operator runs by hand or on deployment: `python ops.py --help`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.envconfig import ClientConfig

from workflows.search_attributes import REGISTERED


def migrate() -> None:
    """Bring the database at DATABASE_URL up to date."""
    command.upgrade(Config(Path(__file__).with_name("alembic.ini")), "head")


async def register_search_attributes(client: Client) -> list[str]:
    """Register what is missing in the client's namespace; answers the names that were."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = [key for key in REGISTERED if key.name not in known.custom_attributes]
    if missing:
        await add_search_attributes(client, missing)
    return sorted(key.name for key in missing)


async def add_search_attributes(client: Client, keys: Sequence[SearchAttributeKey[Any]]) -> None:
    """Make the client's namespace know `keys`."""
    types = {key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in keys}
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    )


async def _register() -> None:
    client = await Client.connect(**ClientConfig.load_client_connect_config())
    added = await register_search_attributes(client)
    print(f"registered: {', '.join(added) or 'nothing was missing'}")  # noqa: T201 - a command's answer


def main() -> None:
    """Dispatch."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database up to date")
    commands.add_parser("register-search-attributes", help="make the namespace know our search attributes")
    chosen = parser.parse_args().command
    if chosen == "migrate":
        migrate()
    else:
        asyncio.run(_register())
        _leave()


def _leave() -> None:
    """End at once, without Python's own shutdown.

    A thread of the Temporal SDK may still be on its way out of delivering the last answer; an
    interpreter that shuts down under it aborts (one time in four on a busy machine).
    """
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
