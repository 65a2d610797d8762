"""What an operator runs by hand or on deployment: `python ops.py --help`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

from activities.findings import Findings
from activities.watching import look_now
from models.database import Database
from models.records import Finding
from settings import WorkerSettings
from workflows.contracts import AUDIT_ID, RECONCILIATION_ID
from workflows.followups import Found
from workflows.search_attributes import REGISTERED

DETAIL_WIDTH: Final = 100

COMMANDS: Final = {
    "migrate": "bring the database at DATABASE_URL up to date",
    "register-search-attributes": "make Temporal's namespace know what ops filter bookings by",
    "reconcile": "compare Stripe, Postgres and Temporal now: lost webhooks and runs are made good, the rest is listed",
    "audit": "check every invariant of the ledger and the states now, and list what is violated",
}


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


async def look(client: Client, database: Database, which: str) -> tuple[str, bool]:
    """Reconcile or audit now, through a worker; answers a table of the result, and whether all is well."""
    found = await look_now(client, which)
    standing = await Findings(database).open_ones()
    return table(found, standing), not standing


def table(found: Found, standing: Sequence[Finding]) -> str:
    """What was made good, and what needs a person, a line each."""
    repaired = [f"{count:>6}  {what}" for what, count in sorted(found.repaired.items()) if count]
    findings = [
        f"{one.first_seen_at:%Y-%m-%d %H:%M}  {one.rule}\n{'':18}{one.subject}: {_cut(one.detail)}"
        for one in standing
    ]
    made_good = ["Made good:", *repaired] if repaired else ["Made good: nothing."]
    need = ["Open findings (UTC):", *findings] if findings else ["Open findings: none."]
    return "\n".join([*made_good, *need])


def _cut(detail: str) -> str:
    return detail if len(detail) <= DETAIL_WIDTH else f"{detail[: DETAIL_WIDTH - 1]}…"


async def _register() -> bool:
    client = await Client.connect(**ClientConfig.load_client_connect_config())
    added = await register_search_attributes(client)
    _say(f"registered: {', '.join(added) or 'nothing was missing'}")
    return True


async def _look(which: str) -> bool:
    client = await Client.connect(
        **ClientConfig.load_client_connect_config(), data_converter=pydantic_data_converter
    )
    database = Database.connect(WorkerSettings().database_url)
    try:
        told, well = await look(client, database, which)
    finally:
        await database.close()
    _say(told)
    return well


def _say(answer: str) -> None:
    print(answer)  # noqa: T201 - a command's answer


def parser() -> argparse.ArgumentParser:
    """The command line."""
    built = argparse.ArgumentParser(
        description=__doc__,
        epilog="`reconcile` and `audit` need a running worker; they exit with 1 while findings are open.",
    )
    commands = built.add_subparsers(dest="command", required=True)
    for name, meaning in COMMANDS.items():
        commands.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
    return built


def main() -> None:
    """Dispatch."""
    chosen = parser().parse_args().command
    if chosen == "migrate":
        migrate()
        return
    online: dict[str, Callable[[], Awaitable[bool]]] = {
        "register-search-attributes": _register,
        "reconcile": lambda: _look(RECONCILIATION_ID),
        "audit": lambda: _look(AUDIT_ID),
    }
    _leave(asyncio.run(_run(online[chosen])))


async def _run(what: Callable[[], Awaitable[bool]]) -> bool:
    return await what()


def _leave(well: bool) -> None:  # noqa: FBT001 - the result of what ran
    """End at once, without Python's own shutdown.

    A thread of the Temporal SDK may still be on its way out of delivering the last answer; an
    interpreter that shuts down under it aborts (one time in four on a busy machine).
    """
    sys.stdout.flush()
    os._exit(0 if well else 1)


if __name__ == "__main__":
    main()
