"""An import points down only (DESIGN 11)."""

import subprocess
import sys

import pytest

from tests.architecture.source import PRODUCT, ROOT, Module, modules, product

KNOWN = frozenset({*PRODUCT, "sandbox", "tests", "worker", "ops", "settings", "observability"})
BELOW: dict[str, frozenset[str]] = {
    "models": frozenset({"models"}),
    "workflows": frozenset({"workflows", "models"}),
    "activities": frozenset({"activities", "models", "workflows", "settings"}),
    "api": frozenset({"api", "activities", "models", "workflows", "settings", "observability"}),
    "worker": frozenset({"activities", "models", "workflows", "settings", "observability"}),
    "ops": frozenset({"activities", "models", "workflows", "settings", "observability", "worker"}),
    "settings": frozenset({"models"}),
    "observability": frozenset(),
}
PURE_MODELS = frozenset({"models.keys", "models.states", "models.outcomes", "models.money", "models.policy"})
SHARED_WORKFLOWS = frozenset(
    {
        "workflows.contracts",
        "workflows.followups",
        "workflows.orders",
        "workflows.policies",
        "workflows.steps",
    }
)
OUTSIDE_OF_WORKFLOWS = frozenset(
    {
        "sqlalchemy",
        "asyncpg",
        "alembic",
        "stripe",
        "fastapi",
        "starlette",
        "httpx",
        "structlog",
        "prometheus_client",
    }
)
PURE = sorted(
    PURE_MODELS
    | {"models.availability", "models.books", "models.clock", "models.holds", "models.announcements"}
)


def first_party(module: Module) -> set[str]:
    return {name for name in module.imports if name.partition(".")[0] in KNOWN}


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("module", product(), ids=lambda module: module.name)
def test_a_module_imports_only_what_lies_below_it(module: Module) -> None:
    assert packages(first_party(module)) <= BELOW[module.package]


@pytest.mark.parametrize("module", modules("workflows"), ids=lambda module: module.name)
def test_a_workflow_knows_of_the_rest_only_what_is_pure(module: Module) -> None:
    assert packages(module.imports).isdisjoint(OUTSIDE_OF_WORKFLOWS)
    used = {name for name in first_party(module) if name.startswith("models.")}
    assert {".".join(name.split(".")[:2]) for name in used} <= PURE_MODELS


@pytest.mark.parametrize("module", modules("activities"), ids=lambda module: module.name)
def test_an_activity_knows_of_workflows_their_messages_steps_and_time_limits(module: Module) -> None:
    used = {name for name in first_party(module) if name.startswith("workflows.")}
    assert {".".join(name.split(".")[:2]) for name in used} <= SHARED_WORKFLOWS


def test_there_is_one_door_to_stripe() -> None:
    users = {module.name for module in product() if "stripe" in packages(module.imports)}
    assert users
    assert all(name.startswith("activities.stripe_") for name in users)


def test_nothing_in_the_product_knows_the_sandbox_or_the_tests() -> None:
    users = {module.name for module in product() if packages(module.imports) & {"sandbox", "tests"}}
    assert users == set()


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_reaches_for_nothing_outside_of_itself(name: str) -> None:
    (module,) = modules(f"{name.replace('.', '/')}.py")
    outside = packages(module.imports) - set(sys.stdlib_module_names) - {"pydantic", "models"}
    assert outside == set()


def test_importing_the_workflows_brings_in_neither_database_nor_stripe_nor_web() -> None:
    names = ", ".join(module.name for module in modules("workflows"))
    script = f"import sys, {names}; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert packages(set(done.stdout.split())).isdisjoint(
        OUTSIDE_OF_WORKFLOWS | {"activities", "api", "sandbox"}
    )
