"""A pytest plugin that counts what tests inject, by the ids of `tests/support/faults.py`."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.faults import FAULTS

FAULT: Final = "fault"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--evidence", metavar="FILE", help="write what was injected, and what came of it, to FILE"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only what the table knows can be injected."""
    for item in items:
        if unknown := set(_ids(item)) - FAULTS.keys():
            raise pytest.UsageError(f"{item.nodeid} injects {', '.join(sorted(unknown))}: no such fault")


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.user_properties.extend((FAULT, each) for each in _ids(item))


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--evidence")
    # Those who run the tests report to the one who started them.
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Scribe(Path(path)))


class Scribe:
    """Adds a line for each test that injected something."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ids = [value for name, value in report.user_properties if name == FAULT]
        if ids and (report.when == "call" or report.failed):
            with self._path.open("a") as file:
                file.write(json.dumps(_line(report, ids)) + "\n")


def _line(report: pytest.TestReport, ids: list[object]) -> dict[str, Any]:
    said = [(name, value) for name, value in report.user_properties if name != FAULT]
    return {
        "test": report.nodeid,
        "faults": ids,
        "outcome": report.outcome,
        "injected": sum(int(str(value)) for name, value in said if name == "injected") or 1,
        "seeds": [str(value) for name, value in said if name == "seed"],
    }


def _ids(item: pytest.Item) -> list[str]:
    """Each once, however many markers name it."""
    return list(dict.fromkeys(each for marker in item.iter_markers(FAULT) for each in marker.args))
