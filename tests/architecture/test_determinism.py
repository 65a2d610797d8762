"""A workflow decides the same on every replay: nothing in it may ask the clock, the dice or an unordered set."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import Module, modules

FORBIDDEN_CALLS = frozenset(
    {
        "asyncio.as_completed",
        "asyncio.wait",
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "frozenset",
        "hash",
        "id",
        "os.getenv",
        "os.getpid",
        "os.urandom",
        "set",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)
FORBIDDEN_MODULES = frozenset({"random", "secrets", "threading", "socket", "time"})


def imported(tree: ast.AST) -> dict[str, str]:
    """By the name that a module gives to something, what it is: `import datetime as d` makes d datetime."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name, or nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def in_full(name: str, names: dict[str, str]) -> str:
    """`datetime.datetime.now`, however it was imported."""
    first, dot, rest = name.partition(".")
    return names.get(first, first) + dot + rest


def violations(tree: ast.Module) -> Iterator[str]:
    known = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and in_full(dotted(node.func), known) in FORBIDDEN_CALLS:
            yield f"line {node.lineno}: {dotted(node.func)}()"
        elif isinstance(node, ast.Set | ast.SetComp):
            yield f"line {node.lineno}: a set"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            named = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            yield from (f"line {node.lineno}: import {name}" for name in named if name in FORBIDDEN_MODULES)


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
    "lines",
    [
        "from datetime import datetime; datetime.now(UTC)",
        "from datetime import datetime as instant; instant.utcnow()",
        "import datetime; datetime.datetime.now()",
        "import datetime as d; d.date.today()",
        "from datetime import date; date.today()",
        "from uuid import uuid4; uuid4()",
        "from uuid import uuid4 as draw; draw()",
        "import uuid; uuid.uuid1()",
        "import asyncio; asyncio.wait(tasks)",
        "from asyncio import wait; wait(tasks)",
        "import asyncio; asyncio.as_completed(tasks)",
        "import os; os.urandom(8)",
        "set(names)",
        "frozenset(names)",
        "hash(name)",
        "{name for name in names}",
        "import random",
        "from random import choice",
        "import time",
        "from time import time as clock",
    ],
)
def test_the_check_finds_what_it_looks_for(lines: str) -> None:
    assert list(violations(inside_of_functions(ast.parse(f"def f():\n    {lines}"))))


@pytest.mark.parametrize(
    "lines",
    [
        "workflow.now(); workflow.uuid4(); workflow.wait([]); workflow.random()",
        "import asyncio; asyncio.create_task(x); asyncio.wait_for(x, 1)",
        "from workflows.waiting import wait; wait(x)",
    ],
)
def test_the_check_allows_what_temporal_makes_deterministic(lines: str) -> None:
    assert not list(violations(inside_of_functions(ast.parse(f"def f():\n    {lines}"))))
