"""What resource code works with: the store, the time, and on whose account it acts."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from sandbox.stripe import ids
from sandbox.stripe.params import Params
from sandbox.stripe.settings import Settings
from sandbox.stripe.store import Object, Store

PLATFORM = "acct_sandboxplatform00"


@dataclass(frozen=True)
class Scope:
    """One transaction's view. `request_id` is None when the clock, not a request, is the cause."""

    store: Store
    settings: Settings
    now: int
    base_url: str
    account: str = PLATFORM
    request_id: str | None = None
    idempotency_key: str | None = None

    def on(self, account: str) -> Self:
        """The same, acting on another account's objects."""
        return replace(self, account=account)

    def add(self, body: Object) -> Object:
        """Store a new object of this account."""
        self.store.insert(body, account=self.account, created=body.get("created", self.now))
        return body

    def save(self, body: Object) -> Object:
        """Store a changed object."""
        self.store.save(body)
        return body

    def get(self, kind: str, object_id: str, *, param: str = "id") -> Object:
        """An object of this account, or Stripe's `resource_missing`."""
        return self.store.get(kind, object_id, account=self.account, param=param)

    def base(self, kind: str) -> Object:
        """The fields that every object of every type begins with."""
        return {"id": ids.new(kind), "object": kind, "created": self.now, "livemode": False, "metadata": {}}

    def window(self, name: str) -> timedelta:
        """A window of the settings, unless the control API has set another."""
        chosen = self.store.setting(name)
        default: timedelta = getattr(self.settings, name)
        return default if chosen is None else timedelta(seconds=int(chosen))


@dataclass(frozen=True, kw_only=True)
class Call(Scope):
    """One API request: its parameters, the ids in its path, and whether it came with a publishable key."""

    params: Params
    path: dict[str, str]
    publishable: bool = False

    def named(self, kind: str, part: str = "id") -> Object:
        """The object that the path names."""
        return self.get(kind, self.path[part])

    def referenced(self, kind: str, field: str) -> Object | None:
        """The object that a parameter names, if it is given."""
        object_id = self.params.text(field)
        return None if object_id is None else self.get(kind, object_id, param=self.params.name(field))
