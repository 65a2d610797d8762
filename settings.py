"""Configuration, read once in each composition root (`worker.py`, `ops.py`, `api/app.py`).

The names are those of DESIGN section 7. No secret has a default: a process that lacks one does not
start. Temporal's own client variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, …) are read by
the Temporal SDK itself.
"""

from datetime import timedelta
from typing import Any, Final, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.policy import Policy

ORPHAN_AFTER: Final = timedelta(minutes=10)


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
    orphan_after: timedelta = ORPHAN_AFTER
    """How long a payment of ours that no booking knows may still turn out to be one that is just made."""

    def resolve(self, own: dict[str, Any]) -> Policy:
        """A service's own rules over this deployment's defaults over the product's."""
        defaults = self.model_dump(exclude_none=True, exclude={"authorization_window", "orphan_after"})
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


class MailSettings(BaseSettings):
    """How mails go out; without `smtp_url` they stay in the outbox until there is one."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    smtp_url: SecretStr | None = None
    """`smtp://user:password@host:port`, or `smtps://`."""
    mail_from: str | None = None
    """The address that mails come from; a name before it is fine."""
    ops_email: str | None = None
    """Who operates this: told of disputes, objections and refunds that failed. Unset: nobody is."""
    public_url: str | None = None

    @model_validator(mode="after")
    def _mails_come_from_somebody(self) -> Self:
        if self.smtp_url is not None and self.mail_from is None:
            raise ValueError("SMTP_URL is set, so MAIL_FROM must be given too")
        return self


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
