"""A Temporal server of one's own: nobody else's worker plays what is started there."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from ops import register_search_attributes

BIN = Path(sys.executable).parent


@asynccontextmanager
async def own_temporal() -> AsyncIterator[Client]:
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal"),
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
    )
    await register_search_attributes(server.client)
    yield server.client
    await server.shutdown()
