"""The rows of a report: what runs learned, the simple lists beside them, and how each of them is served."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from shlex import quote

from darlr.evaluation.evaluate import Row, can_leave
from darlr.evaluation.lists import Entry, Kind, trivial_rows
from darlr.evaluation.verdict import START
from darlr.experiments.finished import FinishedRun
from darlr.experiments.unseen import Ground
from darlr.methods import find


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
    return "truth" if find(run.config.train.method).truth else "learned"


def trivial(runs: Sequence[FinishedRun], ground: Ground, *, exits: bool) -> list[Entry]:
    """The trivial rows; those that come from a world model have one policy for each world model in the runs."""
    worlds = {str(one.world.reward.whole().sum().item()): one for one in runs}.values()
    sources = [one.logs.source(one.world, one.config.train.tables) for one in worlds]
    return trivial_rows(sources, ground.truth, exits=exits, reference=ground.name)


def serving(runs: Sequence[FinishedRun], exit_rule: str) -> Callable[[Row], str | None]:
    """How each row of these runs is served; None for those that `darlr export` refuses.

    Of several seeds the first run counts. A run in memory is first saved into a folder, called RUN.
    """
    homes = {label(one): one.folder for one in reversed(runs)}

    def serve(row: Row) -> str | None:
        if row.sampled or (row.exit_aware and exit_rule == "distance"):
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
    """The exit windows that runs were trained with; none where no user can leave."""
    return tuple(
        sorted(
            {one.config.train.session.window for one in runs if can_leave(one.config.train.session, one.logs.catalogue)}
        )
    )
