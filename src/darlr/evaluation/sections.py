"""Parts of a report besides its tables of sessions: errors on unseen events, off-policy estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from darlr.evaluation.held_out import Interval, Sums, difference, summary
from darlr.evaluation.off_policy import OffPolicy
from darlr.evaluation.report import Section, table_lines

HELD_OUT = (
    "Events that the model never saw, with 95% bootstrap intervals over users. pairs: share of a user's pairs in the "
    "right order, 0.5 = chance. {verdict}"
)
GOOD = "The evaluation world model orders items within users better than the {baseline}."
POOR = (
    "The evaluation world model does not surely order items within users better than the {baseline}: what it says of "
    "policies that differ by user is noise."
)
OFF_POLICY = (
    "Mean reward of an event, had the policy chosen its item as the first one of a session. DM: what the run's world "
    "model expects, right only if that is; SNIPS: self-normalised inverse propensities; DR: doubly robust. 95% "
    "bootstrap intervals over users; weights are not clipped. ESS: effective sample size; support: share of the "
    "policy's choices that the log's policy could have made. A greedy policy is judged by the events that show its one "
    "item, a sampled one by its probabilities."
)


@dataclass(frozen=True)
class Known:
    """What a model and its baseline know of the same unseen events. sums: see `held_out_sums`."""

    model: str
    baseline: str
    events: int
    sums: Sums
    baseline_sums: Sums


def held_out_section(known: Sequence[Known], judge: str) -> Section:
    """A table of errors. judge: the model that sessions are played on, whose order the verdict is about."""
    rows: list[tuple[str, int, dict[str, Interval]]] = []
    verdict = ""
    for one in known:
        gain = difference(one.sums, one.baseline_sums)
        rows += [
            (one.model, one.events, summary(one.sums)),
            (f"{one.baseline}, on the same", one.events, summary(one.baseline_sums)),
            ("model less baseline, paired", one.events, gain),
        ]
        if one.model == judge:
            good = "pairs" in gain and gain["pairs"].low > 0
            verdict = (GOOD if good else POOR).format(baseline=one.baseline)
    names = list(dict.fromkeys(name for _, _, measured in rows for name in measured))
    cells = [
        [name, f"{events:,}", *(text(measured[metric], 3) if metric in measured else "–" for metric in names)]
        for name, events, measured in rows
    ]
    content = [
        {"name": name, "events": events, "metrics": {metric: asdict(value) for metric, value in measured.items()}}
        for name, events, measured in rows
    ]
    lines = table_lines(["model", "events", *(f"{name} [95%]" for name in names)], cells)
    return Section("Unseen events", (*lines, "", HELD_OUT.format(verdict=verdict).strip()), content)


def off_policy_section(found: Mapping[str, OffPolicy], logged: Interval) -> Section:
    """A table of estimates beside the log's own mean reward; refusals say why."""
    cells, refusals = [["the log's own policy", text(logged, 3), "–", "–", "–", "–"]], []
    for name, one in found.items():
        if one.refused is not None:
            refusals.append(f"- {name}: no estimate: {one.refused}.")
        values = ["–" if value is None else text(value, 3) for value in (one.dr, one.snips, one.dm)]
        cells.append([name, *values, f"{one.effective:.1f} of {one.events:,}", f"{one.support.value:.2f}"])
    lines = table_lines(["policy", "DR [95%]", "SNIPS [95%]", "DM [95%]", "ESS", "support"], cells)
    content = {"log": asdict(logged), **{name: asdict(one) for name, one in found.items()}}
    return Section("Off-policy, first step", (*lines, "", *refusals, *([""] if refusals else []), OFF_POLICY), content)


def text(value: Interval, digits: int) -> str:
    """A value with its interval."""
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
