"""The command line: `darlr data | fit | train | evaluate | recommend`.

Options are parsed from dataclasses before anything heavy is imported, so `--help` is quick.
"""

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitSubcommandPrefixes, Positional, arg, subcommand

from darlr import __version__
from darlr.config import RunConfig, SplitConfig, SyntheticConfig, WorldModelConfig
from darlr.errors import DarlrError

BAD_INPUT, INTERRUPTED = 1, 130
DESCRIPTION = "Offline reinforcement learning for recommenders: learn a policy from logs, evaluate it, use it."


@dataclass(frozen=True)
class Coat:
    """The Coat shopping data set; raw files in $DARLR_DATA/coat."""

    out: Path
    """Folder to write; must be new or empty."""
    raw: Path | None = None
    """Folder that holds coat/, instead of $DARLR_DATA."""


@dataclass(frozen=True)
class Synthetic:
    """The built-in synthetic world, whose truth is known."""

    out: Path
    """Folder to write; must be new or empty."""
    world: Annotated[SyntheticConfig, arg(name="")] = field(default_factory=SyntheticConfig)


@dataclass(frozen=True)
class Prepare:
    """Read raw files, check them, and write a data set folder (Parquet and JSON)."""

    source: Annotated[Coat, subcommand("coat")] | Annotated[Synthetic, subcommand("synthetic")]


@dataclass(frozen=True)
class Info:
    """Print what a data set holds and what its reader dropped."""

    source: Positional[str]
    """synthetic, coat, or the folder of a prepared data set."""


@dataclass(frozen=True)
class Data:
    """Prepare and inspect data sets."""

    action: Annotated[Prepare, subcommand("prepare")] | Annotated[Info, subcommand("info")]


@dataclass(frozen=True)
class Fit:
    """Fit the world model on a log and keep it in a folder."""

    out: Path
    """Folder to write; an existing world model in it is replaced."""
    data: str = "synthetic"
    """synthetic, coat, or the folder of a prepared data set."""
    split: SplitConfig = field(default_factory=SplitConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    world_model: Annotated[WorldModelConfig, arg(name="model")] = field(default_factory=WorldModelConfig)


@dataclass(frozen=True)
class Train:
    """Train a policy in the simulated session; fits a world model first unless one is given."""

    out: Path
    """Run folder."""
    resume: bool = False
    """Continue the run in `out` to the same numbers as if it had never stopped."""
    watch: bool = True
    """After each epoch play 100 sessions on the truth, where there is one, for the learning curve only."""
    tensorboard: bool = False
    """Also write TensorBoard events (extra `tensorboard`)."""
    run: Annotated[RunConfig, arg(name="")] = field(default_factory=RunConfig)


@dataclass(frozen=True)
class Evaluate:
    """Play trained policies against the truth, beside the trivial rows; writes tables and pictures."""

    runs: Positional[tuple[Path, ...]]
    """Run folders on the same data; runs of one label count as seeds of one row."""
    out: Path | None = None
    """Where to write; default: the first run's folder."""
    pictures: bool = True
    """Write PNGs (extra `plots`)."""
    only: Literal["all", "learned"] = "all"
    """Leave out the trivial rows."""


@dataclass(frozen=True)
class Recommend:
    """Recommend items to one user with a trained policy."""

    run: Positional[Path]
    """Run folder, or its policy folder."""
    user: str
    """The user's id as in the log."""
    count: Annotated[int, arg(aliases=["-n"])] = 10
    """How many items."""
    history: tuple[str, ...] = ()
    """The session so far, oldest first, as ITEM:REWARD."""
    json: bool = False
    """Print JSON instead of a table."""


Command = (
    Annotated[Data, subcommand("data")]
    | Annotated[Fit, subcommand("fit")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Recommend, subcommand("recommend")]
)


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, and return the exit code: 0 done, 1 bad input, 2 bad usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["--version"], ["-V"]):
        print(f"darlr {__version__}")
        return 0
    try:
        command = tyro.cli(
            Command, prog="darlr", description=DESCRIPTION, args=arguments, config=(OmitSubcommandPrefixes,)
        )
        module = importlib.import_module(f"darlr.commands.{type(command).__name__.lower()}")
        module.run(command)
    except DarlrError as error:
        print(f"darlr: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("darlr: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return BAD_INPUT
    return 0
