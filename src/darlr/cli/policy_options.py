"""The command lines of what is done with a trained policy: recommend, serve, export, point."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from darlr.cli.data_options import FOLDER, HERE
from darlr.options import ServeConfig, StrategyConfig


@dataclass(frozen=True)
class Recommend:
    """Recommend items to users with a trained policy."""

    run: Annotated[Positional[Path], FOLDER]
    """Folder of a run, or of a policy."""
    user: Annotated[tuple[str, ...], arg(metavar="ID ...", help_behavior_hint="(default: none)")] = ()
    """Ids of one or more users, as in the log. A user who is not in the log is treated as a new user."""
    users: Annotated[Path | None, arg(metavar="FILE")] = None
    """File of user ids: a text file with one id per line, or a CSV or Parquet file with the ids in its first column."""
    new: bool = False
    """Recommend to a new user, who is not in the log."""
    count: Annotated[int, arg(aliases=["-n"])] = 10
    """Number of items to recommend to each user."""
    history: Annotated[tuple[str, ...], arg(metavar="ITEM:REWARD ...", help_behavior_hint="(default: none)")] = ()
    """The session of the user so far, with the oldest event first. It needs exactly one user."""
    exclude: Annotated[tuple[str, ...], arg(metavar="ITEM ...", help_behavior_hint="(default: none)")] = ()
    """Items that are not recommended."""
    only: Annotated[tuple[str, ...] | None, arg(metavar="ITEM ...", help_behavior_hint="(default: all)")] = None
    """The only items that may be recommended."""
    new_items: bool = False
    """Leave out the items that the user has events with in the log."""
    choose: Annotated[StrategyConfig, HERE] = field(default_factory=StrategyConfig)
    request_id: Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="(needed by sample and explore)")] = None
    """Name of the request. The same name draws the same items again."""
    json: bool = False
    """Print JSON instead of a table."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Write the answer to this CSV or Parquet file instead of printing it."""


@dataclass(frozen=True)
class Serve(ServeConfig):
    """Serve policies over HTTP (extra `serve`)."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER ...", help_behavior_hint="(or --demo)")] = ()
    """Folders of runs, or of policies. Several are the arms of an A/B test."""
    keys: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: none)")] = ServeConfig.keys
    """File of keys, one per line. Without it the keys are those of the environment's DARLR_KEYS."""
    choose: Annotated[StrategyConfig, HERE] = field(default_factory=StrategyConfig)
    decisions: Annotated[Path | None, arg(metavar="FOLDER")] = ServeConfig.decisions
    """Folder for the log of decisions and feedback. Without it they are kept in memory, and are lost at the end."""


@dataclass(frozen=True)
class Export:
    """Write a row of the tables of a run as a policy that can be served."""

    run: Annotated[Positional[Path], FOLDER]
    """Folder of the run."""
    out: Annotated[Path | None, FOLDER] = None
    """Folder to write. A policy in it is replaced. Give it or --to."""
    to: Annotated[Path | None, FOLDER] = None
    """Folder of versions. The policy is added under its version, and becomes the one in use. None is removed."""
    row: str = ""
    """Name of the row in the tables, such as 'item-mean list'. The default is the trained policy."""
    refit: bool = False
    """Fit the row again on all events, also on those that were held out or kept for evaluation."""
    onnx: bool = False
    """Write the policy for ONNX Runtime, on which `darlr serve` needs no PyTorch. It needs the extra onnx."""


@dataclass(frozen=True)
class Point:
    """Say which version of a policy is in use, such as an earlier one, or list the versions."""

    folder: Annotated[Positional[Path], FOLDER]
    """Folder of versions, which `darlr export --to` wrote."""
    version: Annotated[Positional[str], arg(metavar="[VERSION]")] = ""
    """Version to use from now on. Without it the versions are listed, the newest last."""
