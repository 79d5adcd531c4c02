"""Constructors of the public estimators: that of their family, with other defaults and further parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Estimator = TypeVar("Estimator", bound=type)


def with_parameters(**defaults: Any) -> Callable[[Estimator], Estimator]:
    """Make a decorator that gives an estimator the constructor of its base class with these defaults.

    Parameters that the base class does not have are kept as attributes, as its own are; in the signature, from which
    scikit-learn reads the parameters and their defaults, they stand behind a `loss`, or first. The estimator is public
    then: pickles name it by the package.
    """

    def decorate(estimator: Estimator) -> Estimator:
        of_family = estimator.__init__  # type: ignore[misc]
        itself, *shared = inspect.signature(of_family).parameters.values()
        shared = [known.replace(default=defaults.get(known.name, known.default)) for known in shared]
        known_names = {known.name for known in shared}
        own = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value)
            for name, value in defaults.items()
            if name not in known_names
        ]

        def __init__(self: Any, **settings: Any) -> None:
            of_family(self, **{name: value for name, value in (defaults | settings).items() if name not in own_names})
            for name in own_names:
                setattr(self, name, settings.get(name, defaults[name]))

        own_names = {parameter.name for parameter in own}
        place = 1 if shared[0].name == "loss" else 0
        __init__.__signature__ = inspect.Signature([itself, *shared[:place], *own, *shared[place:]])  # type: ignore[attr-defined]
        __init__.__qualname__ = f"{estimator.__qualname__}.__init__"
        estimator.__init__ = __init__  # type: ignore[misc]
        estimator.__module__ = "cvxrelu"
        return estimator

    return decorate
