import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import ApiSettings, PolicyDefaults, StripeSettings, WorkerSettings

ROOT = Path(__file__).parents[2]

COMPOSE = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
DOCUMENTED = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.MULTILINE))

SECRETS = {
    "POSTGRES_PASSWORD",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_CONNECT_WEBHOOK_SECRET",
    "JWT_SECRET",
}


def variables_of_settings() -> set[str]:
    return {
        f"{settings.model_config.get('env_prefix', '')}{field}".upper()
        for settings in (ApiSettings, PolicyDefaults, StripeSettings, WorkerSettings)
        for field in settings.model_fields
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_or_built_here(name: str) -> None:
    tag = SERVICES[name]["image"].partition(":")[2]
    assert "build" in SERVICES[name] or re.fullmatch(r"\d+\.\d+(\.\d+)?", tag)


@pytest.mark.parametrize("name", ["postgres", "temporal", "api", "worker"])
def test_what_others_wait_for_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_nobody_waits_for_what_can_never_come() -> None:
    for service in SERVICES.values():
        for needed, wanted in service.get("depends_on", {}).items():
            healthy = wanted["condition"] == "service_healthy"
            assert ("healthcheck" in SERVICES[needed]) is healthy


def test_nothing_is_published_beyond_the_loopback() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    assert set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE)) <= DOCUMENTED


def test_every_setting_is_in_the_example() -> None:
    assert variables_of_settings() <= DOCUMENTED


def test_no_secret_has_a_default() -> None:
    for secret in SECRETS:
        assert re.search(rf"^{secret}=$", EXAMPLE, re.MULTILINE)


def test_the_image_gets_the_product_and_nothing_of_the_sandbox() -> None:
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert {"activities", "api", "models", "workflows", "*.py"} <= names
    assert not names & {"sandbox", "tests", ".", ".env"}
    allowed = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert names <= allowed
