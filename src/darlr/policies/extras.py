"""Optional libraries: imported when a baseline is fitted, never before, and never to load or play one."""

import contextlib
import importlib
import io
import warnings
from typing import Any

from darlr.errors import MachineError


def optional(name: str) -> Any:
    """The module `name`; MachineError with the extra to install when it is missing."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside other people's packages (d3rlpy imports gym)
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise MachineError(
                f"this baseline needs {name.partition('.')[0]}: install it with pip install 'darlr[baselines]'"
            ) from error
