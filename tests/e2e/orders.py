"""Orders for mortal workers: files, so that they outlive whoever takes them."""

import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

ANYBODY: Final = "anybody"
"""Stands for a booking where a workflow has none."""


@dataclass(frozen=True, order=True)
class Boundary:
    """Where a step can be struck: `point` is a kind with its number within one attempt, `committed-2`."""

    step: str
    point: str

    @property
    def kind(self) -> str:
        """The point without its number."""
        return self.point.partition("-")[0]


@dataclass(frozen=True, order=True)
class Place:
    """A boundary on the way of one booking."""

    boundary: Boundary
    whose: str = ANYBODY

    @property
    def name(self) -> str:
        """As a file's name has it."""
        return f"{self.boundary.step} {self.boundary.point} {self.whose}"

    @classmethod
    def read(cls, name: str) -> "Place":
        """The place of that name."""
        step, point, whose = name.split(" ")
        return cls(Boundary(step, point), whose)


class Orders:
    """One directory, shared by a test and all its workers."""

    def __init__(self, directory: Path) -> None:
        self._drafts, self._armed, self._struck, self._crossed = (
            directory / name for name in ("drafts", "armed", "struck", "crossed")
        )
        for each in (self._drafts, self._armed, self._struck, self._crossed):
            each.mkdir(parents=True, exist_ok=True)

    # --- the test's side ----------------------------------------------------------------------

    def give(self, place: Place, signum: signal.Signals = signal.SIGKILL) -> None:
        """Let whoever comes to the place get the signal, once."""
        draft = self._drafts / place.name
        draft.write_text(signum.name)
        draft.rename(self._armed / place.name)

    def withdraw(self, place: Place) -> None:
        """Take an order back, if nobody has taken it."""
        (self._armed / place.name).unlink(missing_ok=True)

    def left(self) -> list[Place]:
        """Orders that nobody has taken."""
        return sorted(Place.read(path.name) for path in self._armed.iterdir())

    def struck(self) -> list[tuple[Place, int]]:
        """Where somebody was struck, and who: a process's number."""
        names = [path.name.split(" ", 1) for path in self._struck.iterdir()]
        return sorted((Place.read(place), int(pid)) for pid, place in names)

    def crossed(self) -> Counter[Boundary]:
        """Every boundary that was ever crossed, with the number of bookings on whose way it was.

        Those that were struck in that step do not count: what has died once goes another way.
        """
        struck = {(place.boundary.step, place.whose) for place, _ in self.struck()}
        places = (Place.read(path.name) for path in self._crossed.iterdir())
        return Counter(each.boundary for each in places if (each.boundary.step, each.whose) not in struck)

    def cut(self) -> list[Place]:
        """Steps of bookings that were begun more often than they returned or failed."""
        begun = [place for place in self._places() if place.boundary.kind == "begun"]
        return [place for place in begun if self._ended(place) < self.times(place)]

    def times(self, place: Place) -> int:
        """How often somebody came to the place."""
        crossings = self._crossed / place.name
        return len(crossings.read_text()) if crossings.exists() else 0

    def _places(self) -> list[Place]:
        places = sorted(Place.read(path.name) for path in self._crossed.iterdir())
        return [place for place in places if place.whose != ANYBODY]

    def _ended(self, place: Place) -> int:
        ends = [
            replace(place, boundary=replace(place.boundary, point=end)) for end in ("returned-1", "failed-1")
        ]
        return sum(map(self.times, ends))

    # --- the worker's side --------------------------------------------------------------------

    def note(self, place: Place) -> None:
        """Remember that somebody came here."""
        with (self._crossed / place.name).open("a") as crossings:
            crossings.write(".")

    def take(self, place: Place) -> signal.Signals | None:
        """The signal of an order for this place, which is then carried out."""
        for one in (place, Place(place.boundary)):
            order = self._armed / one.name
            with suppress(FileNotFoundError):
                signum = signal.Signals[order.read_text()]
                order.rename(self._struck / f"{os.getpid()} {one.name}")
                return signum
        return None
