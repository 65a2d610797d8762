"""Temporal's development server with its UI, out of a wheel; all it knows is in one SQLite file."""

import shutil
import sys
from pathlib import Path

import httpx

from sandbox.errors import TemporalUnavailableError

HOST = "127.0.0.1"


def binary() -> Path:
    """Return the `temporal` program: the wheel's, which lies beside our Python and so need not be on PATH, or any."""
    beside = Path(sys.executable).with_name("temporal")
    found = beside if beside.exists() else shutil.which("temporal")
    if found is None:
        raise TemporalUnavailableError(
            "The program temporal is missing: run `make up`, or set TEMPORAL_ADDRESS."
        )
    return Path(found)


def command(database: Path, port: int, ui_port: int) -> list[str]:
    """Return the server's command line; started again on the same file it carries on, also after a kill."""
    argv = [str(binary()), "server", "start-dev", "--db-filename", str(database), "--log-level", "error"]
    return [*argv, "--ip", HOST, "--port", str(port), "--ui-port", str(ui_port)]


async def is_ready(ui_port: int) -> bool:
    """Tell whether workflows can be started: the UI answers for the namespace only once the server behind it does."""
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            answer = await client.get(f"http://{HOST}:{ui_port}/api/v1/namespaces/default", timeout=2)
        except httpx.HTTPError:
            return False
    return answer.status_code == httpx.codes.OK
