"""Hypothesis profiles: the same examples in every run by default; CVXRELU_HYPOTHESIS=explore looks further."""

import os

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=40, database=None)
settings.register_profile("explore", deadline=None, max_examples=400)
settings.load_profile(os.environ.get("CVXRELU_HYPOTHESIS", "fixed"))
