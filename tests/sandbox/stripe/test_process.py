"""The sandbox as a process: what it prints, how it ends, and that a kill loses nothing."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import stripe

from sandbox.stripe.settings import Settings
from tests.sandbox.stripe.conftest import Control, client_of, receiving
from tests.sandbox.stripe.scenes import authorized

READY = "sandbox Stripe listening on "


async def _start(*arguments: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox.stripe",
        *arguments,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **environment},
    )


@asynccontextmanager
async def _process(database: Path, port: int = 0, **environment: str) -> AsyncIterator[tuple[Process, str]]:
    process = await _start("--port", str(port), "--database", str(database), **environment)
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode().strip()
        assert line.startswith(READY)
        yield process, line.removeprefix(READY)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(tmp_path: Path, end: signal.Signals) -> None:
    async with _process(tmp_path / "new" / "stripe.sqlite") as (process, url):
        async with Control(base_url=url) as control:
            await control.ask("GET", "/health")
        process.send_signal(end)
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await _start("--port", str(port), "--database", str(tmp_path / "x.sqlite"))
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.decode().splitlines() == [
        f"sandbox Stripe cannot listen on 127.0.0.1:{port}: Address already in use"
    ]


async def test_a_window_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    process = await _start(
        "--port", "0", "--database", str(tmp_path / "x.sqlite"), AUTHORIZATION_WINDOW="soon"
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().startswith("AUTHORIZATION_WINDOW: 'soon' is not an ISO 8601 duration")


async def test_the_environment_sets_the_window(tmp_path: Path, http: stripe.HTTPXClient) -> None:
    async with _process(tmp_path / "x.sqlite", AUTHORIZATION_WINDOW="PT2H") as (_, url):
        held = await authorized(client_of(url, Settings.secret_key, http), expand=["latest_charge"])
        charge = held.to_dict()["latest_charge"]
        assert charge["payment_method_details"]["card"]["capture_before"] == charge["created"] + 7200


async def test_a_kill_loses_nothing(tmp_path: Path, http: stripe.HTTPXClient) -> None:
    async with receiving() as gone:
        port = int(gone.url.split(":")[2].split("/")[0])
    database = tmp_path / "stripe.sqlite"
    async with _process(database) as (process, url), Control(base_url=url) as control:
        api = client_of(url, Settings.secret_key, http)
        await control.endpoint(gone.url)
        await control.ask("POST", "/clock", advance_seconds=1000)
        held = await authorized(api)
        customer = await api.v1.customers.create_async({}, {"idempotency_key": "k"})
        now = (await control.ask("GET", "/clock"))["now"]
        process.kill()
        await process.wait()
    async with receiving(port) as back, _process(database) as (_, url), Control(base_url=url) as control:
        api = client_of(url, Settings.secret_key, http)
        assert (await api.v1.payment_intents.retrieve_async(held.id)).status == "requires_capture"
        assert (await api.v1.customers.create_async({}, {"idempotency_key": "k"})).id == customer.id
        assert (await control.ask("GET", "/clock"))["now"] >= now
        await back.wait("payment_intent.amount_capturable_updated", "customer.created")
        assert (await api.v1.payment_intents.capture_async(held.id)).status == "succeeded"
