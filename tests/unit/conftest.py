"""Properties are checked on the same examples everywhere, and say how to repeat the one that failed."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")
