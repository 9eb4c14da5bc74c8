"""`darlr compare`: run the missing cells of a grid, and write its tables and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join
from sys import argv

from darlr.cli.evaluate import write
from darlr.cli.options import Compare
from darlr.errors import RunError
from darlr.experiments.new_users import of_kind
from darlr.experiments.plan import without_effect
from darlr.experiments.progress import say
from darlr.experiments.study.assemble import assemble, origins
from darlr.experiments.study.cells import Cell, Result, find, read_result
from darlr.experiments.study.executors import executor
from darlr.experiments.study.grid import Grid, missing, plan, variants
from darlr.experiments.study.pictures import plots
from darlr.experiments.study.report import Study, study
from darlr.experiments.study.schedule import longest_first, run_cells, title
from darlr.experiments.study.sections import published, thinner_logs
from darlr.io.files import naming
from darlr.io.places import require_writable


def run(options: Compare) -> None:
    """Compare methods on one data set."""
    runs_on = executor(options.executor, options.jobs, options.address)
    config = options.config
    if options.protocol == "published":  # its numbers are means over all epochs
        config = replace(config, train=replace(config.train, keep="last"))
    rows = variants(options.study, options.methods, config)
    for sentence in without_effect(config, list(dict.fromkeys(row.method for row in rows if row.learned))):
        say(f"warning: {sentence}")
    configs = [of_kind(config, users) for users in (("known", "new") if options.users == "both" else (options.users,))]
    grids = [plan(one, rows, options.seeds, options.windows) for one in configs]
    place = options.cells or options.out / "cells"
    cells = [cell for grid in grids for cell in grid.cells]
    wanted = [cell for grid in grids for cell in missing(grid, place, options.accept_code)]
    reused = len(cells) - sum(cell.kind != "world" for cell in wanted)
    say(f"{grids[0].data}: {len(cells)} cells, {reused} reused, {len(wanted)} to run (world models included)")
    for name, text in grids[0].notes.items():
        say(f"{name}: {text}")
    if options.dry_run:
        for cell in longest_first(wanted):
            say(f"would run {title(cell)}: {place / cell.folder}")
        for cell in cells:
            if (found := find(cell, place, options.accept_code)) is not None:
                say(f"reused    {title(cell)}: {found}")
        return
    for folder in (options.out, place):
        require_writable(folder)
    with naming(place):
        place.mkdir(parents=True, exist_ok=True)
    failed = run_cells(wanted, place, runs_on)
    results = read_results(cells, place, options.accept_code)
    write(result(options, grids, results), options.out, pictures=options.pictures)
    if failed:
        listed = "\n".join(f"  {name}: {why}" for name, why in failed.items())
        raise RunError(f"{len(failed)} cells failed; their rows are left out of the tables:\n{listed}")


def read_results(cells: Sequence[Cell], place: Path, accepted: Sequence[str]) -> dict[str, Result]:
    """The results of finished cells, by the names of their folders."""
    found = {cell.folder: find(cell, place, accepted) for cell in cells}
    return {name: read_result(folder) for name, folder in found.items() if folder is not None}


def result(options: Compare, grids: Sequence[Grid], results: Mapping[str, Result]) -> Study:
    """The tables and pictures of the finished cells, with their origin. grids: one for each kind of users."""
    tables, grid = [table for one in grids for table in assemble(one, results)], grids[0]
    complete = {line.variant.label for table in tables for line in table.lines}
    about = {
        "data": grid.data,
        **grid.notes,
        "study": options.study,
        "seeds": grid.seeds,
        **({"users": options.users, "groups of new users": folds} if (folds := grids[-1].folds) else {}),
        "command": "darlr " + join(argv[1:]),
        "left out (cells missing)": [one.label for one, _ in grid.rows if one.label not in complete],
        **origins(results),
    }
    sections = thinner_logs(tables) if options.study == "sparsity" else []
    sections += [published(grid.data, tables)] if options.protocol == "published" else []
    title = f"Comparison on {grid.data}: {options.study}"
    return study(title, tables, about, sections=sections, plots=plots(grid.data, tables, options.study))
