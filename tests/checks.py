"""Checks of annotated shapes while tests run, of every function but not of every one of thousands of calls.

A check takes longer than most functions that it guards: to check every call would double the time of the suite.
"""

import functools
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import jaxtyping

FIRST = 3  # the calls of each function that are checked in each test
EVERY = 128  # of the calls that follow, one in so many is checked
CALLS: Counter[Callable[..., Any]] = Counter()  # in this test


def install(modules: list[str]) -> None:
    """Have beartype check what these modules annotate, from their import on."""
    jaxtyping.install_import_hook(modules, "beartype.beartype")
    jaxtyping.jaxtyped = functools.partial(_sampled, jaxtyping.jaxtyped)  # the decorator that the hook applies


def _sampled(jaxtyped: Callable[..., Any], *, typechecker: object) -> Callable[[Any], Any]:
    def decorate(target: Any) -> Any:
        if not isinstance(target, type):
            return _either(target, cache(lambda: jaxtyped(target, typechecker=typechecker)))
        plain = target.__init__
        jaxtyped(target, typechecker=typechecker)  # of a dataclass it replaces __init__
        if target.__init__ is not plain:
            checked = target.__init__
            target.__init__ = _either(plain, lambda: checked)
        return target

    return decorate


def _either(plain: Callable[..., Any], checked: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A function that is checked in some calls. checked: makes the form that checks; many are never called."""

    @functools.wraps(plain)
    def either(*arguments: Any, **options: Any) -> Any:
        CALLS[plain] = number = CALLS[plain] + 1
        return (checked() if number <= FIRST or number % EVERY == 0 else plain)(*arguments, **options)

    return either
