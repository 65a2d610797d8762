"""What the API says of itself, held against what it answers."""

import re
from typing import Any

import httpx
import jsonschema
from fastapi import FastAPI


class Description:
    """Every answer has a documented status, the documented headers and the documented shape."""

    def __init__(self, app: FastAPI) -> None:
        self._document = app.openapi()
        self._paths = {
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): operations
            for path, operations in sorted(self._document["paths"].items(), key=lambda item: "{" in item[0])
        }

    async def check(self, answer: httpx.Response) -> None:
        """Hold one answer against the description; unknown addresses and methods have none."""
        method, path = answer.request.method.lower(), answer.request.url.path
        found: dict[str, Any] = next(
            (each for pattern, each in self._paths.items() if pattern.fullmatch(path)), {}
        )
        if method not in found or path == "/metrics":
            return
        responses = found[method]["responses"]
        assert str(answer.status_code) in responses, f"{method} {path}: {answer.status_code} is undocumented"
        described = responses[str(answer.status_code)]
        missing = [name for name in described.get("headers", {}) if name not in answer.headers]
        assert not missing, f"{method} {path}: {answer.status_code} without {missing}"
        media = answer.headers["content-type"]
        schema = described["content"][media]["schema"]
        await answer.aread()
        jsonschema.validate(answer.json(), schema | {"components": self._document["components"]})
