"""What can be compared, as rows of a study, and the cells of each row: one for each seed and exit window."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from darlr.errors import ConfigError, RunError
from darlr.evaluation.evaluate import all_alike, can_leave, settings
from darlr.evaluation.truth import held, load_truth
from darlr.experiments.leaving import useless_threshold
from darlr.experiments.logs import Logs, open_logs
from darlr.experiments.plan import anchored, check_options, check_run, decided, require_times
from darlr.experiments.study.cells import Cell, Kind, find
from darlr.io.hints import perhaps
from darlr.methods import METHODS, with_defaults
from darlr.options import OWN, RunConfig, SessionConfig
from darlr.options.json import to_json
from darlr.options.names import named, override
from darlr.simulation.exits import resolve

Kinds = Literal["table", "ablations", "sensitivity", "sparsity"]
TRIVIAL = "trivial"


@dataclass(frozen=True)
class Variant:
    """One row before it has seeds.

    method: a method, a baseline, or "trivial" for all trivial rows. options: those that differ from the base, by name.
    group, value: the panel and the place on its axis, in studies that vary a number. tail: the end of the names of its
    rows, in the study of thinner logs. base: whether the study compares the other rows of its group with it.
    """

    label: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    value: float | None = None
    tail: str = ""
    base: bool = False

    @property
    def learned(self) -> bool:
        """Whether the row is trained in the simulator."""
        return self.method in METHODS

    @property
    def ending(self) -> str:
        """The `tail` as it stands in names."""
        return f", {self.tail}" if self.tail else ""


def chosen(methods: str) -> list[str]:
    """Return the names in a comma-separated list, in which all, learned, baselines and trivial stand for groups.

    Raises ConfigError with a hint for an unknown name.
    """
    from darlr.policies.registry import BASELINES  # slow to import, and needed only when rows are laid out

    groups = {"learned": list(METHODS), "baselines": list(BASELINES), TRIVIAL: [TRIVIAL]}
    groups["all"] = [name for group in groups.values() for name in group]
    names: list[str] = []
    for word in filter(None, (word.strip().lower() for word in methods.split(","))):
        if word not in groups and word not in groups["all"]:
            known = list(dict.fromkeys([*groups["all"], *groups]))
            hint = perhaps(word, known, f"choose from {', '.join(known)}")
            raise ConfigError(f"option methods: no method is called {word}; {hint}")
        names += groups.get(word, [word])
    if not names:
        raise ConfigError("option methods: name at least one method")
    return list(dict.fromkeys(names))


def _title(name: str) -> str:
    return METHODS[name].title if name in METHODS else name


ABLATIONS: dict[str, Mapping[str, Any]] = {
    "no selector (static reward)": {"selector.kind": "none"},
    "nearest neighbours in place of the selector": {"selector.kind": "nearest"},
    "random references": {"selector.kind": "random"},
    "no similarity": {"selector.lambda-s": 0.0},
    "no diversity": {"selector.lambda-d": 0.0},
    "static reward": {"reward.estimate": "static"},
    "static penalty": {"reward.penalty": "static"},
    "no penalty": {"reward.penalty": "none"},
    "no entropy term": {"reward.lambda-e": 0.0},
    "start table: frozen": {"reward.start": "frozen"},
    "refine in place": {"reward.refine": "in_place"},
    "selector reward: own": {"selector.reward": "own"},
    "selector reward: none": {"selector.reward": "none"},
    "user not in the state": {"recommender.user-in-state": False},
    "feedback not in the state": {"recommender.feedback-in-state": False},
    "neither user nor feedback in the state": {f"recommender.{one}-in-state": False for one in ("user", "feedback")},
    "tracker: mean": {"recommender.tracker.kind": "mean"},
    "training repeats items": {"session.repeats": True},
}


def ablations() -> list[Variant]:
    """Return DARLR with one part changed at a time."""
    changed = [Variant(label, "darlr", options) for label, options in ABLATIONS.items()]
    return [Variant("DARLR", "darlr", base=True), *changed]


# The five weights of the paper: option -> symbol and range.
WEIGHTS: dict[str, tuple[str, tuple[float, ...]]] = {
    "selector.picks": ("K_sel", (10, 20, 30, 40)),
    "selector.lambda-s": ("lambda_s", (0.5, 1.0, 2.0, 5.0)),
    "selector.lambda-d": ("lambda_d", (0.01, 0.05, 0.1, 0.5)),
    "reward.lambda-u": ("lambda_U", (0.01, 0.05, 0.1, 0.5, 1.0)),
    "reward.lambda-e": ("lambda_E", (0.01, 0.05, 0.1, 0.5, 1.0)),
}


def sensitivity(defaults: Mapping[str, Any]) -> list[Variant]:
    """Return DARLR with one weight changed at a time over its range. defaults: the options of the base, by name."""
    rows = [Variant("DARLR", "darlr", base=True)]
    for name, (symbol, values) in WEIGHTS.items():
        usual = defaults[name]
        for value in sorted({*map(type(usual), values), usual}):
            options = {} if value == usual else {name: value}
            rows.append(Variant(f"{symbol} = {value:g}", "darlr", options, symbol, float(value)))
    return rows


KEPT = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
ISOLATED = 0.2  # share of users without events


def sparsity(names: Sequence[str]) -> list[Variant]:
    """Return every method on shares of the log from 100% to 1%, and on a log without the events of some users."""
    logs: list[tuple[dict[str, float], str, float | None]] = [
        ({} if share == 1 else {"split.keep": share}, f"{share:.0%} of the log", share) for share in KEPT
    ]
    logs.append(({"split.isolated": ISOLATED}, f"{ISOLATED:.0%} of users without events", None))
    return [
        Variant(f"{_title(name)}, {tail}", name, options, _title(name), share, tail, base=share == 1)
        for name in names
        for options, tail, share in logs
    ]


Windows = tuple[int | None, ...]
Cells = Mapping[int | None, Sequence[Cell]]
"""The cells of a row: exit window, or None where no user can leave -> one cell a seed, in order."""


@dataclass(frozen=True)
class Grid:
    """Everything that a comparison needs.

    windows: the exit windows, each with tables of its own; (None,) where no user can leave. notes: what the reader of
    a table must know of the truth and of rewards. folds: the groups of users that the seeds hide in turn, and that are
    played as new users; 0 where the users of the log are played.
    """

    rows: list[tuple[Variant, Cells]]
    windows: Windows
    seeds: int
    data: str
    notes: Mapping[str, str] = field(default_factory=dict)
    folds: int = 0

    @property
    def cells(self) -> list[Cell]:
        """Every cell once, without those of world models."""
        parts = (part for _, cells in self.rows for part in cells.values())
        return list({cell.folder: cell for part in parts for cell in part}.values())


def variants(study: Kinds, methods: str, config: RunConfig) -> list[Variant]:
    """Return the rows of a study."""
    if study == "ablations":
        return ablations()
    if study == "sensitivity":
        return sensitivity(named(to_json(config)))
    names = chosen(methods)
    return [Variant(_title(name), name) for name in names] if study == "table" else sparsity(names)


def plan(base: RunConfig, rows: Iterable[Variant], seeds: int, windows: Sequence[int]) -> Grid:
    """Lay out the grid, and check everything that can be checked before anything runs.

    With users hidden (split.hidden) each seed hides the next group of them. Raises ConfigError for options that cannot
    work, RunError where the data set has no truth.
    """
    if not windows or min(windows) < 1:
        raise ConfigError("option windows: name one or more exit windows of at least 1")
    if seeds < 1:
        raise ConfigError(f"option seeds: must be at least 1, not {seeds}")
    folds = base.split.folds
    if folds and seeds > folds and seeds % folds:
        raise ConfigError(f"option seeds: {seeds} seeds cannot hide {folds} groups of users equally often; try {folds}")
    check_options(base)
    base = replace(anchored(base), label="", world=OWN)
    logs = open_logs(base)
    require_times(base.train.session, logs.whole, base.data)
    truth = load_truth(base.data, options=base.synthetic)
    if truth is None:
        raise RunError(f"{base.data}: has no truth (complete rewards to play sessions on), so nothing can be compared")
    parts = (truth.users, truth.items, *(part.numpy() for part in held(truth).values()))
    checksum = sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    split: Windows = tuple(dict.fromkeys(windows)) if can_leave(base.train.session, logs.catalogue) else (None,)
    checksums = {"data": logs.checksum, "truth": checksum}
    laid_out = [(variant, _cells(variant, base, logs, seeds, split, checksums)) for variant in rows]
    unit, alike = logs.unit.describe(logs.recorded), settings(base.train.session, logs.catalogue, windows)
    notes = {"truth": truth.notes[0]} if truth.notes else {}
    notes |= {"unit": unit} if unit else {}
    doubted = useless_threshold(resolve(base.train.session, logs.whole), logs)
    notes |= {"warning, exit rule": doubted} if doubted else {}
    notes |= {f"warning, {mode}": text for mode, text in all_alike(alike, len(truth.items)).items()}
    return Grid(laid_out, split, seeds, logs.whole.name, notes, folds)


def _cells(
    variant: Variant, base: RunConfig, logs: Logs, seeds: int, windows: Windows, checksums: Mapping[str, Any]
) -> Cells:
    """Lay out a row. A learned row trains in a cell for each window; a cell of another row is for all windows."""
    if variant.learned:
        base = with_defaults(override(base, {"method": variant.method}))
    config = override(base, variant.options)
    if variant.learned:
        check_run(config, logs.whole)
        decided(config, logs)  # raises where the options do not suit the log
    kind: Kind = "learned" if variant.learned else "trivial" if variant.method == TRIVIAL else "baseline"

    def cells(played: Windows) -> list[Cell]:
        found = []
        for seed in range(seeds):
            seeded = override(config, {"seed": seed, "split.seed": seed, "model.seed": seed})
            if folds := config.split.folds:
                seeded = override(seeded, {"split.fold": seed % folds})
            session = resolve(seeded.train.session, logs.whole)
            window = played[0] or session.window if variant.learned else SessionConfig.window
            seeded = replace(seeded, train=replace(seeded.train, session=replace(session, window=window)))
            world = Cell("world", "world", seeded, seed, (), **checksums)
            numbers = tuple(n for n in played if n is not None)
            found.append(Cell(kind, variant.method, seeded, seed, numbers, **checksums, world=world))
        return found

    return {n: cells((n,)) for n in windows} if variant.learned else dict.fromkeys(windows, cells(windows))


def missing(grid: Grid, place: Path, accepted: Sequence[str]) -> list[Cell]:
    """Return the cells that have to run, after those of the world models that they need."""
    wanted = [cell for cell in grid.cells if find(cell, place, accepted) is None]
    worlds = {cell.world.folder: cell.world for cell in wanted if cell.world is not None}
    return [cell for cell in worlds.values() if find(cell, place, ()) is None] + wanted
