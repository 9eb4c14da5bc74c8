"""The command line: `darlr data | fit | train | evaluate | compare | recommend | export`.

Options are parsed from dataclasses before anything heavy is imported, so `--help` is quick.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from darlr.options import (
    KuaiRecConfig,
    RunConfig,
    SplitConfig,
    SyntheticConfig,
    TableConfig,
    TrainConfig,
    WorldModelConfig,
)

BAD_INPUT, BAD_USAGE, INTERRUPTED = 1, 2, 130
YOUNG = 20_000  # objects between collections: imports make many and no garbage, a twentieth of a short command's time
HERE = arg(name="")  # options without a prefix
FOLDER = arg(metavar="FOLDER")
DESCRIPTION = "Offline reinforcement learning for recommenders: learn from logs, evaluate, use."


@dataclass(frozen=True)
class Reader:
    """What every reader of raw files has."""

    out: Annotated[Path, FOLDER]
    """Folder to write; a prepared data set in it is replaced."""


@dataclass(frozen=True)
class Coat(Reader):
    """The Coat shopping data set."""

    raw: Annotated[Path | None, FOLDER] = None
    """Folder that holds coat/, instead of the one that DARLR_DATA names."""
    complete: bool = False
    """Complete test.ascii to a truth of our own, even where coat_pseudoGT_ratingM.ascii is there."""


@dataclass(frozen=True)
class KuaiRand(Reader):
    """KuaiRand-Pure; its truth is completed from the random log."""

    raw: Annotated[Path | None, FOLDER] = None
    """Folder that holds kuairand/, instead of the one that DARLR_DATA names."""


@dataclass(frozen=True)
class KuaiRec(Reader):
    """KuaiRec in its official files: the big matrix as the log, the small one to play on."""

    raw: Annotated[Path | None, FOLDER] = None
    """Folder that holds kuairec/ or 'KuaiRec 2.0/data/', instead of the one that DARLR_DATA names."""
    config: Annotated[KuaiRecConfig, HERE] = field(default_factory=KuaiRecConfig)


@dataclass(frozen=True)
class KuaiRecBinary(Reader):
    """Logged positives of KuaiRec, and a fully observed block to play on."""

    raw: Annotated[Path | None, FOLDER] = None
    """Folder that holds kuairec_binary/, instead of the one that DARLR_DATA names."""


@dataclass(frozen=True)
class Synthetic(Reader):
    """The built-in synthetic world, whose truth is known."""

    world: Annotated[SyntheticConfig, HERE] = field(default_factory=SyntheticConfig)


@dataclass(frozen=True)
class Table(Reader):
    """Your own CSV, TSV or Parquet files."""

    table: Annotated[TableConfig, HERE]


@dataclass(frozen=True)
class Yahoo(Reader):
    """Yahoo! R3; its truth is completed from the ratings of random songs."""

    raw: Annotated[Path | None, FOLDER] = None
    """Folder that holds yahoo/, instead of the one that DARLR_DATA names."""
    truth: Annotated[Path | None, arg(metavar="FILE")] = None
    """Matrix of users of the test file x songs to play on, instead of ours."""


@dataclass(frozen=True)
class Prepare:
    """Read raw files, check them, and write a data set folder (Parquet and JSON)."""

    source: (
        Annotated[Coat, subcommand("coat")]
        | Annotated[KuaiRec, subcommand("kuairec")]
        | Annotated[KuaiRand, subcommand("kuairand")]
        | Annotated[KuaiRecBinary, subcommand("kuairec_binary")]
        | Annotated[Synthetic, subcommand("synthetic")]
        | Annotated[Table, subcommand("table")]
        | Annotated[Yahoo, subcommand("yahoo")]
    )


@dataclass(frozen=True)
class Info:
    """Print what a data set holds and what its reader dropped."""

    source: Positional[str]
    """synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or the folder of a prepared data set."""


@dataclass(frozen=True)
class Check:
    """Profile a data set: sizes, rewards, popularity, repeats, suspected leaks, what each means and what to do."""

    source: Positional[str]
    """synthetic, coat, kuairec_binary, or the folder of a prepared data set."""
    json: bool = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class ListSets:
    """Say which data sets are known: licence, size, and where they are at hand."""


@dataclass(frozen=True)
class Download:
    """Download a public data set whose licence allows it (extra `download`); for others, say how to get it."""

    name: Positional[str]
    """coat, kuairec or kuairand; `darlr data list` tells more."""
    to: Annotated[Path | None, FOLDER] = None
    """Folder below which it goes, instead of the one that DARLR_DATA names."""
    mirror: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Folder, file:// or http(s):// address that holds the archive, instead of the authors'."""


@dataclass(frozen=True)
class Data:
    """Prepare and inspect data sets."""

    action: (
        Annotated[Prepare, subcommand("prepare")]
        | Annotated[Info, subcommand("info")]
        | Annotated[Check, subcommand("check")]
        | Annotated[ListSets, subcommand("list")]
        | Annotated[Download, subcommand("download")]
    )


@dataclass(frozen=True)
class Stage:
    """What every command that learns has. Its order is the help's; each says for itself what it writes to `out`."""

    out: Annotated[Path, FOLDER]
    data: str = RunConfig.data
    """synthetic, coat, kuairec, kuairec_binary, kuairand, yahoo, or the folder of a prepared data set."""
    world_model: Annotated[WorldModelConfig, arg(name="model")] = field(default_factory=WorldModelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    @property
    def config(self) -> RunConfig:
        """Those of a run's options that this command has."""
        given = vars(self)
        return RunConfig(**{option.name: given[option.name] for option in fields(RunConfig) if option.name in given})


@dataclass(frozen=True)
class Fit(Stage):
    """Fit the world model on a log and keep it, for `darlr train --world`."""

    out: Annotated[Path, FOLDER]
    """Folder to write; an existing world model in it is replaced."""
    threads: int = TrainConfig.threads
    """CPU threads."""
    world_model: Annotated[WorldModelConfig, HERE] = field(default_factory=WorldModelConfig)


@dataclass(frozen=True)
class Train(Stage):
    """Train a policy in simulated sessions, on its own world model or a given one."""

    out: Annotated[Path, FOLDER]
    """Run folder."""
    resume: bool = False
    """Continue the run in `out`, with its own options, to the same numbers as if it had never stopped."""
    evaluate: bool = False
    """Afterwards do what `darlr evaluate OUT` does: tables and pictures into the run folder."""
    dry_run: bool = False
    """Print the plan of the run, in which nothing is left open, and stop: nothing is written."""
    watch: bool = True
    """After each epoch play 100 sessions on the truth, where there is one, for the learning curve only."""
    tensorboard: bool = False
    """Also write TensorBoard events (extra `tensorboard`)."""
    label: str = RunConfig.label
    """Name in tables; default: the method. Runs of one label are seeds of one row."""
    world: Annotated[str, FOLDER] = RunConfig.world
    """Folder of a world model from `darlr fit`; own: the run fits its own."""
    train: Annotated[TrainConfig, HERE] = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class Evaluate:
    """Play trained policies on the truth, else on a world model of unseen events."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER ...", help_behavior_hint="(one or more)")]
    """Run folders on the same data; runs of one label count as seeds of one row."""
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: the first run's folder)")] = None
    """Where to write."""
    pictures: bool = True
    """Also draw PNGs (extra `plots`)."""
    only: Literal["all", "learned"] = "all"
    """Every row, or without the trivial ones."""
    without_truth: bool = False
    """Play on the evaluation world model although a truth is known, to see how far such tables can be believed."""


@dataclass(frozen=True)
class Compare(Stage):
    """Train and evaluate a grid of rows and seeds, reusing what is done, into tables and pictures."""

    out: Annotated[Path, FOLDER] = Path("compare")
    """Where tables and pictures go, and the cells' folder unless --cells names it."""
    methods: str = "all"
    """Comma-separated names, or all, learned, baselines, trivial."""
    study: Literal["table", "ablations", "sensitivity", "sparsity"] = "table"
    """The methods' table; parts of DARLR left out or changed; its five weights; thinner logs."""
    protocol: Literal["sound", "published"] = "sound"
    """The policies that runs hand over; or those of the last epoch, and means over epochs beside published numbers."""
    seeds: int = 5
    """Training seeds 0, 1, ...; a seed draws the split, the world model and the agents."""
    windows: tuple[int, ...] = (1, 4)
    """Exit windows N, each trained and played apart, where users can leave."""
    jobs: int = 1
    """Cells worked on at once, each in a process of its own with `threads` threads."""
    cells: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: OUT/cells)")] = None
    """Where cells are kept; tables that share it share cells."""
    accept_code: tuple[str, ...] = ()
    """Also reuse cells of these code digests; `any` takes every one. The table tells which."""
    dry_run: bool = False
    """Say what would run and what is there already, then stop."""
    pictures: bool = True
    """Also draw PNGs (extra `plots`)."""
    train: Annotated[TrainConfig, HERE] = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class Recommend:
    """Recommend items to one user with a trained policy."""

    run: Annotated[Positional[Path], FOLDER]
    """Run folder, or its policy folder."""
    user: str
    """The user's id as in the log."""
    count: Annotated[int, arg(aliases=["-n"])] = 10
    """How many items."""
    history: Annotated[tuple[str, ...], arg(metavar="ITEM:REWARD ...", help_behavior_hint="(default: none)")] = ()
    """The session so far, oldest first."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class Export:
    """Make a row of a run's tables a policy folder, to serve it in place of the trained policy."""

    run: Annotated[Positional[Path], FOLDER]
    """Run folder."""
    out: Annotated[Path, FOLDER]
    """Policy folder to write; a policy in it is replaced."""
    row: str = ""
    """Name of the row as tables have it, such as 'item-mean list'; left out, the trained policy."""
    refit: bool = False
    """Fit the row again on the whole log, with what was held out and kept for evaluation."""


Command = (
    Annotated[Data, subcommand("data")]
    | Annotated[Fit, subcommand("fit")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Compare, subcommand("compare")]
    | Annotated[Recommend, subcommand("recommend")]
    | Annotated[Export, subcommand("export")]
)
