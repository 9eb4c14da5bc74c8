"""What a search found: the options, how much better they are inside and outside of it, and a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darlr.evaluation.report import table_lines
from darlr.experiments.study.search import Found, Task, Trial
from darlr.experiments.study.trial import HELD_OUT, KEPT
from darlr.io.files import atomic_write_text, write_json
from darlr.methods import usual
from darlr.options.names import command_line, override

REPORT = "tuned.md", "tuned.json"
MEASURES = {"world": "the held-out error of the world model", "policy": "1 - nDCG@10 of the policy's first lists"}
ABOUT = (
    "The search read held-out events of the log alone, and no truth. A fold is a seed of the split, of the world model "
    "and of the agents. The loss is {measure}, a mean over folds; lower is better. The gain is the loss of the "
    "defaults less that of a trial on the same folds, with its standard error over folds."
)
OUTER = (
    "The best of many trials looks better than it is. In each outer split other events were set aside, the whole "
    "search was run again without them, and its choice was then measured on them. Optimism is the gain inside the "
    "search less the gain on the events that were set aside."
)


@dataclass(frozen=True)
class Gap:
    """The gains of one outer split's choice over the defaults, inside its search and on events set aside."""

    inside: float
    outside: float

    @property
    def optimism(self) -> float:
        """How much of the gain inside was luck."""
        return self.inside - self.outside


def gap(found: Found) -> Gap:
    """The gap of a search in an outer split."""
    return Gap(found.gain(found.best)[0], found.gain(found.best, KEPT)[0])


def command(task: Task, trial: Trial) -> str:
    """The `darlr train` command of a trial's options."""
    config = override(task.base, {**trial.options, "split.refit": True})
    return command_line(config, Path("RUN"), usual(config.train.method))


def content(task: Task, found: Found, gaps: Sequence[Gap]) -> dict[str, Any]:
    """Return a search as JSON values."""
    return {
        "objective": task.objective,
        "search": [str(one) for one in task.ranges],
        "sampler": task.sampler,
        "seed": task.seed,
        "folds": task.folds,
        "best": dict(found.best.options),
        "defaults": task.defaults,
        "gain": found.gain(found.best)[0],
        "command": command(task, found.best),
        "importance": dict(found.importance),
        "outer": [{"inside": one.inside, "outside": one.outside, "optimism": one.optimism} for one in gaps],
        "trials": [
            {
                "number": one.number,
                "options": dict(one.options),
                "losses": [loss[HELD_OUT] for loss in one.losses],
                "stopped": one.stopped,
                "failed": one.failed,
            }
            for one in found.trials
        ],
    }


def lines(task: Task, found: Found, gaps: Sequence[Gap]) -> list[str]:
    """Return a search as lines of Markdown."""
    best, folds = found.best, len(found.default.losses)
    stopped = sum(one.stopped for one in found.trials)
    failed = sum(bool(one.failed) for one in found.trials)
    runs = sum(len(one.losses) for one in found.trials)
    text = [f"# Search on {task.logs.whole.name}: {task.objective}", "", ABOUT.format(measure=MEASURES[task.objective])]
    text += ["", f"{len(found.trials)} trials ({task.sampler}, seed {task.seed}) on {folds} folds: {runs} cells"]
    text[-1] += f", {stopped} trials stopped early" + f", {failed} failed" * bool(failed) + "."
    text += [
        "",
        f"Best: trial {best.number}" + " (the defaults)" * (not best.options),
        "",
        f"    {command(task, best)}",
        "",
    ]
    complete = sorted((one for one in found.trials if one.complete), key=Trial.mean)
    shown = dict.fromkeys(one.number for one in [*complete[:10], found.default])
    rows = [_row(task, found, found.trials[number]) for number in shown]
    text += table_lines(("trial", "loss", "gain", *(one.name for one in task.ranges)), rows)
    if found.importance:
        shares = [[name, f"{share:.2f}"] for name, share in found.importance.items()]
        text += ["", "## Importance", "", *table_lines(("option", "share"), shares)]
    if gaps:
        text += ["", "## Outer splits", "", OUTER, ""]
        numbers = [
            [str(k), *(f"{v:.5f}" for v in (one.inside, one.outside, one.optimism))] for k, one in enumerate(gaps, 1)
        ]
        means = [float(np.mean([getattr(one, name) for one in gaps])) for name in ("inside", "outside", "optimism")]
        numbers.append(["mean", *(f"{value:.5f}" for value in means)])
        text += table_lines(("outer split", "gain inside", "gain outside", "optimism"), numbers)
    return text


def _row(task: Task, found: Found, trial: Trial) -> list[str]:
    value, error = found.gain(trial)
    values: Mapping[str, Any] = {**task.defaults, **trial.options}
    name = f"{trial.number} (defaults)" if not trial.options else str(trial.number)
    told = "–" if not trial.options else f"{value:.5f} ± {error:.5f}"
    return [
        name,
        f"{trial.mean():.5f}",
        told,
        *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in (values[one.name] for one in task.ranges)),
    ]


def write(task: Task, found: Found, gaps: Sequence[Gap], out: Path) -> list[str]:
    """Write the report into a folder, and return its lines."""
    text = lines(task, found, gaps)
    atomic_write_text(out / REPORT[0], "\n".join(text) + "\n")
    write_json(out / REPORT[1], content(task, found, gaps))
    return text
