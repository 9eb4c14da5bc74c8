"""Trained runs under the sound protocol, beside simple rows, and on events that training never saw."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import torch

from darlr.data.log import InteractionLog
from darlr.errors import RunError
from darlr.evaluation.evaluate import Row, all_alike, can_avoid, can_leave, published_mean, settings, sound
from darlr.evaluation.lists import Entry, Kind, left_out, trivial_rows
from darlr.evaluation.pictures.bars import bar_chart
from darlr.evaluation.pictures.curves import estimation_error, learning_curve
from darlr.evaluation.playing import Setting
from darlr.evaluation.report import heading
from darlr.evaluation.result import Evaluation
from darlr.evaluation.truth import Truth, load_truth
from darlr.evaluation.verdict import AWARE, START, Trust, comparisons, verdict
from darlr.experiments.finished import FinishedRun, open_run
from darlr.experiments.logs import Logs, hidden_of, new_part
from darlr.experiments.new_users import BAYES, bayes_rows, rows_for_new, served_to_new
from darlr.experiments.plan import title
from darlr.experiments.process import computing
from darlr.experiments.progress import PATIENCE, Meter
from darlr.experiments.unseen import Ground, evaluation_logs, find_ground, kept_by, next_items
from darlr.methods import find
from darlr.options import Users
from darlr.options.json import differences, to_json
from darlr.simulation.exits import for_new_users
from darlr.world.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = ("seed", "world", "threads", "device")  # what seeds of one row may differ in


def open_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Open runs, and read the logs that they share once."""
    opened: dict[Any, Logs] = {}
    return [open_run(folder, opened) for folder in folders]


def refuse_unlike(one: FinishedRun, other: FinishedRun) -> None:
    """RunError when two runs are on other data, in other sessions, or of one label but not seeds of one row."""
    if one.folder and other.folder and one.folder.resolve() == other.folder.resolve():
        raise RunError(f"{other.folder}: named twice; it would count as two seeds")
    if one.logs.checksum != other.logs.checksum:
        raise RunError(f"{other.name}: trained on other data than {one.name}; evaluate them apart")
    hides = [(run.config.split.hidden, run.config.split.fold) for run in (one, other)]
    if hides[0] != hides[1]:
        raise RunError(f"{other.name}: trained without other users than {one.name}; evaluate them apart")
    before, now = (run.config.train.session for run in (one, other))
    rules = ("exit", "threshold", "patience", "chance", "recovery", "gap", "turns")
    if any(getattr(before, name) != getattr(now, name) for name in rules):
        raise RunError(f"{other.name}: trained for other sessions than {one.name}; evaluate them apart")
    label = one.config.label
    if label != other.config.label:
        return
    changed = differences(to_json(one.config), to_json(other.config))
    options = [name for name in changed if name.split(".")[-1] not in SEEDS]
    if not (one.config.fits_world and other.config.fits_world):  # a given model has its own options
        fits = differences(to_json(one.fitted.config), to_json(other.fitted.config))
        own = (*SEEDS, "epochs") if one.logs.refit else SEEDS  # a refit's epochs are what the first fit chose
        options = [name for name in options if not name.startswith("world_model.")]
        options += [f"world_model.{name}" for name in fits if name not in own]
    equal = one.config.train.seed == other.config.train.seed
    unlike = options and label == title(one.config.train.method)  # a label of the user's own joins unlike runs
    if equal or unlike:
        what = f"differ in {', '.join(options)}" if unlike else f"have seed {one.config.train.seed}"
        rename = f"`darlr train --out {other.folder} --resume --label NAME`" if other.folder else "the option label"
        both = f"{one.name}, {other.name}: both are {label} but {what}, so they are no seeds of one row"
        raise RunError(f"{both}; train one with another seed, or name it with {rename}")


def learned_rows(runs: Sequence[FinishedRun], *, new: bool = False) -> list[Entry]:
    """Return each method's greedy and sampled policy, and the greedy one before training, one policy a seed.

    new: as they serve new users.
    """
    methods: dict[str, list[FinishedRun]] = defaultdict(list)
    for one in runs:
        methods[one.config.label].append(one)
    entries = []
    for name, group in methods.items():
        policies = [served_to_new(one, one.recommender) if new else one.policy for one in group]
        starts = [served_to_new(one, one.untrained) if new else one.start for one in group]
        truth = find(group[0].config.train.method).truth
        kind: Kind = "truth" if truth else "learned"
        entries += [Entry(name, policies, kind), Entry(name, policies, kind, greedy=False)]
        entries.append(Entry(name + START, starts, "truth" if truth else "log"))
    return entries


def serving(runs: Sequence[FinishedRun], exit_rule: str) -> Callable[[Row], str | None]:
    """Return how each row of these runs is served; None for those that `darlr export` refuses.

    Of several seeds the first run counts. A run in memory is first saved into a folder, called RUN.
    """
    homes = {one.config.label: one.folder for one in reversed(runs)}

    def serve(row: Row) -> str | None:
        if (
            row.sampled
            or row.name.removesuffix(AWARE) in BAYES.values()
            or (row.exit_aware and exit_rule != "category")
        ):
            return None
        folder = homes.get(row.name.removesuffix(START), runs[0].folder)
        if row.kind == "learned":
            ready = "the trained model" if folder is None else f"the run folder {quote(str(folder))}"
            return f"{ready} is ready for that."
        place = "RUN" if folder is None else quote(str(folder))
        saved = " (RUN is the folder that the model was saved into)" if folder is None else ""
        return f"darlr export {place} --row {quote(row.name)} --out FOLDER{saved}"

    return serve


def trained_windows(runs: Sequence[FinishedRun]) -> tuple[int, ...]:
    """Return the exit windows that runs were trained with; none where no user can leave."""
    sessions = [(one.config.train.session, one.logs.catalogue) for one in runs]
    return tuple(sorted({session.window for session, catalogue in sessions if can_leave(session, catalogue)}))


def evaluate(
    runs: Sequence[FinishedRun],
    *,
    truth: Truth | None = None,
    kept: InteractionLog | None = None,
    only: Literal["all", "learned"] = "all",
    without_truth: bool = False,
    out: Path | None = None,
    users: Users | None = None,
) -> Evaluation:
    """Evaluate runs on the same data; runs of one method are seeds of one row.

    truth: what sessions are played on, in scope codes; None = that of the data set, unless `kept` is given. kept:
    events that training never saw, in their own unit and with the ids of the runs' log; None = those that the runs
    kept (split.evaluation). Without a truth sessions are played on a world model of the kept events. only: "learned" =
    without simple rows. without_truth: as if no truth was known. out: a folder for that world model, which is used
    again; None = it is fitted in memory. users: whose rows; None = known users, and new ones where runs hid some.
    Raises RunError for runs that cannot share a table, and where there is neither a truth nor a kept event.
    """
    for one, other in combinations(runs, 2):
        refuse_unlike(one, other)
    first = runs[0]
    if users in ("new", "both"):
        hidden_of(first.logs)  # raises before the work
    if truth is None and kept is None and not without_truth:
        truth = load_truth(first.config.data, options=first.config.synthetic)
    unseen = kept_by(runs, needed=truth is None) if kept is None else evaluation_logs(kept, first.logs)
    session, catalogue = first.config.train.session, first.logs.catalogue
    users = users or ("known" if first.logs.hidden is None else "both")
    with computing(first.config.train.threads):
        entries = learned_rows(runs)
        ground = find_ground(runs, entries, truth, unseen, out)
        # rows that come from a world model have one policy for each world model in the runs
        worlds = list({_fingerprint(one.world.reward): one for one in runs}.values())
        sources = [one.logs.source(one.world, one.config.train.tables) for one in worlds]
        rule = {"exits": can_leave(session, catalogue), "avoid": can_avoid(session, catalogue)}
        missing = left_out(sources[0]) if only == "all" else None
        simple = partial(trivial_rows, sources, exits=rule["avoid"], reference=ground.name)
        played, rows = settings(session, catalogue), []
        entries += simple(ground.truth) if only == "all" else []
        play = partial(sound, log=first.logs.train_catalogue)
        if users != "new":
            beside = bayes_rows(runs, **rule) if users == "both" and only == "all" else []
            rows = play([*entries, *beside], shown(played), ground.truth)
        if users != "known":
            fresh, new = new_part(ground.whole, first.logs), learned_rows(runs, new=True)
            if only == "all":
                new += rows_for_new(simple(fresh), [one.world for one in worlds], first.logs)
                new += bayes_rows(runs, **rule, new=True)
            anonymous = [replace(one, rule=for_new_users(one.rule)) for one in played]
            rows += play(new, shown(anonymous), fresh, new=True)
        leading, *others = kinds = first_settings(rows)
        pairs = dict(comparisons(leading))
        sentences = verdict(leading, ground.trust, serving(runs, session.exit))
        for more in others:  # new users, after known ones
            pairs |= {f"new users: {name}": found for name, found in comparisons(more).items()}
            found = verdict(more, Trust(believable=ground.trust.believable), serving(runs, session.exit))
            sentences += [f"New users: {sentence}" for sentence in found]
        sections = list(ground.sections)
        if ground.kept is not None:
            sections += next_items(entries, first.logs, ground.kept, usual=only == "all")
        metrics = first.rows if len(runs) == 1 and not without_truth else []
        return Evaluation(
            table=rows,
            about=_about(runs, ground, played) | ({"left out": missing} if missing else {}),
            pairs=pairs,
            verdict=sentences,
            sections=sections,
            published=published_mean(metrics) if any("R_tra" in row for row in metrics) else None,
            trained=trained_windows(runs),
            plots=run_plots(first, kinds, metrics, ground.title),
        )


def first_settings(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of the first setting of each kind of users, known ones first."""
    kinds = dict.fromkeys(row.new for row in rows)
    found = [[row for row in rows if row.new == new] for new in kinds]
    return [[row for row in some if (row.mode, row.window) == (some[0].mode, some[0].window)] for some in found]


def _fingerprint(reward: Estimate) -> str:
    """Return what tells the estimates of one world model from those of another."""
    some = torch.arange(min(64, reward.shape[0]), device=reward.device)
    return str(reward.rows(some).sum(dtype=torch.float64).item())


def _about(runs: Sequence[FinishedRun], ground: Ground, wanted: Sequence[Setting]) -> dict[str, Any]:
    """Return the head of the report: the data, the runs, and warnings."""
    first = runs[0]
    unit, notes, hidden = first.logs.unit.describe(first.logs.recorded), ground.truth.notes, first.logs.hidden
    played, users = len(ground.truth.users), len(first.logs.scope.users)
    return {
        "data": first.config.data,
        **({"truth": notes[0]} if notes else {}),
        **({"users": f"{played:,} of {users:,}"} if played < users else {}),
        **(
            {} if (hidden := first.logs.hidden) is None else {"new users": f"{len(hidden.new):,}, hidden from training"}
        ),
        **({"unit": unit} if unit else {}),
        "exit": first.config.train.session.exit,
        "runs": [one.name for one in runs],
        "seeds": sorted({one.config.train.seed for one in runs}),
        "epochs": sorted({one.epochs for one in runs}),
        "policy of epoch": sorted({one.epoch for one in runs}),
        **ground.about,
        **{f"warning, {mode}": text for mode, text in all_alike(wanted, len(ground.truth.items)).items()},
    }


def shown(wanted: Sequence[Setting]) -> Iterator[Setting]:
    """Yield the settings one after the other, and show the progress where playing them takes long."""
    with Meter("evaluating") as meter:
        meter.begin("evaluating", "setting", after=PATIENCE)
        for done, setting in enumerate(wanted):
            meter.show(done, len(wanted), {})
            yield setting


def run_plots(
    run: FinishedRun, kinds: Sequence[Sequence[Row]], metrics: Sequence[dict[str, Any]], played_on: str = ""
) -> Mapping[str, Callable[[], "Figure"]]:
    """Return name -> what makes the picture: bars of the rows, the learning curve, the error of the estimated rewards.

    kinds: the rows of one setting, for each kind of users. metrics: the log lines of training; where there are none,
    only the bars are made. played_on: what sessions were played on, where it is no truth.
    """
    data, unit, rows = run.logs.whole.name, run.logs.unit, kinds[0]
    played = heading(rows[0].mode, rows[0].window, trained_windows([run]))
    where = f", {played_on}" if played_on else ""
    head = f"{data}{where}: mean summed reward a session ({played}"
    found = {
        "rows" if some is rows else "rows-new": partial(bar_chart, some, title=head + ", new users" * some[0].new + ")")
        for some in kinds
    }
    if not metrics:
        return found
    watched = [row for row in metrics if "R_tra" in row]
    seen = [{**row, "estimate": unit.show(row["estimate"]), "penalty": unit.scale * row["penalty"]} for row in metrics]
    if watched:
        means, aware = {row.name: row.mean for row in rows if row.kind != "learned"}, ", exit-aware"
        # a twin that plays the same list would only draw the same line again
        lines = {
            n: mean for n, mean in means.items() if not n.endswith(aware) or mean != means.get(n.removesuffix(aware))
        }
        curve = partial(learning_curve, seen, watched, lines, title=f"{data}: learning curve")
    else:
        measured = [row for row in metrics if "greedy_return" in row]
        title = f"{data}: {'what the policy earns greedily by the world model' if measured else 'learning curve'}"
        start = {"start": run.scores["start"]["shown"]} if measured else {}
        curve = partial(learning_curve, seen, measured, start, title=title, measure="greedy_return")
    estimated = [row for row in metrics if "dynamic" in row]
    error = {"estimation": partial(estimation_error, estimated)} if estimated else {}
    return {**found, "curve": curve, **error}
