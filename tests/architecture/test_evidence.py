"""docs/evidence.md has a row for every fault, every fault has tests, and the arithmetic of the page is right."""

import json
from pathlib import Path

import pytest

from tests.support.evidence_page import PAGE, ROOT, render, rows, tally
from tests.support.faults import FAULTS

pytest_plugins = ["pytester"]

RUN = {
    "seed": 7,
    "bookings": 200,
    "minutes": 5.0,
    "terminal": 200,
    "attention": 0,
    "lost": 0,
    "violations": 0,
    "seconds_to_settle": 42.4,
    "operator": {"pay_out retried": 3},
    "injected": {"kill worker": 9},
    "endings": {"COMPLETED": 120, "CANCELLED": 80},
}


def test_the_page_has_one_row_for_each_fault_each_was_injected_and_none_failed() -> None:
    seen = rows()
    assert seen.keys() == FAULTS.keys()
    assert {fault: row for fault, row in seen.items() if row[1] == 0 or row[2] > 0} == {}


def test_the_page_shows_a_large_run_of_chaos() -> None:
    assert "## `make chaos`: 200 bookings, 5 minutes of faults" in PAGE.read_text()


def test_every_fault_has_a_test_that_injects_it(request: pytest.FixtureRequest) -> None:
    config = request.config
    whole = [Path(argument).resolve() for argument in config.args] == [ROOT / "tests"]
    if config.option.keyword or config.option.markexpr or not whole:
        pytest.skip("only a part of the tests was collected")
    marked = {
        each for item in request.session.items for mark in item.iter_markers("fault") for each in mark.args
    }
    assert FAULTS.keys() - marked == set()


def line(outcome: str = "passed", injected: int = 1, seed: str | None = None) -> dict[str, object]:
    seeds = [seed] if seed else []
    return {
        "test": f"test_{seed}",
        "faults": ["S2"],
        "outcome": outcome,
        "injected": injected,
        "seeds": seeds,
    }


def test_injections_are_added_up_and_three_hundred_without_a_failure_mean_one_per_cent() -> None:
    its = tally([line(injected=100, seed="1"), line(injected=199, seed="2"), line()])["S2"]
    assert (its.tests, its.injected, its.failed, its.seeds) == (3, 300, 0, ("1", "2"))
    assert round(its.bound, 4) == 0.0099


def test_a_failure_is_on_the_page_and_nothing_is_said_about_its_bound(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    # One seed is a number beside numbers.
    page.write_text(render(tally([line(injected=500, seed="7"), line("failed", seed="7")]), [RUN]))
    assert rows(page)["S2"] == (1, 501, 1)
    assert rows(page)["K1"] == (0, 0, 0)
    assert "| none | none |" in page.read_text()
    assert "200 bookings, 5 minutes of faults, seed 7" in page.read_text()


PLUGINS = ("-p", "tests.support.evidence", "-p", "no:randomly", "-p", "no:asyncio")

PLAYED = """
import pytest

@pytest.mark.fault("S1", "S2")
@pytest.mark.parametrize("nth", range(3))
def test_strikes(nth, record_property):
    record_property("injected", 5)
    record_property("seed", 7)
    assert nth != 2

@pytest.mark.fault("K1")
def test_counts_as_one():
    pass

def test_injects_nothing():
    pass
"""


def test_the_plugin_counts_what_tests_inject(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = fault: counted")
    pytester.makepyfile(PLAYED)
    told = pytester.path / "told"
    ran = pytester.runpytest_inprocess(*PLUGINS, "--evidence", str(told))
    ran.assert_outcomes(passed=4, failed=1)
    its = tally(json.loads(each) for each in told.read_text().splitlines())
    assert (its["S1"].tests, its["S1"].injected, its["S2"].failed, its["S1"].seeds) == (3, 15, 1, ("7",))
    assert (its["K1"].tests, its["K1"].injected) == (1, 1)


def test_a_fault_that_the_table_does_not_know_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = fault: counted")
    pytester.makepyfile('import pytest\n\n@pytest.mark.fault("Z9")\ndef test_it():\n    pass\n')
    ran = pytester.runpytest_inprocess(*PLUGINS)
    ran.stderr.fnmatch_lines(["*test_it injects Z9: no such fault*"])
