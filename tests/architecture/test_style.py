"""Rules of the house that no linter keeps for us."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import ENTRANCES, PRODUCT, Function, Module, functions, modules, product

LONGEST = 60
MONEY = (
    "models/money.py",
    "models/ledger.py",
    "models/policy.py",
    "models/payments.py",
    "activities/authorizations.py",
    "activities/accounts.py",
    "activities/bank_books.py",
    "activities/bank_payouts.py",
    "activities/bookkeeping.py",
    "activities/debts.py",
    "activities/decisions.py",
    "activities/disputes.py",
    "activities/keeping.py",
    "activities/operations.py",
    "activities/payment_tasks.py",
    "activities/payments.py",
    "activities/payouts.py",
    "activities/rebalancing.py",
    "activities/refunding.py",
    "activities/refunds.py",
    "activities/reversing.py",
    "activities/shares.py",
    "activities/renewal.py",
    "activities/stripe_movements.py",
    "activities/stripe_objects.py",
    "activities/stripe_requests.py",
    "activities/stripe_writes.py",
    "activities/transferring.py",
    "models/books.py",
)
DIVIDES_TIME = "models/policy.py"
"""A window has a quarter; an amount has not."""

OURS = [*product(), *modules("sandbox")]


def floating(tree: ast.AST, *, division: bool) -> Iterator[int]:
    """Lines that could make a float."""
    for node in ast.walk(tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        named = isinstance(node, ast.Name) and node.id in {"float", "Decimal", "round"}
        divided = division and isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        if literal or named or divided:
            yield getattr(node, "lineno", 0)


@pytest.mark.parametrize("path", MONEY)
def test_no_float_ever_holds_money(path: str) -> None:
    (module,) = modules(path)
    assert list(floating(module.tree, division=path != DIVIDES_TIME)) == []


@pytest.mark.parametrize(
    "line", ["fee = 0.2 * price", "fee = price / 5", "float(price)", "x /= 2", "round(x)"]
)
def test_the_check_for_floats_finds_them(line: str) -> None:
    assert list(floating(ast.parse(line), division=True)) == [1]


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@pytest.mark.parametrize("module", OURS, ids=lambda module: module.name)
def test_a_function_can_be_read_at_a_glance(module: Module) -> None:
    assert [module.at(one) for one in functions(module) if length(one) > LONGEST] == []


@pytest.mark.parametrize("module", OURS, ids=lambda module: module.name)
def test_what_a_module_offers_says_what_it_is(module: Module) -> None:
    public = (
        node
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    )
    assert [module.at(node) for node in public if not ast.get_docstring(node)] == []


def test_the_workflows_story_stays_short() -> None:
    (module,) = modules("workflows/booking.py")
    story = {function.name: length(function) for function in functions(module)}
    assert story["run"] <= 40
    assert story["_story"] <= 40


def test_the_checks_see_the_whole_product() -> None:
    names = {module.name for module in OURS}
    assert {"worker", "ops", "models.states", "workflows.booking", "sandbox.stripe.app"} <= names
    assert {module.package for module in OURS} >= {*PRODUCT, *(one.removesuffix(".py") for one in ENTRANCES)}
