"""A search for options on held-out events: trials that a sampler proposes, each a cell for every fold of the log.

The sampler is Optuna's TPE (Bergstra et al. 2011; Watanabe 2023) or random. A trial is stopped after a fold where its
losses are surely higher than those of the best one on the same folds (Wilcoxon signed-rank test). Cells are found by
their content, so that the same command goes the same way again, and only runs what is missing.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.errors import ConfigError, MachineError, RunError
from darlr.experiments.logs import Logs
from darlr.experiments.plan import anchored, check_options, check_run, ignored_by
from darlr.experiments.study.cells import Cell, find, read_result
from darlr.experiments.study.executors import Executor
from darlr.experiments.study.schedule import run_cells
from darlr.experiments.study.trial import HELD_OUT, Losses
from darlr.methods import find as find_method
from darlr.options import OWN, RunConfig
from darlr.options.json import to_json
from darlr.options.names import named, override
from darlr.options.tuning import Objective, Range, Sampler
from darlr.simulation.exits import resolve

if TYPE_CHECKING:
    import optuna

PRUNED_AT = 0.2  # the p-value of a higher loss at which a trial is stopped; three folds of three can reach it
STARTED = 10  # random trials before TPE has a model
BEST, LEAST = 0.25, 12  # the share of the trials whose options are told apart from the others, and the fewest trials


@dataclass(frozen=True)
class Task:
    """What is searched. base: the options of every trial. logs: the log, to check options before anything runs.

    folds: a fold is a seed of the split, of the world model and of the agents. batch: the number of trials that are
    proposed at once. prune: whether trials are stopped early.
    """

    base: RunConfig
    logs: Logs
    objective: Objective
    ranges: tuple[Range, ...]
    trials: int = 40
    folds: int = 6
    sampler: Sampler = "tpe"
    batch: int = 1
    prune: bool = True
    seed: int = 0

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the searched options in `base`."""
        values = named(to_json(self.base))
        return {one.name: values[one.name] for one in self.ranges}

    def config(self, options: Mapping[str, Any]) -> RunConfig:
        """The options of a trial. Raises ConfigError for values that do not fit each other or the log."""
        config = override(self.base, options)
        check_options(config)
        check_run(config, self.logs.whole)
        return config

    def cell(self, options: Mapping[str, Any], fold: int) -> Cell:
        """The cell of a trial on one fold, of which world models of equal options are shared."""
        seeds = {"seed": fold, "split.seed": fold, "model.seed": fold}
        config = self.config({**options, **seeds})
        session = resolve(config.train.session, self.logs.whole)
        config = replace(config, train=replace(config.train, session=session))
        parts = config, fold, (), self.logs.checksum, ""
        world = None if self.objective == "world" else Cell("world", "world", *parts)
        return Cell("trial", self.objective, *parts, world=world)


@dataclass
class Trial:
    """One setting. losses: on the folds that it was run on, in order. stopped: before all folds. failed: why."""

    number: int
    options: Mapping[str, Any]
    losses: list[Losses]
    stopped: bool = False
    failed: str = ""

    @property
    def complete(self) -> bool:
        """Whether it was run on all folds."""
        return not self.stopped and not self.failed

    def mean(self, part: str = HELD_OUT) -> float:
        """The mean loss over the folds that it was run on."""
        return sum(loss[part] for loss in self.losses) / len(self.losses)


def gain(default: Trial, trial: Trial, part: str = HELD_OUT) -> tuple[float, float]:
    """See `Found.gain`; the standard error of one fold is NaN."""
    pairs = zip(default.losses, trial.losses, strict=False)  # a stopped trial has fewer
    differences = np.array([one[part] - other[part] for one, other in pairs])
    error = float(differences.std(ddof=1) / len(differences) ** 0.5) if len(differences) > 1 else nan
    return float(differences.mean()), error


@dataclass(frozen=True)
class Found:
    """The trials of a search, in order; the first one has the defaults. importance: the share of each option."""

    trials: Sequence[Trial]
    importance: Mapping[str, float]

    @property
    def default(self) -> Trial:
        """The trial of the defaults."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The complete trial with the lowest mean loss, the first of equal ones."""
        return min((one for one in self.trials if one.complete), key=Trial.mean)

    def gain(self, trial: Trial, part: str = HELD_OUT) -> tuple[float, float]:
        """The mean loss of the defaults less that of a trial on the same folds, and its standard error."""
        return gain(self.default, trial, part)


def check(task: Task) -> Task:
    """The same task with what all trials share. Raises ConfigError for a search that cannot work, before anything runs.

    The ends of each range are tried, one option at a time.
    """
    for name, least in (("trials", 1), ("folds", 2), ("batch", 1), ("seed", 0)):
        if getattr(task, name) < least:
            raise ConfigError(f"option {name}: must be at least {least}, not {getattr(task, name)}")
    base = replace(anchored(task.base), label="", world=OWN)
    task = replace(task, base=override(base, {"split.refit": False}))
    known = named(to_json(task.base))
    for one in task.ranges:
        if one.name in ("seed", "model.seed", "split.refit", "device", "threads") or one.name.startswith("split."):
            raise ConfigError(f"option search: {one.name} belongs to the measurement, so it cannot be searched")
        if task.objective == "world" and one.name in known and not one.name.startswith("model."):
            raise ConfigError(
                f"option search: {one.name} changes no world model; search model options, or take the objective policy"
            )
        cause = ignored_by(task.base.train, one.name)
        if cause and not {"method", "selector.kind", "selector.objective"} & {other.name for other in task.ranges}:
            raise ConfigError(f"option search: {one.name} has no effect with {cause}; leave it out")
        for value in one.ends:
            try:
                task.config({one.name: value})
            except ConfigError as error:  # an unknown name, or a value that is refused
                raise ConfigError(f"option search: {one}: {error}") from None
    if find_method(task.base.train.method).truth:
        raise ConfigError("option method: gt learns from the truth, and a search reads the log alone")
    return task


def search(task: Task, place: Path, executor: Executor | None = None) -> Found:
    """Run the trials that are missing, and return them all. task: as `check` returns it. place: of the cells.

    Raises RunError where the defaults fail, and MachineError without Optuna.
    """
    study, default = _study(task), Trial(0, {}, [])
    _run(task, [default], place, executor, lambda *_: False)
    if default.failed:
        raise RunError(f"the trial with the defaults failed: {default.failed}")
    _add(study, task, default, default.mean())
    trials, spread = [default], _distributions(task.ranges)
    while len(trials) < task.trials:
        asked = [study.ask(spread) for _ in range(min(task.batch, task.trials - len(trials)))]
        batch = [Trial(len(trials) + k, dict(one.params), []) for k, one in enumerate(asked)]

        def lost(trial: Trial, asked: Any = asked, first: int = len(trials)) -> bool:
            own = asked[trial.number - first]
            own.report(trial.losses[-1][HELD_OUT], len(trial.losses) - 1)
            return task.prune and len(trial.losses) < task.folds and bool(own.should_prune())

        _run(task, batch, place, executor, lost)
        for one, trial in zip(asked, batch, strict=True):
            _tell(study, one, trial)
        trials += batch
    return Found(trials, _importance(task, trials))


def _run(
    task: Task, trials: Sequence[Trial], place: Path, executor: Executor | None, lost: Callable[[Trial], bool]
) -> None:
    """Run trials fold by fold, until they are complete, stopped by `lost`, or failed."""
    for fold in range(task.folds):
        cells: dict[int, Cell] = {}
        for trial in trials:
            if trial.complete:
                try:
                    cells[trial.number] = task.cell(trial.options, fold)
                except ConfigError as error:  # each value is possible, but not all of them together
                    trial.failed = str(error)
        wanted = {cell.folder: cell for cell in cells.values() if find(cell, place) is None}
        worlds = {one.world.folder: one.world for one in wanted.values() if one.world is not None}
        missing = [one for one in worlds.values() if find(one, place) is None]
        failed = run_cells([*missing, *wanted.values()], place, executor)
        for trial in trials:
            if trial.number not in cells:
                continue
            folder = find(cells[trial.number], place)
            if folder is None:
                why = [text for name, text in failed.items() if cells[trial.number].folder in name]
                trial.failed = why[0] if why else "its cell did not end"
                continue
            trial.losses.append(read_result(folder).about["losses"])
            trial.stopped = lost(trial)


def _study(task: Task) -> "optuna.Study":
    library = _optuna()
    library.logging.set_verbosity(library.logging.WARNING)
    samplers = library.samplers
    sampler = samplers.RandomSampler(seed=task.seed)
    if task.sampler == "tpe":
        sampler = samplers.TPESampler(seed=task.seed, n_startup_trials=STARTED, constant_liar=task.batch > 1)
    with warnings.catch_warnings():  # Optuna calls some of its parts experimental
        warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
        pruner = library.pruners.WilcoxonPruner(p_threshold=PRUNED_AT)
    study: optuna.Study = library.create_study(direction="minimize", sampler=sampler, pruner=pruner)
    return study


def _distributions(ranges: Sequence[Range]) -> dict[str, Any]:
    kinds = _optuna().distributions
    found: dict[str, Any] = {}
    for one in ranges:
        if one.kind == "choice":
            found[one.name] = kinds.CategoricalDistribution(one.choices)
        elif one.kind == "int":
            found[one.name] = kinds.IntDistribution(int(one.low), int(one.high), log=one.log)
        else:
            found[one.name] = kinds.FloatDistribution(one.low, one.high, log=one.log)
    return found


def _add(study: "optuna.Study", task: Task, trial: Trial, value: float) -> None:
    """Give a study a trial that was run, where it is one of those that can be proposed."""
    values = {**task.defaults, **trial.options}
    if all(one.holds(values[one.name]) for one in task.ranges):
        reported = {fold: loss[HELD_OUT] for fold, loss in enumerate(trial.losses)}
        spread = _distributions(task.ranges)
        known = {"params": values, "distributions": spread, "intermediate_values": reported}
        study.add_trial(_optuna().trial.create_trial(value=value, **known))


def _tell(study: "optuna.Study", asked: "optuna.Trial", trial: Trial) -> None:
    states = _optuna().trial.TrialState
    if trial.failed:
        study.tell(asked, state=states.FAIL)
    elif trial.stopped:
        study.tell(asked, state=states.PRUNED)
    else:
        study.tell(asked, trial.mean())


def _importance(task: Task, trials: Sequence[Trial]) -> dict[str, float]:
    """The share of each option in what separates the best quarter of the trials (PED-ANOVA, Watanabe 2023).

    Trials that were stopped count by their gain on the folds that they had. Empty where trials are too few to tell.
    """
    library = _optuna()
    study = library.create_study(direction="maximize")
    for one in trials:
        if one.losses and not one.failed:
            _add(study, task, one, gain(trials[0], one)[0])
    if len(study.trials) < max(LEAST, 2 * len(task.ranges)) or len({one.value for one in study.trials}) < LEAST:
        return {}
    with warnings.catch_warnings():  # Optuna calls some of its parts experimental
        warnings.simplefilter("ignore")
        evaluator = library.importance.PedAnovaImportanceEvaluator(target_quantile=BEST)
        found = library.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items()}


def _optuna() -> Any:
    """The library, which loads when a search begins. Raises MachineError where it is missing."""
    try:
        import optuna
    except ImportError:
        raise MachineError("darlr tune needs Optuna; install the extra: pip install 'darlr[tune]'") from None
    return optuna
