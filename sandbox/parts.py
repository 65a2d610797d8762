"""What a stack is made of: every program with its command line, its environment and how to tell that it is ready."""

import asyncio
import os
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from sandbox import postgres, temporal
from sandbox.configuration import Configuration, further_metrics_port
from sandbox.keys import Keys
from sandbox.ports import HOST
from sandbox.supervisor import Child, Probe

ROOT = Path(__file__).parents[1]

WORKER_GRACE = 30.0
"""Seconds; a worker lets the activities that it has begun come to their end."""

ORPHAN_AFTER = "PT5S"
"""How long a payment that no booking knows may still turn out to be one that is just made; people watch here."""

REAL_STRIPE = "https://api.stripe.com"


def http_probe(*urls: str) -> Probe:
    """Return a probe that is satisfied when every address answers 200."""

    async def ready() -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            try:
                return all([(await client.get(url)).status_code == httpx.codes.OK for url in urls])
            except httpx.HTTPError:
                return False

    return ready


def port_probe(*ports: int) -> Probe:
    """Return a probe that is satisfied when somebody listens on every port."""

    async def ready() -> bool:
        for port in ports:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                return False
            writer.close()
        return True

    return ready


@dataclass(frozen=True)
class Parts:
    """One stack's programs and addresses, all decided before the first of them starts."""

    configuration: Configuration
    keys: Keys
    ports: dict[str, int]
    run_dir: Path

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return f"http://{HOST}:{self.ports['API_PORT']}"

    @property
    def database_url(self) -> str:
        """The database, in SQLAlchemy's spelling."""
        given = self.configuration.database_url
        if given is None:
            return postgres.url(self.ports["POSTGRES_PORT"])
        scheme, _, rest = given.partition("://")
        return f"postgresql+asyncpg://{rest}" if scheme in ("postgres", "postgresql") else given

    @property
    def temporal_address(self) -> str:
        """Temporal's gRPC endpoint, without a scheme."""
        return self.configuration.temporal_address or f"{HOST}:{self.ports['TEMPORAL_PORT']}"

    @property
    def temporal_ui_url(self) -> str | None:
        """Temporal's UI; unknown when Temporal is elsewhere and nobody said."""
        if self.configuration.temporal_address is None:
            return f"http://{HOST}:{self.ports['TEMPORAL_UI_PORT']}"
        return self.configuration.temporal_ui_url

    @property
    def stripe_url(self) -> str:
        """Stripe's API: the sandbox's, or Stripe itself."""
        if self.configuration.own_stripe:
            return f"http://{HOST}:{self.ports['STRIPE_PORT']}"
        return self.configuration.stripe_api_base or REAL_STRIPE

    @property
    def stripe_control_url(self) -> str | None:
        """Where faults are injected; nothing of the kind exists at Stripe itself."""
        return f"{self.stripe_url}/_control" if self.stripe_url != REAL_STRIPE else None

    @property
    def mail_url(self) -> str | None:
        """Where sent mail can be read; None when it really goes out."""
        return f"http://{HOST}:{self.ports['MAIL_HTTP_PORT']}" if "MAIL_HTTP_PORT" in self.ports else None

    def environment(self) -> dict[str, str]:
        """Return what the product's processes are told: ours, and whatever else the environment says (policy, Cal.com)."""
        configuration, keys = self.configuration, self.keys
        told = {
            "DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            "STRIPE_SECRET_KEY": keys.stripe_secret_key,
            "STRIPE_PUBLISHABLE_KEY": keys.stripe_publishable_key,
            "STRIPE_WEBHOOK_SECRET": keys.webhook_secret,
            "STRIPE_CONNECT_WEBHOOK_SECRET": keys.connect_webhook_secret,
            "JWT_SECRET": keys.jwt_secret,
            "JWT_ISSUER": configuration.jwt_issuer,
            "JWT_AUDIENCE": configuration.jwt_audience,
            "PUBLIC_URL": configuration.public_url or self.api_url,
            "SMTP_URL": configuration.smtp_url or f"smtp://{HOST}:{self.ports['MAIL_PORT']}",
            "MAIL_FROM": configuration.mail_from,
            "LOG_LEVEL": configuration.log_level,
        }
        if self.stripe_url != REAL_STRIPE:
            told["STRIPE_API_BASE"] = self.stripe_url
        return {**self._patience(), **self._common(), **told}

    def postgres(self) -> Child:
        """Return the database; its directory must be prepared."""
        data_dir, port = self.run_dir / "postgres", self.ports["POSTGRES_PORT"]
        return Child(
            name="postgres",
            argv=postgres.command(data_dir, port),
            ready=lambda: postgres.accepts_connections(port),
            env=self._common(),
            cwd=data_dir,
            user=postgres.system_user(),
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
        )

    def temporal(self) -> Child:
        """Return Temporal's development server."""
        port, ui_port = self.ports["TEMPORAL_PORT"], self.ports["TEMPORAL_UI_PORT"]
        argv = temporal.command(self.run_dir / "temporal.sqlite", port, ui_port)
        return self._child("temporal", argv, lambda: temporal.is_ready(ui_port))

    def stripe(self) -> Child:
        """Return the sandbox's Stripe."""
        argv = [sys.executable, "-m", "sandbox.stripe", "--port", str(self.ports["STRIPE_PORT"])]
        argv += [
            "--database",
            str(self.run_dir / "stripe.sqlite"),
            "--secret-key",
            self.keys.stripe_secret_key,
        ]
        argv += ["--publishable-key", self.keys.stripe_publishable_key]
        return self._child("stripe", argv, http_probe(f"{self.stripe_control_url}/health"))

    def mail(self) -> Child:
        """Return the mail server that delivers nothing."""
        argv = [sys.executable, "-m", "sandbox.mail", "--port", str(self.ports["MAIL_PORT"])]
        argv += [
            "--http-port",
            str(self.ports["MAIL_HTTP_PORT"]),
            "--database",
            str(self.run_dir / "mail.sqlite"),
        ]
        # Reading its messages would take the longer the more there are.
        return self._child("mail", argv, port_probe(self.ports["MAIL_PORT"], self.ports["MAIL_HTTP_PORT"]))

    def workers(self) -> list[Child]:
        """Return the workers, who share the work."""
        return [self._worker(number) for number in range(1, self.configuration.workers + 1)]

    def api(self) -> Child:
        """Return the API."""
        argv = [sys.executable, "-m", "uvicorn", "api.app:create_app", "--factory", "--host", HOST]
        argv += ["--port", str(self.ports["API_PORT"]), "--timeout-graceful-shutdown", "5", "--no-access-log"]
        # A server that drops idle connections before its clients do loses the request that crosses it.
        argv += ["--timeout-keep-alive", "75"]
        ready = http_probe(f"{self.api_url}/healthz", f"{self.api_url}/readyz")
        return Child(name="api", argv=argv, ready=ready, env=self.environment(), cwd=ROOT)

    def _worker(self, number: int) -> Child:
        """Return a worker; it answers on its metrics port once it is up."""
        port = self.ports["METRICS_PORT" if number == 1 else further_metrics_port(number)]
        return Child(
            name="worker" if number == 1 else f"worker-{number}",
            argv=[sys.executable, *shlex.split(self.configuration.worker_program)],
            ready=port_probe(port),
            env={**self.environment(), "METRICS_PORT": str(port)},
            cwd=ROOT,
            grace=WORKER_GRACE,
        )

    def _child(self, name: str, argv: list[str], ready: Probe) -> Child:
        return Child(name=name, argv=argv, ready=ready, env=self._common(), cwd=ROOT)

    def _patience(self) -> dict[str, str]:
        """Return what is shorter here than in earnest, unless the environment says otherwise."""
        return {"ORPHAN_AFTER": ORPHAN_AFTER} if self.configuration.own_stripe else {}

    def _common(self) -> dict[str, str]:
        # The metrics port is the worker's alone: a second process that is told of it would fail to open it.
        inherited = {name: value for name, value in os.environ.items() if name != "METRICS_PORT"}
        return {**inherited, "PYTHONUNBUFFERED": "1"}
