"""The API on a Temporal that is away, or where nobody works."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from temporalio.client import Client

from api import sagas
from api.app import build_app
from api.dependencies import Dependencies
from tests.api.calls import calling


def on(deps: Dependencies, temporal: Client) -> httpx.AsyncClient:
    return calling(build_app(replace(deps, temporal=temporal)))


def lose_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sagas, "ANSWER_WITHIN", timedelta(milliseconds=300))
