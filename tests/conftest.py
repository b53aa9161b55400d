"""Hypothesis: no deadline (the first call of a test pays for imports), the same examples every time in CI."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("local"), derandomize=True, database=None, print_blob=True
)
settings.register_profile("fuzz", settings.get_profile("local"), max_examples=10_000)  # `make fuzz`
settings.load_profile("ci" if os.environ.get("CI") else "local")
