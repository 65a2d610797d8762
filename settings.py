"""Configuration, read once in each composition root (`worker.py`, `ops.py`, `api/app.py`).

The names are those of DESIGN section 7. No secret has a default: a process that lacks one does not
start. Temporal's own client variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, …) are read by
the Temporal SDK itself.
"""

from datetime import timedelta
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.policy import Policy


class PolicyDefaults(BaseSettings):
    """Policy defaults that a deployment may set; ISO 8601 durations."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    payment_window: timedelta | None = None
    approval_window: timedelta | None = None
    completion_grace: timedelta | None = None
    payout_hold: timedelta | None = None
    authorization_window: timedelta = timedelta(days=7)
    """How long a card authorization is good for until the charge itself says so."""

    def resolve(self, own: dict[str, Any]) -> Policy:
        """A service's own rules over this deployment's defaults over the product's."""
        defaults = self.model_dump(exclude_none=True, exclude={"authorization_window"})
        return Policy.model_validate(defaults | own)


class StripeSettings(BaseSettings):
    """How to reach Stripe; `api_base` unset means Stripe itself."""

    model_config = SettingsConfigDict(
        env_prefix="STRIPE_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    secret_key: SecretStr = Field(min_length=1)
    publishable_key: str = ""
    api_base: str | None = None


class WorkerSettings(BaseSettings):
    """What the worker and `ops.py` need."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: str
    metrics_port: int | None = None
    log_level: str = "INFO"
    stripe_requests_per_second: float = 20.0


class ApiSettings(BaseSettings):
    """What the HTTP API needs besides the database and Stripe."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: str
    stripe_webhook_secret: SecretStr = Field(min_length=1)
    stripe_connect_webhook_secret: SecretStr = Field(min_length=1)
    jwt_secret: SecretStr | None = None
    jwks_url: str | None = None
    jwt_issuer: str
    jwt_audience: str
    public_url: str = "http://127.0.0.1:8000"
    log_level: str = "INFO"
