"""A sandbox as good as new for every test, the unmodified SDK in front of it, and a receiver for its webhooks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import stripe
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.stripe.server import Running, Server, bind, running

DEADLINE_SECONDS = 20.0
SECRET = "whsec_test"


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """Look again and again until there is something to see."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (seen := await look()):  # noqa: ASYNC110 - what is looked at is behind HTTP and sets no event
            await asyncio.sleep(0.01)
    return seen


@dataclass
class Receiver:
    """What arrived; `answers` are statuses for the first requests, then 200."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: Request) -> Response:
        status = self.answers.pop(0) if self.answers else 200
        async with self.arrived:
            self.requests.append((dict(request.headers), await request.body()))
            self.arrived.notify_all()
        return Response(status_code=status)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def wait(self, *types: str) -> None:
        """Until at least these have arrived, each as often as it is named."""
        async with asyncio.timeout(DEADLINE_SECONDS), self.arrived:
            await self.arrived.wait_for(
                lambda: all(self.types.count(kind) >= types.count(kind) for kind in types)
            )


@contextlib.asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A webhook receiver on a free port, or on one where none was before."""
    receiver = Receiver()
    listener = bind("127.0.0.1", port)
    receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    app = Starlette(routes=[Route("/{path:path}", receiver.receive, methods=["POST"])])
    server = Server(uvicorn.Config(app, log_level="warning", ws="none", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.ready.wait()
    yield receiver
    server.stop()
    await serving
    listener.close()


class Control(httpx.AsyncClient):
    """The control API, failing loudly."""

    def __init__(self, *, base_url: str) -> None:
        super().__init__(base_url=base_url, timeout=10, verify=False)

    async def ask(self, method: str, path: str, **body: Any) -> Any:
        response = await self.request(method, f"/_control{path}", json=body)
        response.raise_for_status()
        return response.json()

    async def fault(self, action: str, path: str = "*", **fault: Any) -> None:
        match = {"method": "POST", "path": path} | fault.pop("match", {})
        await self.ask("POST", "/faults", action=action, match=match, **fault)

    async def endpoint(self, url: str, **fields: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self.ask(
            "PUT", "/webhook_endpoints", **{"url": url, "secret": SECRET, **fields}
        )
        return found

    async def objects(self, kind: str) -> list[dict[str, Any]]:
        response = await self.get("/_control/objects", params={"type": kind})
        found: list[dict[str, Any]] = response.raise_for_status().json()["data"]
        return found


def client_of(url: str, key: str, http: stripe.HTTPXClient) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": url}, http_client=http, max_network_retries=0)


@pytest.fixture(scope="session")
async def shared() -> AsyncIterator[Running]:
    async with running() as ready:
        yield ready


@pytest.fixture
async def sandbox(shared: Running) -> Running:
    """As good as new: everything that another test left behind is forgotten."""
    async with Control(base_url=shared.url) as control:
        await control.ask("POST", "/reset", webhook_endpoints=True)
    return shared


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[stripe.HTTPXClient]:
    client = stripe.HTTPXClient(timeout=10)
    yield client
    await client.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
def api(sandbox: Running, http: stripe.HTTPXClient) -> stripe.StripeClient:
    return client_of(sandbox.url, sandbox.secret_key, http)


@pytest.fixture
def browser(sandbox: Running, http: stripe.HTTPXClient) -> stripe.StripeClient:
    """What Stripe.js may do."""
    return client_of(sandbox.url, sandbox.publishable_key, http)


@pytest.fixture
async def control(sandbox: Running) -> AsyncIterator[Control]:
    async with Control(base_url=sandbox.url) as client:
        yield client


@pytest.fixture
async def raw(sandbox: Running) -> AsyncIterator[httpx.AsyncClient]:
    """The API without the SDK."""
    headers = {"Authorization": f"Bearer {sandbox.secret_key}"}
    async with httpx.AsyncClient(
        base_url=sandbox.url, headers=headers, timeout=10, trust_env=False
    ) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as ready:
        yield ready
