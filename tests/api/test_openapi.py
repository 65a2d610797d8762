"""The description of the API: complete, and true."""

from functools import cache
from typing import Any

import httpx
import pytest

from api.app import _assemble
from api.errors import KINDS, PROBLEM_JSON, Code, ProblemDetails
from api.schemas import BOOKING_EXAMPLE, BookingResource
from tests.api.rules import PUBLIC

Operation = dict[str, Any]


@cache
def operations() -> dict[str, Operation]:
    paths = _assemble().openapi()["paths"]
    return {f"{method} {path}": found for path, methods in paths.items() for method, found in methods.items()}


@pytest.mark.parametrize("name", operations())
def test_an_operation_is_described(name: str) -> None:
    operation = operations()[name]
    assert operation["tags"]
    assert operation["summary"]
    assert operation["description"]


@pytest.mark.parametrize("name", operations())
def test_an_operation_names_its_problems(name: str) -> None:
    operation = operations()[name]
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            found = response["content"][PROBLEM_JSON]
            assert found["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}
            for code, example in found["examples"].items():
                assert KINDS[Code(code)].status == int(status) == example["value"]["status"]
                ProblemDetails.model_validate(example["value"])


@pytest.mark.parametrize("name", operations())
def test_an_operation_is_guarded_as_it_says(name: str) -> None:
    method, path = name.split(" ")
    operation = operations()[name]
    assert ("security" in operation) is ((method, path) not in PUBLIC)
    assert ("401" in operation["responses"]) is ((method, path) not in PUBLIC)


def test_the_schema_of_a_problem_is_there() -> None:
    schemas = _assemble().openapi()["components"]["schemas"]
    assert set(schemas["Code"]["enum"]) == set(Code)
    assert "ProblemDetails" in schemas
    assert "HTTPValidationError" not in schemas


def test_the_example_is_a_booking() -> None:
    assert BookingResource.model_validate(BOOKING_EXAMPLE).checkout is not None


async def test_it_is_served(api: httpx.AsyncClient) -> None:
    assert (await api.get("/openapi.json")).json()["openapi"].startswith("3.1")
