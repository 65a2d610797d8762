"""Idempotency keys, as Stripe keeps them (docs.stripe.com/api/idempotent_requests).

The first answer of a POST is stored under its key, whatever it was once execution had begun, a 500 included, and
replayed to every later request with that key for at least 24 hours. Refusals before execution are not stored.
"""

import hashlib
from dataclasses import dataclass

from sandbox.stripe.errors import invalid_request, key_in_use, key_reused
from sandbox.stripe.store import Store

EXPIRY_SECONDS = 24 * 3600
MAX_KEY_LENGTH = 255


@dataclass(frozen=True)
class Stored:
    """An answer kept under a key."""

    status: int
    body: str
    request_id: str


def fingerprint(method: str, path: str, fields: list[tuple[str, str]]) -> str:
    """What a request asks for: its parameters must be the same when its key comes again."""
    text = "\n".join([method, path, *(f"{name}={value}" for name, value in sorted(fields))])
    return hashlib.sha256(text.encode()).hexdigest()


class Keys:
    """The keys of all accounts, and which of them have a request under way."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_use: set[tuple[str, str]] = set()

    def begin(self, account: str, key: str, asked: str, now: int) -> Stored | None:
        """The stored answer of a key, or None when this request is the first: then the key is in use until `end`."""
        if len(key) > MAX_KEY_LENGTH:
            raise invalid_request(f"Idempotency keys must be at most {MAX_KEY_LENGTH} characters.")
        if (account, key) in self._in_use:
            raise key_in_use(key)
        self._store.db.execute("DELETE FROM idempotency WHERE expires_at <= ?", (now,))
        row = self._store.db.execute(
            "SELECT * FROM idempotency WHERE account = ? AND key = ?", (account, key)
        ).fetchone()
        if row is None:
            self._in_use.add((account, key))
            return None
        if row["fingerprint"] != asked:
            raise key_reused(key)
        return Stored(row["status"], row["body"], row["request_id"])

    def end(self, account: str, key: str) -> None:
        """The request is no longer under way."""
        self._in_use.discard((account, key))

    def record(self, account: str, key: str, asked: str, answer: Stored, expires_at: int | None) -> None:
        """Keep an answer under its key until a Unix time, or for ever; part of the request's own transaction."""
        self._store.db.execute(
            "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)",
            (account, key, asked, answer.status, answer.body, answer.request_id, expires_at),
        )

    def forget(self, keys: list[str] | None) -> int:
        """Drop some keys, or all: what Stripe may do after 24 hours. Returns how many."""
        if keys is None:
            return self._store.db.execute("DELETE FROM idempotency").rowcount
        marks = ", ".join("?" * len(keys))
        return self._store.db.execute(f"DELETE FROM idempotency WHERE key IN ({marks})", keys).rowcount  # noqa: S608 - only marks
