"""The sandbox's secrets: drawn once and kept, so that yesterday's tokens work today."""

import os
from pathlib import Path
from secrets import token_hex, token_urlsafe

from pydantic import BaseModel, ConfigDict, Field

from sandbox.configuration import Configuration


class Keys(BaseModel):
    """Everything that a real installation gets from its operators and from Stripe."""

    model_config = ConfigDict(frozen=True)

    jwt_secret: str = Field(default_factory=lambda: token_urlsafe(48))
    stripe_secret_key: str = Field(default_factory=lambda: f"sk_test_{token_hex(24)}")
    stripe_publishable_key: str = Field(default_factory=lambda: f"pk_test_{token_hex(24)}")
    webhook_secret: str = Field(default_factory=lambda: f"whsec_{token_hex(24)}")
    connect_webhook_secret: str = Field(default_factory=lambda: f"whsec_{token_hex(24)}")


def load(run_dir: Path, configuration: Configuration) -> Keys:
    """Return the secrets of `run_dir`, drawn now if there are none; what the environment gives goes first."""
    path = run_dir / "secrets.json"
    if not path.exists():
        write_private(path, Keys().model_dump_json(indent=2))
    given = {
        "jwt_secret": configuration.jwt_secret,
        "stripe_secret_key": configuration.stripe_secret_key,
        "stripe_publishable_key": configuration.stripe_publishable_key,
        "webhook_secret": configuration.stripe_webhook_secret,
        "connect_webhook_secret": configuration.stripe_connect_webhook_secret,
    }
    kept = Keys.model_validate_json(path.read_text())
    return kept.model_copy(update={name: value for name, value in given.items() if value is not None})


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, and that nobody ever sees half written."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")
    draft.replace(path)
