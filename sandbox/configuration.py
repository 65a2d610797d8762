"""What `make up` is told: the environment, read once."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sandbox.errors import ConfigurationError

Port = Annotated[int, Field(ge=0, le=65535)]


class Configuration(BaseSettings):
    """Ports (0: any free one), and the parts of the outside world that are elsewhere; an empty variable counts as unset."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    run_dir: Path = Path(".run")
    workers: Annotated[int, Field(ge=1)] = 1
    """How many worker processes share the work."""
    worker_program: str = "worker.py"
    """What Python runs as a worker, with its arguments: tests have one that dies when it is told to."""

    api_port: Port = 8000
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    stripe_port: Port = 12111
    postgres_port: Port = 54329
    mail_port: Port = 1025
    mail_http_port: Port = 0
    metrics_port: Port = 0

    database_url: str | None = None
    temporal_address: str | None = None
    temporal_ui_url: str | None = None
    smtp_url: str | None = None
    stripe_api_base: str | None = None
    stripe_secret_key: str | None = None
    stripe_publishable_key: str | None = None
    stripe_webhook_secret: str | None = None
    stripe_connect_webhook_secret: str | None = None

    jwt_secret: str | None = None
    jwks_url: str | None = None
    jwt_issuer: str = "durable-bookings"
    jwt_audience: str = "durable-bookings"
    public_url: str | None = None
    mail_from: str = "bookings@example.com"
    log_level: str = "INFO"

    @property
    def own_stripe(self) -> bool:
        """Whether Stripe is played by the sandbox."""
        return self.stripe_secret_key is None

    def wanted_ports(self) -> dict[str, int]:
        """Return the ports of what runs here, by the variable that chooses each."""
        wanted = {"API_PORT": self.api_port, "METRICS_PORT": self.metrics_port}
        # Nobody has to know where the further workers' metrics are.
        wanted |= {further_metrics_port(number): 0 for number in range(2, self.workers + 1)}
        if self.database_url is None:
            wanted["POSTGRES_PORT"] = self.postgres_port
        if self.temporal_address is None:
            wanted |= {"TEMPORAL_PORT": self.temporal_port, "TEMPORAL_UI_PORT": self.temporal_ui_port}
        if self.own_stripe:
            wanted["STRIPE_PORT"] = self.stripe_port
        if self.smtp_url is None:
            wanted |= {"MAIL_PORT": self.mail_port, "MAIL_HTTP_PORT": self.mail_http_port}
        return wanted

    @model_validator(mode="after")
    def _a_stripe_elsewhere_is_described_whole(self) -> Self:
        if self.stripe_secret_key is None and self.stripe_api_base is not None:
            raise ValueError("STRIPE_API_BASE is set, so STRIPE_SECRET_KEY must be given too")
        needed = ("stripe_publishable_key", "stripe_webhook_secret", "stripe_connect_webhook_secret")
        missing = [name.upper() for name in needed if getattr(self, name) is None]
        if self.stripe_secret_key is not None and missing:
            raise ValueError(f"STRIPE_SECRET_KEY is set, so {' and '.join(missing)} must be given too")
        return self

    @model_validator(mode="after")
    def _tokens_can_be_signed(self) -> Self:
        if self.jwks_url is not None:
            raise ValueError(
                "JWKS_URL cannot be used here, because the stack signs its own tokens: set JWT_SECRET"
            )
        return self


def further_metrics_port(worker: int) -> str:
    """Return the name of the port on which the second worker, or a later one, shows its metrics."""
    return f"METRICS_PORT_{worker}"


def read() -> Configuration:
    """Read the environment."""
    try:
        return Configuration()
    except ValidationError as error:
        problem = error.errors()[0]
        reason = problem["msg"].removeprefix("Value error, ")
        variable = "".join(f"{str(part).upper()}={problem['input']}: " for part in problem["loc"])
        raise ConfigurationError(f"{variable}{reason}.") from error
