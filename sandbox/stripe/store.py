"""Everything the sandbox knows, in one SQLite file.

Objects are JSON documents in Stripe's own shape; a field that begins with an underscore is private to the sandbox
and never leaves it. All access is synchronous and happens on the event loop's thread inside `transaction()`, so
requests act one after the other, and a kill -9 leaves either all of a request's effects or none.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.stripe.errors import ApiError, missing_object

Object = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, account, seq);
CREATE TABLE IF NOT EXISTS idempotency (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    request_id TEXT NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (account, key)
);
CREATE INDEX IF NOT EXISTS idempotency_by_expiry ON idempotency (expires_at);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    give_up_at REAL NOT NULL,
    reordered INTEGER NOT NULL DEFAULT 0,
    last_status INTEGER,
    last_error TEXT
);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE INDEX IF NOT EXISTS deliveries_pending ON deliveries (next_at) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS due (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS due_at ON due (at);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# Fields that lists are filtered by.
INDEXED = (
    "charge",
    "customer",
    "payment_intent",
    "pending_reason",
    "source",
    "transfer",
    "transfer_group",
)


class Store:
    """The objects, and the tables that idempotency, webhooks, deadlines and the clock keep beside them."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self.db.row_factory = sqlite3.Row
        # WAL with NORMAL loses nothing when the process dies, only when the machine does.
        self.db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {SCHEMA}")
        for field in INDEXED:
            self.db.execute(
                f"CREATE INDEX IF NOT EXISTS by_{field} ON objects (kind, body ->> '$.{field}', seq)"
            )

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def clear(self, *, keeping: str | None) -> None:
        """Forget everything but the objects of one type."""
        self.db.execute("DELETE FROM objects WHERE kind IS NOT ?", (keeping,))
        for table in ("idempotency", "deliveries", "due", "meta"):
            self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names stand one line above

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or none of it."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what a refused request wrote, unless its refusal says that the effects stand."""
        self.db.execute("SAVEPOINT act")
        try:
            yield
        except ApiError as error:
            if not error.keeps_effects:
                self.db.execute("ROLLBACK TO act")
            self.db.execute("RELEASE act")
            raise
        self.db.execute("RELEASE act")

    def insert(self, body: Object, *, account: str, created: int, kind: str | None = None) -> None:
        """Add an object of the given account; `kind` where it is filed under another name than `object`."""
        self.db.execute(
            "INSERT INTO objects (id, kind, account, created, body) VALUES (?, ?, ?, ?, ?)",
            (body["id"], kind or body["object"], account, created, json.dumps(body)),
        )

    def save(self, body: Object) -> None:
        """Write an object back."""
        self.db.execute("UPDATE objects SET body = ? WHERE id = ?", (json.dumps(body), body["id"]))

    def delete(self, object_id: str) -> None:
        """Remove an object."""
        self.db.execute("DELETE FROM objects WHERE id = ?", (object_id,))

    def find(self, object_id: str) -> Object | None:
        """Any object by its id, whoever it belongs to."""
        row = self.db.execute("SELECT body FROM objects WHERE id = ?", (object_id,)).fetchone()
        return None if row is None else json.loads(row["body"])

    def get(self, kind: str, object_id: str, *, account: str, param: str = "id") -> Object:
        """An object of one type and account; `param` is where the request named it."""
        row = self.db.execute(
            "SELECT body FROM objects WHERE id = ? AND kind = ? AND account = ?", (object_id, kind, account)
        ).fetchone()
        if row is None:
            raise missing_object(kind, object_id, param=param)
        found: Object = json.loads(row["body"])
        return found

    def owner(self, object_id: str) -> str:
        """The account that an object belongs to."""
        row = self.db.execute("SELECT account FROM objects WHERE id = ?", (object_id,)).fetchone()
        return str(row["account"])

    def select(
        self,
        kind: str,
        *,
        account: str | None,
        where: Mapping[str, Any] | None = None,
        created: Mapping[str, int] | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Object]:
        """Objects of a type, newest first, filtered by fields.

        `"a.b"` reaches into nested fields; a list means any of its values, None means that it does not matter.
        """
        clauses, values = ["kind = ?"], [kind]
        conditions: list[tuple[str, Any]] = [
            # The plus keeps SQLite from choosing the index over accounts where there is one over a field.
            ("+account = ?" if where else "account = ?", account),
            ("seq < ?", after),
            ("seq > ?", before),
            *(_condition(field, value) for field, value in (where or {}).items()),
            *((f"created {COMPARISONS[name]} ?", value) for name, value in (created or {}).items()),
        ]
        for clause, value in conditions:
            if value is not None:
                clauses.append(clause)
                values.append(value)
        order = "ASC" if before is not None else "DESC"
        rows = self.db.execute(
            f"SELECT body FROM objects WHERE {' AND '.join(clauses)} ORDER BY seq {order} LIMIT ?",  # noqa: S608 - our own clauses
            (
                *values,
                -1 if limit is None else limit,
            ),  # names above come from route declarations, never from requests
        ).fetchall()
        found = [json.loads(row["body"]) for row in rows]
        return found[::-1] if before is not None else found

    def kinds(self) -> list[str]:
        """The types that there are objects of."""
        return [row[0] for row in self.db.execute("SELECT DISTINCT kind FROM objects ORDER BY kind")]

    def position(self, object_id: str) -> int | None:
        """Where an object stands in the order of creation."""
        row = self.db.execute("SELECT seq FROM objects WHERE id = ?", (object_id,)).fetchone()
        return None if row is None else int(row["seq"])

    def setting(self, name: str) -> str | None:
        """A remembered setting of the sandbox itself."""
        row = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def remember(self, name: str, value: str) -> None:
        """Keep a setting of the sandbox itself across restarts."""
        self.db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )


def _condition(field: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, list):
        return f"body ->> '$.{field}' IN (SELECT value FROM json_each(?))", json.dumps(value)  # noqa: S608 - no request names a field
    return f"body ->> '$.{field}' = ?", value


COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "="}
