"""Lay out the cells of a study: each row for each seed and exit window, and the world models that they share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from darlr.data.log import InteractionLog
from darlr.errors import ConfigError, RunError
from darlr.evaluation.evaluate import all_alike, can_leave, settings
from darlr.evaluation.truth import load_truth
from darlr.experiments.logs import open_logs
from darlr.experiments.plan import anchored, check_options, check_run
from darlr.experiments.study import studies
from darlr.experiments.study.cells import Cell, Kind, find
from darlr.experiments.study.studies import TRIVIAL, Study, Variant
from darlr.methods import with_defaults
from darlr.options import OWN, RunConfig, SessionConfig
from darlr.options.json import to_json
from darlr.options.names import named, override
from darlr.simulation.exits import resolve

Windows = tuple[int | None, ...]
Cells = Mapping[int | None, Sequence[Cell]]
"""The cells of a row: exit window, or None where no user can leave -> one cell a seed, in order."""


@dataclass(frozen=True)
class Grid:
    """Everything that a comparison needs.

    windows: the exit windows, each with tables of its own; (None,) where no user can leave. truth: the first note on
    it; empty where it was observed. notes: what else the reader of a table must know.
    """

    rows: list[tuple[Variant, Cells]]
    windows: Windows
    seeds: int
    data: str
    truth: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def cells(self) -> list[Cell]:
        """Every cell once, without those of world models."""
        parts = (part for _, cells in self.rows for part in cells.values())
        return list({cell.folder: cell for part in parts for cell in part}.values())


def variants(study: Study, methods: str, config: RunConfig) -> list[Variant]:
    """The rows of a study."""
    if study == "ablations":
        return studies.ablations()
    if study == "sensitivity":
        values = named(to_json(config))
        return studies.sensitivity({name: values[name] for name in studies.WEIGHTS})
    names = studies.chosen(methods)
    return studies.table(names) if study == "table" else studies.sparsity(names)


def plan(base: RunConfig, rows: Iterable[Variant], seeds: int, windows: Sequence[int]) -> Grid:
    """Lay out the grid, and check everything that can be checked before anything runs.

    Raises ConfigError for options that cannot work, RunError where the data set has no truth.
    """
    if not windows or min(windows) < 1:
        raise ConfigError("option windows: name one or more exit windows of at least 1")
    if seeds < 1:
        raise ConfigError(f"option seeds: must be at least 1, not {seeds}")
    check_options(base)
    base = replace(anchored(base), label="", world=OWN)
    logs = open_logs(base)
    truth = load_truth(base.data, options=base.synthetic)
    if truth is None:
        raise RunError(f"{base.data}: has no truth (complete rewards to play sessions on), so nothing can be compared")
    checksum = sha256(truth.users.tobytes() + truth.items.tobytes() + truth.reward.numpy().tobytes()).hexdigest()
    leave = can_leave(base.train.session, logs.catalogue)
    split: Windows = tuple(dict.fromkeys(windows)) if leave else (None,)
    checksums = {"data": logs.checksum, "truth": checksum}
    laid_out = [(variant, _cells(variant, base, logs.whole, seeds, split, checksums)) for variant in rows]
    unit, alike = logs.unit.describe(logs.recorded), settings(base.train.session, logs.catalogue, windows)
    notes = {"unit": unit} if unit else {}
    notes |= {f"warning, {mode}": text for mode, text in all_alike(alike, len(truth.items)).items()}
    return Grid(laid_out, split, seeds, logs.whole.name, next(iter(truth.notes), ""), notes)


def _cells(
    variant: Variant, base: RunConfig, log: InteractionLog, seeds: int, windows: Windows, checksums: Mapping[str, Any]
) -> Cells:
    """A learned row has a cell for each window, which trains under it. One cell of another row is for all windows."""
    if variant.learned:
        base = with_defaults(override(base, {"method": variant.method}))
    config = override(base, variant.options)
    if variant.learned:
        check_run(config, log)
    kind: Kind = "learned" if variant.learned else "trivial" if variant.method == TRIVIAL else "baseline"

    def cells(played: Windows) -> list[Cell]:
        found = []
        for seed in range(seeds):
            seeded = override(config, {"seed": seed, "split.seed": seed, "model.seed": seed})
            session = resolve(seeded.train.session, log)
            window = played[0] or session.window if variant.learned else SessionConfig.window
            seeded = replace(seeded, train=replace(seeded.train, session=replace(session, window=window)))
            world = Cell("world", "world", seeded, seed, (), **checksums)
            numbers = tuple(n for n in played if n is not None)
            found.append(Cell(kind, variant.method, seeded, seed, numbers, **checksums, world=world))
        return found

    return {n: cells((n,)) for n in windows} if variant.learned else dict.fromkeys(windows, cells(windows))


def missing(grid: Grid, place: Path, accepted: Sequence[str]) -> list[Cell]:
    """The cells that have to run, after those of the world models that they need."""
    wanted = [cell for cell in grid.cells if find(cell, place, accepted) is None]
    worlds = {cell.world.folder: cell.world for cell in wanted if cell.world is not None}
    return [cell for cell in worlds.values() if find(cell, place, ()) is None] + wanted
