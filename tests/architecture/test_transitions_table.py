"""docs/transitions.md names a test for every legal move, no other, and only tests that there are.

That the test takes the move is checked when it runs (`tests/support/transitions.py`).
"""

import ast
from pathlib import Path

import pytest

from tests.support.transition_table import PAGE, ROOT, Taken, best, legal, promised, read, render
from tests.support.transitions import unkept

ROWS = read()


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def exists(test: str) -> bool:
    """Whether a node id names a test function; what stands in brackets only pytest knows."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.is_file() and name.partition("[")[0].rpartition("::")[2] in functions(file)


def test_every_legal_move_has_a_test_that_takes_it() -> None:
    taken = {row.move for row in ROWS}
    assert [move for move in legal() if move not in taken] == []


def test_no_illegal_move_is_listed_and_none_twice() -> None:
    moves = [row.move for row in ROWS]
    assert set(moves) <= set(legal())
    assert len(moves) == len(set(moves))


def test_every_named_test_is_there() -> None:
    assert [row.test for row in ROWS if not exists(row.test)] == []


def test_every_named_test_is_collected_when_its_file_is(request: pytest.FixtureRequest) -> None:
    """A parameter that was renamed would leave its row to nobody."""
    if request.config.option.keyword or any("::" in argument for argument in request.config.args):
        pytest.skip("only a part of the files was collected")
    collected = {item.nodeid for item in request.session.items}
    files = {node.partition("::")[0] for node in collected}
    assert [
        row.test for row in ROWS if row.test.partition("::")[0] in files - {""} and row.test not in collected
    ] == []


def test_the_page_is_just_what_its_rows_make() -> None:
    assert PAGE.read_text() == render(ROWS)


def test_a_missing_page_promises_nothing_and_a_wrong_row_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert read(page) == []
    wrong = Taken("booking", "COMPLETED", "PENDING", "tests/unit/test_states.py::test_of_nothing")
    page.write_text(render([wrong]))
    assert read(page) == [wrong]
    assert promised(page) == {wrong.test: {wrong.move}}
    assert wrong.move not in legal()
    assert not exists(wrong.test)
    assert exists("tests/architecture/test_transitions_table.py::test_every_named_test_is_there")


def test_a_test_that_does_not_take_what_the_page_says_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    said = Taken("refund", "PENDING", "FAILED", "tests/a.py::test_b")
    page.write_text(render([said]))
    assert unkept(said.test, set(), page) == {said.move}
    assert unkept(said.test, {said.move, ("refund", "PENDING", "SUCCEEDED")}, page) == set()
    assert unkept("tests/a.py::test_c", set(), page) == set()


def test_a_move_is_shown_by_the_test_that_is_named_already_then_by_the_nearest() -> None:
    move = ("refund", "PENDING", "FAILED")
    far, near, other = (
        Taken(*move, f"tests/{folder}/test_a.py::test_b") for folder in ("api", "activities", "workflows")
    )
    assert best([far, other, near]) == [near]
    assert best([far, other, near], named=[far]) == [far]
    assert best([other], named=[far]) == [other]
    assert best([]) == []
