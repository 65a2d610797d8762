"""How thoroughly properties are tried, in one place; a pytest plugin that also writes down how often.

`HYPOTHESIS_PROFILE=ci`, the default, tries the same examples everywhere; `nightly` draws others every
time, and many more of them. A property that fails says how to repeat it. Where an example costs a
booking, its own variable says how many: `M5_EXAMPLES=200`.
"""

import os
from typing import Final

import pytest
from hypothesis import Phase, is_hypothesis_test, settings

CI: Final = "ci"
NIGHTLY: Final = "nightly"

settings.register_profile(CI, derandomize=True, deadline=None, print_blob=True, max_examples=100)
settings.register_profile(NIGHTLY, derandomize=False, deadline=None, print_blob=True, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", CI))


def examples(variable: str, usual: int, nightly: int) -> int:
    """How many examples: what the environment says, else what suits the profile."""
    thorough = settings.get_current_profile_name() == NIGHTLY
    return int(os.environ.get(variable) or (nightly if thorough else usual))


def costly(count: int) -> settings:
    """For properties that play bookings on the real parts: what fails is shown as it was found.

    Making it smaller would play hundreds more of them.
    """
    return settings(max_examples=count, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Every example of a property is an injection (tests/support/faults.py)."""
    test = getattr(item, "obj", None)
    if is_hypothesis_test(test):
        tried = getattr(test, "_hypothesis_internal_use_settings", settings())
        item.user_properties.append(("injected", tried.max_examples))
