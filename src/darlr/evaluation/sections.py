"""Parts of a report besides its tables of sessions: errors on unseen events, off-policy estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from darlr.evaluation.held_out import Interval, Sums, difference, summary
from darlr.evaluation.numbers import style
from darlr.evaluation.off_policy import OffPolicy
from darlr.evaluation.report import Section, table_lines
from darlr.io.text import markdown

HELD_OUT = (
    "Events that the model never saw, with 95% bootstrap intervals over users. pairs: share of a user's pairs in the "
    "right order, 0.5 = chance. {verdict}"
)
GOOD = "The evaluation world model orders items within users surely better than chance, and than the {baseline}."
POOR = "The evaluation world model fails its test: {reasons}. What it says of policies that differ by user is noise."
OFF_POLICY = (
    "Mean reward of an event, had the policy chosen its item as the first one of a session. DM: what the run's world "
    "model expects, right only if that is; SNIPS: self-normalised inverse propensities; DR: doubly robust. 95% "
    "bootstrap intervals over users, but where a line above says otherwise; weights are not clipped. ESS: effective "
    "sample size; rewarded: that of its events that earned more than the log's least reward; support: share of the "
    "policy's choices that the log's policy could have made, from 0 to 1 if propensities are right. A greedy policy is "
    "judged by the events that show its one item, a sampled one by its probabilities."
)


@dataclass(frozen=True)
class Known:
    """What a model and its baseline know of the same unseen events. sums: see `held_out_sums`.

    trained: whether its fit kept more than its random start.
    """

    model: str
    baseline: str
    events: int
    sums: Sums
    baseline_sums: Sums
    trained: bool = True


def failures(judge: Known) -> list[str]:
    """Why sessions played on a model say nothing of policies that differ by user; empty where it passes its test."""
    own = summary(judge.sums).get("pairs")
    gain = difference(judge.sums, judge.baseline_sums).get("pairs")
    found = [] if judge.trained else ["its fit ended where it began, untrained"]
    if own is None or gain is None:
        return [*found, "no user has two unseen events to put in order"]
    if own.low <= 0.5:
        found.append("it does not surely order items within users better than chance (pairs above 0.5)")
    if gain.low <= 0:
        found.append(f"it does not surely order items within users better than the {judge.baseline}")
    return found


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
            reasons = failures(one)
            verdict = (POOR if reasons else GOOD).format(reasons="; ".join(reasons), baseline=one.baseline)
    names = list(dict.fromkeys(name for _, _, measured in rows for name in measured))
    forms = {
        metric: style([measured[metric].value for *_, measured in rows if metric in measured], least=3)
        for metric in names
    }
    cells = [
        [
            name,
            f"{events:,}",
            *(text(measured[metric], forms[metric]) if metric in measured else "–" for metric in names),
        ]
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
    known = [value for one in found.values() for value in (one.dr, one.snips, one.dm) if value is not None]
    form = style([logged.value, *(value.value for value in known)], least=3)
    cells, refusals = [["the log's own policy", text(logged, form), "–", "–", "–", "–", "–"]], []
    for name, one in found.items():
        if one.refused is not None:
            refusals.append(f"- {markdown(name)}: {'no DR and no DM' if one.exact else 'no estimate'}: {one.refused}.")
        values = ["–" if value is None else text(value, form) for value in (one.dr, one.snips, one.dm)]
        share = one.support.value
        support = f"{share:.2f}" if share < 1000 else f"{share:.1e}"
        cells.append([name, *values, f"{one.effective:.1f} of {one.events:,}", f"{one.rewarded:.1f}", support])
    lines = table_lines(["policy", "DR [95%]", "SNIPS [95%]", "DM [95%]", "ESS", "rewarded", "support"], cells)
    content = {"log": asdict(logged), **{name: asdict(one) for name, one in found.items()}}
    return Section("Off-policy, first step", (*lines, "", *refusals, *([""] if refusals else []), OFF_POLICY), content)


def text(value: Interval, form: str) -> str:
    """A value with its interval."""
    return f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"
