"""The real stack, as the processes that `make up` starts, on ports that nobody uses."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.configuration import Configuration
from sandbox.leftovers import is_running

ROOT = Path(__file__).parents[2]
PORTS = ["API_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "STRIPE_PORT", "POSTGRES_PORT", "MAIL_PORT"]
KEYS = {
    "api_url",
    "temporal_address",
    "temporal_ui_url",
    "stripe_url",
    "stripe_secret_key",
    "stripe_publishable_key",
    "webhook_secret",
    "connect_webhook_secret",
    "database_url",
    "mail_url",
    "tokens",
    "provider_id",
    "services",
    "stripe_control_url",
}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


class Up:
    """One `make up`."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.output = run_dir / "output"

    async def start(self, **environment: str) -> asyncio.subprocess.Process:
        ours = {name.upper() for name in Configuration.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name not in ours}
        with self.output.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sandbox", "up"),
                cwd=ROOT,
                env={**inherited, **dict.fromkeys(PORTS, "0"), "RUN_DIR": str(self.run_dir), **environment},
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )

    async def started(self) -> asyncio.subprocess.Process:
        process = await self.start()
        await until(lambda: self.description.exists() or process.returncode is not None)
        assert process.returncode is None, self.output.read_text()
        return process

    @property
    def description(self) -> Path:
        return self.run_dir / "stack.json"

    def described(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self.description.read_text())
        return described

    def children(self) -> dict[str, dict[str, Any]]:
        found = {}
        for path in (self.run_dir / "pids").glob("*.json"):
            with suppress(FileNotFoundError):  # it has just ended
                found[path.stem] = json.loads(path.read_text())
        return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - files and processes raise no events
            await asyncio.sleep(0.02)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    # Not tmp_path: as root, Postgres runs as another user, who may not enter pytest's directory.
    path = Path(tempfile.mkdtemp())
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def up(run_dir: Path) -> AsyncIterator[Up]:
    up = Up(run_dir)
    yield up
    for child in up.children().values():
        assert not is_running(child["pid"], child["argv"])


async def test_the_stack_describes_itself_heals_and_leaves_nothing_behind(up: Up) -> None:
    stack = await up.started()
    described = up.described()
    assert set(described) == KEYS
    assert set(described["tokens"]) == {"client", "client2", "provider", "ops"}
    async with httpx.AsyncClient(trust_env=False) as client:
        for url in (f"{described['api_url']}/readyz", f"{described['stripe_control_url']}/health"):
            assert (await client.get(url)).status_code == 200

    before = up.children()
    os.kill(before["worker"]["pid"], signal.SIGKILL)
    await until(lambda: up.children().get("worker", before["worker"]) != before["worker"])
    await until(lambda: "worker was ended by SIGKILL; starting it again now" in up.output.read_text())

    stack.terminate()
    stack.terminate()
    assert await stack.wait() == 0
    assert not up.description.exists()
    assert up.children() == {}
    assert not any(is_running(child["pid"], child["argv"]) for child in before.values())


async def test_nothing_outlives_a_killed_stack_and_the_next_one_carries_on(up: Up) -> None:
    killed = await up.started()
    children, first = up.children(), up.described()
    killed.kill()
    await killed.wait()
    up.description.unlink()
    stack = await up.started()
    assert not any(is_running(child["pid"], child["argv"]) for child in children.values())
    assert up.described()["services"] == first["services"]
    assert up.described()["webhook_secret"] == first["webhook_secret"]
    stack.send_signal(signal.SIGINT)
    assert await stack.wait() == 0


async def test_a_port_in_use_is_one_sentence_before_anything_is_started(up: Up) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        stack = await up.start(API_PORT=str(port))
        assert await stack.wait() == 1
    assert up.output.read_text() == (
        f"Port {port} is in use: stop what uses it, or set API_PORT to another port (0 picks a free one).\n"
    )
    assert up.children() == {}
