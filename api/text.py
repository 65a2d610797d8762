"""Text from callers: nothing that Postgres could not store or that would bend a log line."""

from typing import Annotated

from pydantic import StringConstraints

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line without control characters."""

Prose = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Any text but NUL, which Postgres refuses."""
