"""`make up`: the whole product and its outside world as one supervised family of processes."""

import asyncio
import json
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from sandbox import configuration, endpoints, keys, postgres
from sandbox.console import Console
from sandbox.errors import ChildFailedError, SandboxError
from sandbox.parts import ROOT, Parts
from sandbox.ports import claim
from sandbox.run_dir import sole_owner
from sandbox.supervisor import Supervisor
from sandbox.tokens import Issuer


class Stack:
    """Starts the parts in the order of their needs, says when all is ready, stops them in reverse."""

    def __init__(self, parts: Parts, supervisor: Supervisor, console: Console) -> None:
        self._parts = parts
        self._supervisor = supervisor
        self._console = console
        self._description = parts.run_dir / "stack.json"

    async def serve(self) -> None:
        """Run until a signal says stop; a second one changes nothing."""
        began = time.monotonic()
        stopping = asyncio.create_task(_stop_signal().wait())
        starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                keys.write_private(self._description, json.dumps(starting.result(), indent=2))
                self._console.show(self._greeting(time.monotonic() - began))
                await stopping
        finally:
            self._description.unlink(missing_ok=True)
            self._console.say("stack", "stopping")
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._supervisor.stop()
            self._console.say("stack", "stopped")

    async def _start(self) -> dict[str, Any]:
        try:
            async with asyncio.TaskGroup() as group:
                database = group.create_task(self._start_database())
                temporal = group.create_task(self._start_temporal())
                stripe = group.create_task(self._start_stripe())
                group.create_task(self._start_mail())
                await database
                group.create_task(self._supervisor.start(self._parts.api()))
                await stripe
                catalogue = group.create_task(self._fill_catalogue())
                await temporal
                for worker in self._parts.workers():
                    group.create_task(self._supervisor.start(worker))
        except* SandboxError as failures:
            # They fall like dominoes: the first one has the reason.
            raise _first(failures) from None
        return self._describe(catalogue.result())

    async def _start_database(self) -> None:
        if "POSTGRES_PORT" in self._parts.ports:
            await asyncio.to_thread(postgres.prepare, self._parts.run_dir / "postgres")
            await self._supervisor.start(self._parts.postgres())
        await self._run("migrate", "ops.py", "migrate")

    async def _start_temporal(self) -> None:
        if "TEMPORAL_PORT" in self._parts.ports:
            await self._supervisor.start(self._parts.temporal())
        await self._run("attributes", "ops.py", "register-search-attributes")

    async def _start_stripe(self) -> None:
        if "STRIPE_PORT" in self._parts.ports:
            await self._supervisor.start(self._parts.stripe())
            await endpoints.register(self._parts)

    async def _start_mail(self) -> None:
        if "MAIL_PORT" in self._parts.ports:
            await self._supervisor.start(self._parts.mail())

    async def _fill_catalogue(self) -> dict[str, Any]:
        for line in reversed(await self._run("catalogue", "-m", "sandbox.catalogue")):
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    return found
        raise ChildFailedError("The catalogue was filled, but did not say with what: see its log.")

    async def _run(self, name: str, *arguments: str) -> list[str]:
        argv = [sys.executable, *arguments]
        return await self._supervisor.run(name, argv, env=self._parts.environment(), cwd=ROOT)

    def _describe(self, catalogue: dict[str, Any]) -> dict[str, Any]:
        parts = self._parts
        return {
            "api_url": parts.api_url,
            "temporal_address": parts.temporal_address,
            "temporal_ui_url": parts.temporal_ui_url,
            "stripe_url": parts.stripe_url,
            "stripe_secret_key": parts.keys.stripe_secret_key,
            "stripe_publishable_key": parts.keys.stripe_publishable_key,
            "webhook_secret": parts.keys.webhook_secret,
            "connect_webhook_secret": parts.keys.connect_webhook_secret,
            "database_url": parts.database_url,
            "mail_url": parts.mail_url,
            "tokens": self._tokens(catalogue["provider_subject"]),
            "provider_id": catalogue["provider_id"],
            "services": catalogue["services"],
            "stripe_control_url": parts.stripe_control_url,
        }

    def _tokens(self, provider: str) -> dict[str, str]:
        configured = self._parts.configuration
        issuer = Issuer(self._parts.keys.jwt_secret, configured.jwt_issuer, configured.jwt_audience)
        return {
            "client": issuer.token("client", "client-1", name="Alice Example", email="alice@example.com"),
            "client2": issuer.token("client", "client-2", name="Bob Example", email="bob@example.com"),
            "provider": issuer.token("provider", provider),
            "ops": issuer.token("ops", "ops-1", name="Olga Example", email="olga@example.com"),
        }

    def _greeting(self, seconds: float) -> str:
        parts = self._parts
        addresses = {
            "API": f"{parts.api_url}/docs",
            "Temporal": parts.temporal_ui_url or parts.temporal_address,
            "Stripe": parts.stripe_url,
            "Mail": f"{parts.mail_url}/messages" if parts.mail_url else None,
            "Tokens": self._description,
        }
        shown = [f"    {name:<10} {address}" for name, address in addresses.items() if address]
        advice = [
            "  Next, in another terminal: make demo, or",
            f"    curl {parts.api_url}/api/services",
            "  Ctrl-C stops everything; the data stays for the next make up.",
        ]
        return "\n".join(["", f"  Ready in {seconds:.1f} s.", "", *shown, "", *advice, ""])


def _stop_signal() -> asyncio.Event:
    """Return an event that is set by Ctrl-C, SIGTERM, or the terminal's end."""
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum is signal.SIGHUP and signal.getsignal(signum) is signal.SIG_IGN:
            continue  # nohup said so
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    return stop


def _first(failures: BaseExceptionGroup[SandboxError]) -> SandboxError:
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure


def run(console: Console) -> None:
    """Decide everything, then serve."""
    configured = configuration.read()
    run_dir = configured.run_dir.absolute()
    with sole_owner(run_dir):
        supervisor = Supervisor(run_dir, console)
        if ended := supervisor.end_leftovers():
            console.say("stack", f"ended what a killed stack left behind: {', '.join(ended)}")
        (run_dir / "stack.json").unlink(missing_ok=True)
        ports = claim(configured.wanted_ports())
        secrets = keys.load(run_dir, configured)
        asyncio.run(Stack(Parts(configured, secrets, ports, run_dir), supervisor, console).serve())


def main() -> None:
    """Run from the command line; whatever a person can put right is one sentence and exit code 1."""
    console = Console()
    try:
        run(console)
    except SandboxError as error:
        console.flush()
        sys.exit(str(error))
    finally:
        console.flush()


if __name__ == "__main__":
    main()
