"""`darlr evaluate`: the sound protocol on trained runs, beside the trivial rows, as tables and pictures."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, Literal

import numpy as np

from darlr.errors import ConfigError, MachineError, RunError
from darlr.evaluation.evaluate import Row, Setting, all_alike, can_leave, published_mean, settings, sound
from darlr.evaluation.lists import Entry, Kind, trivial_rows
from darlr.evaluation.pictures.bars import bar_chart
from darlr.evaluation.pictures.curves import estimation_error, learning_curve
from darlr.evaluation.report import Section, heading, print_tables, write_report
from darlr.evaluation.report import label as row_label
from darlr.evaluation.statistics import Comparison, compare
from darlr.evaluation.verdict import START, verdict
from darlr.experiments.finished import FinishedRun, open_run
from darlr.experiments.logs import Logs
from darlr.experiments.next_items import next_items
from darlr.experiments.plan import title
from darlr.experiments.process import configure
from darlr.experiments.progress import PATIENCE, Meter, say
from darlr.experiments.trivial import trivial_tables
from darlr.experiments.unseen import Ground, find_ground
from darlr.io.files import require_writable
from darlr.io.text import markdown, plain
from darlr.options.json import differences, to_json

SEEDS = ("seed", "world", "threads", "device")  # what seeds of one row may differ in


def evaluate(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    pictures: bool = True,
    only: Literal["all", "learned"] = "all",
    without_truth: bool = False,
) -> None:
    """Evaluate runs on the same data; runs of one method are seeds of one row."""
    if not folders:
        raise ConfigError("name at least one run folder, such as darlr evaluate runs/demo")
    place = folders[0]
    asked, out = out, out or (place / "without-truth" if without_truth else place)
    if asked or place.is_dir():
        require_writable(out)  # before the work
    runs = open_runs(folders)
    first = runs[0]
    configure(first.config.train.threads)
    session = first.config.train.session
    entries = learned_rows(runs)
    ground = find_ground(runs, entries, out, without_truth=without_truth)
    if only == "all":
        entries += trivial(runs, ground, exits=can_leave(session, first.logs.catalogue))
    played = settings(session, first.logs.catalogue)
    rows = sound(entries, shown(played), ground.truth, first.logs.train_catalogue)
    metrics = first.rows if len(runs) == 1 and not without_truth else []
    told, windows = first.logs.unit.describe(first.logs.recorded), trained_windows(runs)
    about = {
        "data": first.config.data,
        **({"truth": ground.truth.notes[0]} if ground.truth.notes else {}),
        **({"unit": told} if told else {}),
        "exit": session.exit,
        "runs": [str(one.folder) for one in runs],
        "seeds": sorted({one.config.train.seed for one in runs}),
        "epochs": sorted({one.epochs for one in runs}),
        "policy of epoch": sorted({one.epoch for one in runs}),
        **ground.about,
        **{f"warning, {mode}": text for mode, text in all_alike(played, len(ground.truth.items)).items()},
    }
    leading = rows_of_first_setting(rows)
    published = published_mean(metrics) if any("R_tra" in row for row in metrics) else None
    pairs = comparisons(leading)
    serve = serving(runs, session.exit)
    sentences = verdict(leading, ground.trust, serve)
    unseen = list(ground.sections)
    if ground.kept is not None:
        unseen += next_items(entries, first.logs, ground.kept, usual=only == "all")
    sections = [*unseen, Section("Verdict", tuple(map(markdown, sentences)), sentences)]
    write_report(out, rows, about=about, comparisons=pairs, published=published, sections=sections, trained=windows)
    print_tables(leading, windows)
    for section in unseen:
        say("\n".join((f"\n{section.title}", *plain(section.lines))))
    for name, text in about.items():
        if name in ground.about or name.startswith("warning") or name == "unit":
            say(f"{name}: {text}")
    if ground.truth.notes:
        say(f"truth: {ground.truth.notes[0]}")
    say(f"all modes: {out / 'table.md'}, {out / 'table.json'}")
    if pictures:
        try:
            draw(out, first, ground.title, leading, metrics)
        except MachineError as error:  # no matplotlib: the tables are what counts
            say(f"no pictures: {error}, or pass --no-pictures")
        else:
            say(f"pictures: {out}")
    say("\n" + " ".join(sentences))


def shown(wanted: Sequence[Setting]) -> Iterator[Setting]:
    """Settings one after the other, and how far playing them is, where it takes long."""
    with Meter("evaluating") as meter:
        meter.begin("evaluating", "setting", after=PATIENCE)
        for done, setting in enumerate(wanted):
            meter.show(done, len(wanted), {})
            yield setting


def serving(runs: Sequence[FinishedRun], exit_rule: str) -> Callable[[Row], str | None]:
    """How each row of these runs is served; None for those that `darlr export` refuses.

    Of several seeds the first run counts.
    """
    homes = {label(one): quote(str(one.folder)) for one in reversed(runs)}
    first = quote(str(runs[0].folder))

    def serve(row: Row) -> str | None:
        if row.sampled or (row.exit_aware and exit_rule == "distance"):
            return None
        if row.kind == "learned":
            return f"the run folder {homes[row.name]} is ready for that."
        return f"darlr export {homes.get(row.name.removesuffix(START), first)} --row {quote(row.name)} --out FOLDER"

    return serve


def trained_windows(runs: Sequence[FinishedRun]) -> tuple[int, ...]:
    """The exit windows that runs were trained with; none where no user can leave."""
    return tuple(
        sorted(
            {one.config.train.session.window for one in runs if can_leave(one.config.train.session, one.logs.catalogue)}
        )
    )


def comparisons(rows: Sequence[Row]) -> dict[str, Comparison]:
    """Every learned greedy row against its start and the best one from logs alone, and the best one against the others.

    Paired by user and seed; rows with other numbers of seeds than their partner are left out.
    """
    learned = sorted((r for r in rows if r.kind == "learned" and not r.sampled), key=lambda r: -r.mean)
    log = sorted((r for r in rows if r.kind == "log" and not r.name.endswith(START)), key=lambda r: -r.mean)
    starts = {row.name.removesuffix(START): row for row in rows if row.name.endswith(START)}
    pairs = [(row, starts[row.name]) for row in learned if row.name in starts]
    pairs += [(row, log[0]) for row in learned if log] + [(learned[0], row) for row in learned[1:]]
    return {
        f"{row_label(one)} - {row_label(other)}": compare(
            one.returns, other.returns, generator=np.random.default_rng(0)
        )
        for one, other in pairs
        if one.seeds == other.seeds or 1 in (one.seeds, other.seeds)
    }


def open_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Open runs; RunError when they cannot share a table."""
    runs: list[FinishedRun] = []
    opened: dict[Any, Logs] = {}
    for folder in folders:
        found = open_run(folder, opened)
        for other in runs:
            refuse_unlike(other, found)
        runs.append(found)
    return runs


def refuse_unlike(one: FinishedRun, other: FinishedRun) -> None:
    """RunError when two runs are on other data, in other sessions, or of one label but not seeds of one row."""
    if one.folder and other.folder and one.folder.resolve() == other.folder.resolve():
        raise RunError(f"{other.folder}: named twice; it would count as two seeds")
    if one.logs.checksum != other.logs.checksum:
        raise RunError(f"{other.folder}: trained on other data than {one.folder}; evaluate them apart")
    before, now = (run.config.train.session for run in (one, other))
    if (before.exit, before.threshold, before.turns) != (now.exit, now.threshold, now.turns):
        raise RunError(f"{other.folder}: trained for other sessions than {one.folder}; evaluate them apart")
    if label(one) != label(other):
        return
    changed = differences(to_json(one.config), to_json(other.config))
    options = [name for name in changed if name.split(".")[-1] not in SEEDS]
    if not (one.config.fits_world and other.config.fits_world):  # a given model has its own options
        fits = differences(to_json(one.model), to_json(other.model))
        own = (*SEEDS, "epochs") if one.logs.refit else SEEDS  # a refit's epochs are what the first fit chose
        options = [name for name in options if not name.startswith("world_model.")]
        options += [f"world_model.{name}" for name in fits if name not in own]
    equal = one.config.train.seed == other.config.train.seed
    unlike = options and label(one) == title(one.config.train.method)  # a label of the user's own joins unlike runs
    if equal or unlike:
        what = f"differ in {', '.join(options)}" if unlike else f"have seed {one.config.train.seed}"
        raise RunError(
            f"{one.folder}, {other.folder}: both are {label(one)} but {what}, so they are no seeds of one row; train "
            f"one with another --seed, or name it with `darlr train --out {other.folder} --resume --label NAME`"
        )


def learned_rows(runs: Sequence[FinishedRun]) -> list[Entry]:
    """Each method's greedy and sampled policy, and the greedy one before training, one policy a seed."""
    methods: dict[str, list[FinishedRun]] = defaultdict(list)
    for one in runs:
        methods[label(one)].append(one)
    entries = []
    for name, group in methods.items():
        trained, kept = [one.policy for one in group], kind(group[0])
        entries += [Entry(name, trained, kept), Entry(name, trained, kept, greedy=False)]
        entries.append(Entry(name + START, [one.start for one in group], "truth" if kept == "truth" else "log"))
    return entries


def label(run: FinishedRun) -> str:
    """What a run is called in tables: its own label, or its method as published."""
    return run.config.label


def kind(run: FinishedRun) -> Kind:
    """Learned from logs, or, as GT, from the truth."""
    return "truth" if run.config.train.method == "gt" else "learned"


def trivial(runs: Sequence[FinishedRun], ground: Ground, *, exits: bool) -> list[Entry]:
    """The trivial rows; those that come from a world model have one policy for each world model in the runs."""
    worlds = {str(one.world.reward.sum().item()): one for one in runs}.values()
    logs = runs[0].logs
    tables = trivial_tables(logs, [(one.logs, one.world, one.config.train.tables) for one in worlds])
    return trivial_rows(logs.catalogue, ground.truth, tables, exits=exits, reference=ground.name)


def rows_of_first_setting(rows: Sequence[Row]) -> list[Row]:
    """NX_0 with the first exit window: the rows that people look at first."""
    return [row for row in rows if (row.mode, row.window) == (rows[0].mode, rows[0].window)]


def draw(out: Path, run: FinishedRun, title: str, rows: Sequence[Row], metrics: Sequence[dict[str, Any]]) -> None:
    """The bars of the first setting, the learning curve, and the error of the reward estimates."""
    data = run.logs.whole.name
    played = heading(rows[0].mode, rows[0].window, trained_windows([run]))
    bar_chart(out / "rows.png", rows, title=f"{data}{title}: mean summed reward a session ({played})")
    if not metrics:
        return
    watched, unit = [row for row in metrics if "R_tra" in row], run.logs.unit
    seen = [{**row, "estimate": unit.show(row["estimate"]), "penalty": unit.scale * row["penalty"]} for row in metrics]
    if watched:
        means, aware = {row.name: row.mean for row in rows if row.kind != "learned"}, ", exit-aware"
        # a twin that plays the same list would only draw the same line again
        lines = {n: mean for n, mean in means.items() if not n.endswith(aware) or mean != means[n.removesuffix(aware)]}
        learning_curve(out / "curve.png", seen, watched, lines, title=f"{data}: learning curve")
    else:
        judged = [row for row in metrics if "greedy_return" in row]
        title = f"{data}: {'what the policy earns greedily by the world model' if judged else 'learning curve'}"
        start = {"start": run.scores["start"]["shown"]} if judged else {}
        learning_curve(out / "curve.png", seen, judged, start, title=title, measure="greedy_return")
    if any("dynamic" in row for row in metrics):
        estimation_error(out / "estimation.png", [row for row in metrics if "dynamic" in row])
