"""Everything that the demo plays."""

from typing import Final

from sandbox.demo.scenario import Scenario
from sandbox.demo.stories import aftermath, booking, cards, outcomes

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *booking.SCENARIOS,
    *outcomes.SCENARIOS,
    *cards.SCENARIOS,
    *aftermath.SCENARIOS,
)
