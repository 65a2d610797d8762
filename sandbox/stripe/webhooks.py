"""Which endpoint gets which event, and the queue of deliveries.

The control API can have coming deliveries dropped, duplicated, delayed or reordered; the mode applies when an event
is queued, is kept with the other state, and ends after `times` deliveries.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from sandbox.stripe.scope import PLATFORM
from sandbox.stripe.store import Object, Store

GIVE_UP_AFTER_SECONDS = 3 * 86400.0  # Stripe retries live-mode deliveries for three days
FIRST_WAITS_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
LATER_WAIT_SECONDS = 10.0
_MODE = "webhook_mode"


@dataclass(frozen=True)
class Mode:
    """What befalls deliveries: `times` of them (-1: until changed) whose type matches one of `types`."""

    mode: Literal["normal", "drop", "duplicate", "delay", "reorder"] = "normal"
    times: int = -1
    factor: int = 2  # duplicate: deliveries per event; reorder: how many are gathered
    seconds: float = 1.0  # delay: how long; reorder: how long to gather at most
    types: list[str] = field(default_factory=lambda: ["*"])


def mode(store: Store) -> Mode:
    """The mode in force."""
    saved = store.setting(_MODE)
    return Mode() if saved is None else Mode(**json.loads(saved))


def set_mode(store: Store, chosen: Mode) -> None:
    """Put a mode in force; whatever a former one held back goes out now."""
    store.remember(_MODE, json.dumps(asdict(chosen)))
    if chosen.mode == "normal":
        _release(store)


def endpoints(store: Store, event: Object) -> list[Object]:
    """The enabled endpoints that want an event: its own account's, or Connect ones for connected accounts."""
    connect = event.get("account", PLATFORM) != PLATFORM
    found = store.select(
        "webhook_endpoint", account=PLATFORM, where={"status": "enabled", "_connect": connect}
    )
    wanted = [end for end in found if any(fnmatchcase(event["type"], name) for name in end["enabled_events"])]
    return wanted[::-1]


def count(store: Store, event: Object) -> int:
    """How many endpoints an event will be sent to."""
    return len(endpoints(store, event))


def enqueue(store: Store, event: Object) -> None:
    """Queue an event for its endpoints, subject to the mode in force."""
    for endpoint in endpoints(store, event):
        current = mode(store)
        applies = any(fnmatchcase(event["type"], name) for name in current.types)
        if current.mode == "normal" or not applies:
            add(store, event["id"], endpoint["id"])
            continue
        _enqueue_disturbed(store, event["id"], endpoint["id"], current)
        _use_up(store, current)


def add(
    store: Store,
    event_id: str,
    endpoint_id: str,
    *,
    wait: float = 0.0,
    status: str = "pending",
    reordered: bool = False,
) -> None:
    """Queue one delivery, to be sent `wait` seconds from now."""
    now = time.time()
    store.db.execute(
        "INSERT INTO deliveries (event, endpoint, status, next_at, give_up_at, reordered) VALUES (?, ?, ?, ?, ?, ?)",
        (event_id, endpoint_id, status, now + wait, now + GIVE_UP_AFTER_SECONDS, reordered),
    )


def wait_after(attempts: int) -> float:
    """Seconds to wait after this many failed attempts."""
    return FIRST_WAITS_SECONDS[attempts - 1] if attempts <= len(FIRST_WAITS_SECONDS) else LATER_WAIT_SECONDS


def _enqueue_disturbed(store: Store, event_id: str, endpoint_id: str, current: Mode) -> None:
    match current.mode:
        case "drop":
            add(store, event_id, endpoint_id, status="dropped")
        case "duplicate":
            for _ in range(current.factor):
                add(store, event_id, endpoint_id)
        case "delay":
            add(store, event_id, endpoint_id, wait=current.seconds)
        case _:
            add(store, event_id, endpoint_id, wait=current.seconds, reordered=True)
            if _held(store) >= current.factor:
                _release(store)


def _use_up(store: Store, current: Mode) -> None:
    if current.times < 0:
        return
    left = current.times - 1
    set_mode(store, Mode() if left == 0 else Mode(**{**asdict(current), "times": left}))


def _held(store: Store) -> int:
    row = store.db.execute(
        "SELECT count(*) FROM deliveries WHERE status = 'pending' AND reordered AND attempts = 0 AND next_at > ?",
        (time.time(),),
    ).fetchone()
    return int(row[0])


def _release(store: Store) -> None:
    store.db.execute(
        "UPDATE deliveries SET next_at = ? WHERE status = 'pending' AND attempts = 0 AND next_at > ?",
        (time.time(), time.time()),
    )
