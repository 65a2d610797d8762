"""The project's own source, read and not imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = ("activities", "api", "models", "workflows")
ENTRANCES: Final = ("worker.py", "ops.py", "observability.py", "settings.py")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def imports(self) -> set[str]:
        """Every module that it imports, wherever in the file; `from a import b` counts as `a` and as `a.b`."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def at(self, node: ast.stmt | ast.expr) -> str:
        """Where a node is, for people."""
        return f"{self.path.relative_to(ROOT)}:{node.lineno}"


def modules(*places: str) -> list[Module]:
    """The modules of packages and single files; migrations keep Alembic's own shape and are left out."""
    return [module for place in places for module in _modules(place)]


def _modules(place: str) -> Iterator[Module]:
    for path in [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if not name.startswith("models.migrations"):
            yield Module(name, path, ast.parse(path.read_text()))


def product() -> list[Module]:
    return modules(*PRODUCT, *ENTRANCES)


def functions(module: Module) -> Iterator[Function]:
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))
