"""Temporal's dev server: real time, updates-with-start, metadata, reset."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from ops import register_search_attributes

TEMPORAL = str(Path(sys.executable).parent / "temporal")


@asynccontextmanager
async def dev_server(identity: str | None = None) -> AsyncIterator[WorkflowEnvironment]:
    """A server with the product's search attributes; its client says that it is `identity`."""
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=TEMPORAL,
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
        identity=identity,
    )
    try:
        await register_search_attributes(server.client)
        yield server
    finally:
        await server.shutdown()


@asynccontextmanager
async def own_temporal() -> AsyncIterator[Client]:
    """A Temporal of one's own: nobody else's worker plays what is started there."""
    async with dev_server() as server:
        yield server.client
