"""Parse the command line, run the command, and turn an error into one line and an exit code."""

import atexit
import contextlib
import gc
import importlib
import os
import re
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import tyro
from tyro import MISSING
from tyro.conf import OmitSubcommandPrefixes

from darlr.cli.options import Command, Train, Tune
from darlr.cli.overview import DESCRIPTION
from darlr.cli.policy_options import Serve
from darlr.errors import ConfigError, DarlrError
from darlr.io.places import refuse_address
from darlr.io.text import visible
from darlr.options.data import TableFiles

BAD_INPUT, BAD_USAGE, INTERRUPTED = 1, 2, 130
SEVERAL = ("--user", "--history", "--exclude", "--only", "--search")


def parse(arguments: list[str], default: Any = MISSING) -> Any:
    """The command that the arguments name. default: a command whose options replace the defaults.

    Raises ConfigError for an option of several values that is given twice, because only the last would count.
    """
    for option in SEVERAL:
        if sum(word == option or word.startswith(f"{option}=") for word in arguments) > 1:
            raise ConfigError(f"option {option[2:]}: is given twice; give it once, followed by all its values")
    config = (OmitSubcommandPrefixes,)
    return tyro.cli(Command, prog="darlr", description=DESCRIPTION, args=arguments, default=default, config=config)


def refuse_addresses(options: Any) -> None:
    """Raise DataError for an address in place of a file or folder, because writing to it would make a local folder."""
    if isinstance(options, TableFiles):  # these are read where they lie
        return
    for option in fields(options):
        value = getattr(options, option.name)
        if is_dataclass(value):
            refuse_addresses(value)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Path) or (isinstance(one, str) and option.name == "world"):
                refuse_address(one)


def as_written(message: str, arguments: list[str]) -> str:
    """The message with its options as on the command line; some commands have no prefix before an option."""
    given = {word.partition("=")[0].replace("_", "-") for word in arguments}

    def spelt(found: re.Match[str]) -> str:
        whole, short = f"--{found[1]}", f"--{found[1].rpartition('.')[2]}"
        return f"option {short if short in given and whole not in given else whole}"

    return re.sub(r"\boption ([a-z][\w.-]*)(?=[:)])", spelt, message)


def dispatch(arguments: list[str]) -> int:
    """Run the command that the arguments name, as `darlr.cli.main.main` says."""
    atexit.register(gc.freeze)  # the last collections of the process then have nothing to look through
    try:
        command = parse(arguments)
        refuse_addresses(command)
        if isinstance(command, Serve):  # NumPy reads it when it is loaded; its further threads would only spin
            os.environ.setdefault("OMP_NUM_THREADS", str(command.threads))
        module = importlib.import_module(f"darlr.cli.{type(command).__name__.lower()}")
        others = module.defaults(command) if isinstance(command, Train | Tune) else command
        if others != command:
            command = parse(arguments, others)
        with contextlib.ExitStack() as around:
            if "torch" in sys.modules:  # some commands may do without
                around.enter_context(importlib.import_module("darlr.experiments.process").single_precision())
            return int(module.run(command) or 0)
    except DarlrError as error:
        print(visible(f"darlr: {as_written(str(error), arguments)}"), file=sys.stderr)
        return BAD_USAGE if isinstance(error, ConfigError) else BAD_INPUT
    except KeyboardInterrupt as stop:
        print(visible(f"darlr: {stop}") if stop.args else "darlr: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return BAD_INPUT
    except OSError as error:  # such as a full disk
        print(visible(f"darlr: {error}"), file=sys.stderr)
        return BAD_INPUT
