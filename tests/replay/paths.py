"""Every way a booking can go, each played to its end with the real activities in real time.

What each function plays is its name; `PATHS` is the corpus. Windows are seconds long, so that the
whole corpus is recorded in a few minutes.
"""

from typing import Final

from tests.replay.played import (
    afterwards,
    authorizing,
    cancelling,
    completing,
    deciding,
    holding,
    parking,
    restarting,
    waiting,
)
from tests.replay.scene import Path

PATHS: Final[tuple[Path, ...]] = (
    *completing.PATHS,
    *waiting.PATHS,
    *cancelling.PATHS,
    *parking.PATHS,
    *restarting.PATHS,
    *deciding.PATHS,
    *authorizing.PATHS,
    *holding.PATHS,
    *afterwards.PATHS,
)
