"""Keyset pages: a cursor names the last row seen, so pages neither skip nor repeat while rows arrive."""

import base64
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, ValidationError

from api.errors import Code, FieldError, Problem
from api.schemas import Utc

LARGEST_PAGE: Final = 100


class Position(BaseModel):
    """A row's place in an order of `created_at` and `id`."""

    model_config = ConfigDict(frozen=True)

    created_at: Utc
    id: UUID

    def cursor(self) -> str:
        """The position as text that a URL can carry; opaque to callers."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, cursor: str) -> "Position":
        """The position behind a cursor.

        Raises:
            Problem: 422 `validation_failed`, for anything that we did not make.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            return cls.model_validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, ValidationError):
            error = FieldError(field="query.cursor", message="not a cursor from an earlier page")
            raise Problem(Code.VALIDATION_FAILED, errors=[error]) from None


class Page(BaseModel):
    """How much, and from where on."""

    model_config = ConfigDict(frozen=True)

    after: Position | None
    limit: int


def page(
    cursor: Annotated[
        str | None, Query(max_length=300, description="`next_cursor` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 20,
) -> Page:
    """The page that a query asks for."""
    return Page(after=Position.parse(cursor) if cursor else None, limit=limit)


Paged = Annotated[Page, Depends(page)]
