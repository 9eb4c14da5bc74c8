"""The options of every command that `darlr.cli.overview` lists.

They are parsed from dataclasses before anything slow is imported, so that `darlr COMMAND --help` is quick.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from tyro.conf import Positional, arg, subcommand

from darlr.cli.data_options import DATA, FOLDER, HERE, Data
from darlr.cli.overview import COMMANDS
from darlr.cli.policy_options import Export, Point, Recommend, Serve
from darlr.options import (
    FeedbackConfig,
    RunConfig,
    SplitConfig,
    StrategyConfig,
    SyntheticConfig,
    TrainConfig,
    UpdateConfig,
    Users,
    ValueConfig,
    WorldModelConfig,
)
from darlr.options.tuning import Objective, Sampler


@dataclass(frozen=True)
class Stage:
    """Options of every command that learns from a log, in the order of its help."""

    out: Annotated[Path, FOLDER]
    data: Annotated[str, arg(help=DATA)] = RunConfig.data
    world_model: Annotated[WorldModelConfig, arg(name="model")] = field(default_factory=WorldModelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    @property
    def config(self) -> RunConfig:
        """The options of a run. Those that this command lacks have their defaults."""
        given = vars(self)
        return RunConfig(**{option.name: given[option.name] for option in fields(RunConfig) if option.name in given})


@dataclass(frozen=True)
class Fit(Stage):
    """Fit a world model to a log, and write it for `darlr train --world`."""

    out: Annotated[Path, FOLDER]
    """Folder to write. A world model in it is replaced."""
    threads: int = TrainConfig.threads
    """Number of CPU threads."""
    world_model: Annotated[WorldModelConfig, HERE] = field(default_factory=WorldModelConfig)


@dataclass(frozen=True)
class Train(Stage):
    """Train a policy in sessions that a world model simulates."""

    out: Annotated[Path, FOLDER]
    """Folder of the run."""
    resume: bool = False
    """Continue the run in OUT with its own options. The result is that of a run that was never interrupted."""
    evaluate: bool = False
    """Evaluate the run afterwards, as `darlr evaluate OUT` does, and write tables and pictures into its folder."""
    dry_run: bool = False
    """Print the plan of the run, with every option decided, and stop. Nothing is written."""
    watch: bool = True
    """After each epoch play 100 sessions on the true rewards, where they are known, for the learning curve only."""
    tensorboard: bool = False
    """Write TensorBoard events too (extra `tensorboard`)."""
    users: Annotated[Users | None, arg(help_behavior_hint="(default: as split.hidden says)")] = None
    """new, both: hide users from training, so that `darlr evaluate` can play them as new ones: a fifth, or the share
    that split.hidden names. known: hide nobody."""
    workers: Annotated[int | None, arg(help_behavior_hint="(default: 1, or as many as torchrun starts)")] = None
    """Number of processes that train the run together. Each takes a part of the sessions, and gradients are added up.
    The results are those of one process, up to rounding. Several pay in large worlds, on idle cores."""
    label: str = RunConfig.label
    """Name of the run in tables. The default is its method. Runs with the same label count as seeds of one row."""
    world: Annotated[str, FOLDER] = RunConfig.world
    """Folder of a world model from `darlr fit` or `darlr.WorldModel.save`. own: the run fits a world model itself."""
    train: Annotated[TrainConfig, HERE] = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class NewEvents:
    """Files of new events, which are read with the options by which the run's own log was read."""

    log: Annotated[tuple[Path, ...], arg(metavar="FILE ...")]
    """Files of new events, with the columns of the run's own log. Or a prepared data set, or a log of decisions: the
    shown items with their rewards are the events then. Events that the run knows already are left out."""
    users: Annotated[Path | None, arg(metavar="FILE")] = None
    """File of user features, for new users. Known users keep theirs."""
    items: Annotated[Path | None, arg(metavar="FILE")] = None
    """File of item features, for new items. Known items keep theirs."""
    user: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="(default: as in the run's log)")] = None
    """Column of user ids."""
    item: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="(default: as in the run's log)")] = None
    """Column of item ids."""
    reward: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="(default: as in the run's log)")] = None
    """Column of rewards."""
    timestamp: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="(default: as in the run's log)")] = None
    """Column of times."""
    propensity: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="(default: as in the run's log)")] = None
    """Column of logging probabilities."""
    random: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="(default: as in the run's log)")] = None
    """Column that marks events whose item was shown at random."""


@dataclass(frozen=True, kw_only=True)
class Update(NewEvents):
    """Go on from a trained run with new events. The run itself does not change."""

    run: Annotated[Positional[Path], FOLDER]
    """Folder of the run."""
    out: Annotated[Path, FOLDER]
    """Folder of the update, a run of its own."""
    resume: bool = False
    """Continue an update in OUT. The result is that of an update that was never interrupted."""
    threads: int = TrainConfig.threads
    """Number of CPU threads."""
    update: Annotated[UpdateConfig, HERE] = field(default_factory=UpdateConfig)


@dataclass(frozen=True)
class Evaluate:
    """Evaluate trained policies beside simple ones, in tables and pictures."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER ...", help_behavior_hint="(one or more)")]
    """Folders of runs on the same data. Runs with the same label count as seeds of one row."""
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: the first run's folder)")] = None
    """Folder to write into."""
    pictures: bool = True
    """Plot pictures too (extra `plots`)."""
    only: Literal["all", "learned"] = "all"
    """all: the tables have every row. learned: the tables leave out the simple baselines."""
    users: Annotated[Users | None, arg(help_behavior_hint="(default: both, or known where no user is hidden)")] = None
    """Whose sessions are played. known: users of the log. new: users who were hidden from training (split.hidden), with
    an empty history. both: tables of each kind."""
    without_truth: bool = False
    """Use the evaluation world model although the true rewards are known, to see how far such tables can be trusted."""
    decisions: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Judge the policies by a log of decisions instead: what was served, its arms, and what the policies would be worth
    under STRATEGY. The folder is that of `darlr serve --decisions`, or a data set of `darlr data prepare decisions`."""
    choose: Annotated[StrategyConfig, HERE] = field(default_factory=StrategyConfig)
    feedback: Annotated[FeedbackConfig, HERE] = field(default_factory=FeedbackConfig)
    value: Annotated[ValueConfig, HERE] = field(default_factory=ValueConfig)


@dataclass(frozen=True)
class Replay:
    """Repeat logged decisions with the policies that made them, and count those that differ in a bit."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER ...", help_behavior_hint="(one or more)")]
    """Folders of runs, or of policies."""
    decisions: Annotated[Path, FOLDER]
    """Folder of the log of decisions."""


@dataclass(frozen=True)
class Compare(Stage):
    """Train many methods and seeds, and compare them in tables and pictures."""

    out: Annotated[Path, FOLDER] = Path("compare")
    """Folder to write tables and pictures into."""
    methods: str = "all"
    """Names of methods, separated by commas, or the groups all, learned, baselines and trivial."""
    study: Literal["table", "ablations", "sensitivity", "sparsity"] = "table"
    """table: the methods. ablations: DARLR with one part changed at a time.
    sensitivity: DARLR with one of its five weights changed at a time.
    sparsity: the methods on smaller and smaller shares of the log."""
    protocol: Literal["sound", "published"] = "sound"
    """sound: evaluate the policy that each run keeps.
    published: evaluate the policy of the last epoch, and show means over epochs beside the published numbers."""
    users: Users = "known"
    """known: play the users of the log. new: hide a group of users from the training of each seed in turn, a fifth of
    them if split.hidden does not say otherwise, and play them with an empty history. both: tables of each kind."""
    seeds: int = 5
    """Number of seeds. A seed sets the split, the world model and the agents."""
    windows: tuple[int, ...] = (1, 4)
    """Exit windows N. Where users can leave, methods are trained and evaluated for each of them."""
    jobs: Annotated[int | None, arg(help_behavior_hint="(default: 1, or all cores of a cluster)")] = None
    """Number of cells that run at once, each in a process of its own. A cell is one method, seed and exit window."""
    executor: Literal["local", "ray"] = "local"
    """local: run cells on this machine. ray: hand them to Ray (extra `ray`), here or on the cluster at --address."""
    address: Annotated[str | None, arg(metavar="ADDRESS", help_behavior_hint="(default: this machine alone)")] = None
    """Address of a running cluster of Ray, or auto. Its machines must share a file system with this one."""
    cells: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: OUT/cells)")] = None
    """Folder of the cells. Every comparison that names this folder reuses its finished cells."""
    accept_code: tuple[str, ...] = ()
    """Reuse cells of other versions of the code too, named by the digests that the tables show. `any` accepts all."""
    dry_run: bool = False
    """Print which cells would run and which would be reused, and stop."""
    pictures: bool = True
    """Plot pictures too (extra `plots`)."""
    train: Annotated[TrainConfig, HERE] = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class Tune(Stage):
    """Search options on held-out events of the log (extra `tune`). The same command continues an interrupted search."""

    out: Annotated[Path, FOLDER] = Path("tune")
    """Folder to write the report into."""
    objective: Objective = "world"
    """What is measured on held-out events. world: the error of the world model.
    policy: the lists of a trained policy."""
    search: Annotated[tuple[str, ...], arg(metavar="RANGE ...", help_behavior_hint="(default: none)")] = ()
    """More ranges, such as model.embedding=int:4:64:log or model.kind=choice:deepfm,mixed.
    A range replaces the usual one of its option."""
    usual: bool = True
    """Search the usual ranges of the objective too."""
    trials: int = 40
    """Number of settings that are tried. The first one has the defaults."""
    folds: int = 6
    """Number of seeds of the split that each setting is measured on."""
    outer: int = 2
    """Number of outer splits. Each repeats the search without a part of the log, and measures its choice there."""
    outer_share: float = 0.2
    """Share of the items of each user whose events an outer split sets aside."""
    sampler: Sampler = "tpe"
    """How settings are proposed. tpe: near good ones (tree-structured Parzen estimator). random: anywhere."""
    prune: bool = True
    """Stop settings early that are surely worse than the best on the same folds."""
    batch: int = 1
    """Number of settings that are proposed at once. Larger batches keep more workers busy, and learn less from each."""
    search_seed: int = 0
    """Seed of the sampler."""
    jobs: Annotated[int | None, arg(help_behavior_hint="(default: 1, or all cores of a cluster)")] = None
    """Number of cells that run at once, each in a process of its own. A cell is one setting on one fold."""
    executor: Literal["local", "ray"] = "local"
    """local: run cells on this machine. ray: hand them to Ray (extra `ray`), here or on the cluster at --address."""
    address: Annotated[str | None, arg(metavar="ADDRESS", help_behavior_hint="(default: this machine alone)")] = None
    """Address of a running cluster of Ray, or auto. Its machines must share a file system with this one."""
    cells: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: OUT/cells)")] = None
    """Folder of the cells. Every search that names this folder reuses its finished cells."""
    train: Annotated[TrainConfig, HERE] = field(default_factory=TrainConfig)


CLASSES = (Data, Fit, Train, Update, Evaluate, Compare, Tune, Recommend, Serve, Replay, Export, Point)
Command: Any = Union[tuple(Annotated[one, subcommand(name)] for name, one in zip(COMMANDS, CLASSES, strict=True))]  # noqa: UP007
