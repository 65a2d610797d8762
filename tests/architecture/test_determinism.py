"""A workflow decides the same on every replay: nothing in it may ask the clock, the dice or an unordered set."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import Module, modules

FORBIDDEN_CALLS = frozenset(
    {
        "asyncio.as_completed",
        "asyncio.wait",
        "date.today",
        "datetime.datetime.now",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
        "os.urandom",
        "set",
        "time.monotonic",
        "time.sleep",
        "time.time",
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid1",
        "uuid4",
    }
)
FORBIDDEN_MODULES = frozenset({"random", "secrets", "threading", "socket", "time"})


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name, or nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def violations(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func) in FORBIDDEN_CALLS:
            yield f"line {node.lineno}: {dotted(node.func)}()"
        elif isinstance(node, ast.Set | ast.SetComp):
            yield f"line {node.lineno}: a set"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            yield from (f"line {node.lineno}: import {name}" for name in names if name in FORBIDDEN_MODULES)


def inside_of_functions(tree: ast.Module) -> ast.Module:
    """What runs while a workflow runs; constants are made once, when a module is imported."""
    bodies = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return ast.Module(body=[*imports, *bodies], type_ignores=[])


@pytest.mark.parametrize("module", modules("workflows"), ids=lambda module: module.name)
def test_a_workflow_module_asks_nothing_that_differs_on_replay(module: Module) -> None:
    assert list(violations(inside_of_functions(module.tree))) == []


@pytest.mark.parametrize(
    "line",
    [
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "time.time()",
        "uuid4()",
        "uuid.uuid4()",
        "asyncio.wait(tasks)",
        "asyncio.as_completed(tasks)",
        "set(names)",
        "{name for name in names}",
        "import random",
        "from random import choice",
        "import time",
    ],
)
def test_the_check_finds_what_it_looks_for(line: str) -> None:
    assert list(violations(inside_of_functions(ast.parse(f"def f():\n    {line}"))))


def test_the_check_allows_what_temporal_makes_deterministic() -> None:
    allowed = "def f():\n    workflow.now()\n    workflow.uuid4()\n    asyncio.create_task(x)\n    workflow.wait([])"
    assert not list(violations(inside_of_functions(ast.parse(allowed))))
