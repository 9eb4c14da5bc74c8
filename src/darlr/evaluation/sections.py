"""Parts of a report besides its tables of sessions: errors on unseen events, off-policy estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from darlr.evaluation.held_out import Interval, Sums, difference, summary
from darlr.evaluation.next_items import FIRST, NDCG, Measured
from darlr.evaluation.numbers import style
from darlr.evaluation.off_policy import OffPolicy
from darlr.evaluation.report import Section, table_lines
from darlr.io.text import markdown

HELD_OUT = (
    "Events that the model never saw, with 95% bootstrap intervals over users. pairs: share of a user's pairs in the "
    "right order, 0.5 = chance. {verdict}"
)
GOOD = "The evaluation world model orders items within users surely better than chance, and than the {baseline}."
POOR = "The evaluation world model fails its test: {reasons}. Its order of policies that differ by user is noise."
OFF_POLICY = (
    "Mean reward of an event, had the policy chosen its item as the first one of a session. DM: the prediction of the "
    "run's world model, right only if that is; SNIPS: self-normalised inverse propensities; DR: doubly robust. 95% "
    "bootstrap intervals over users, but where a line above says otherwise; weights are not clipped. ESS: effective "
    "sample size; rewarded: that of its events that earned more than the log's least reward; support: share of the "
    "policy's choices that the log's policy could have made, from 0 to 1 if propensities are right. A greedy policy is "
    "measured by the events that show its one item, a sampled one by its probabilities."
)
NEXT_ITEMS = (
    "These measures count what users did with the items that the old system showed them. They reward a policy that "
    "shows the same items, and an item that the user would have liked but was never shown counts as a miss. They look "
    "at the first ten items of a session, and say nothing of how a session goes on. Use them to find a policy that is "
    "broken or far behind a simple row, not to choose between rows that are close. Measures of ten items are means "
    "over users with a relevant test item, which {relevant}, among all items that are new to the user's training log. "
    "coverage is the share of the catalogue in the lists of all test users.{first} 95% bootstrap intervals over users."
)
FIRST_OWN = (
    " first own is the mean reward of the test item that the row ranks first among a user's own test items, of users "
    "whose test rewards differ. It compares only items that the user met, so exposure matters least there."
)


@dataclass(frozen=True)
class Known:
    """The measures of a model and its baseline on the same unseen events. sums: see `held_out_sums`.

    trained: whether its fit kept more than its random start.
    """

    model: str
    baseline: str
    events: int
    sums: Sums
    baseline_sums: Sums
    trained: bool = True


def failures(model: Known) -> list[str]:
    """Why sessions on this model cannot rank policies that differ by user; empty where it passes its test."""
    own = summary(model.sums).get("pairs")
    gain = difference(model.sums, model.baseline_sums).get("pairs")
    found = [] if model.trained else ["its fit ended where it began, untrained"]
    if own is None or gain is None:
        return [*found, "no user has two unseen events to put in order"]
    if own.low <= 0.5:
        found.append("it does not surely order items within users better than chance (pairs above 0.5)")
    if gain.low <= 0:
        found.append(f"it does not surely order items within users better than the {model.baseline}")
    return found


def held_out_section(known: Sequence[Known], evaluation_model: str) -> Section:
    """A table of errors. evaluation_model: the name of the model that sessions are played on."""
    rows: list[tuple[str, int, dict[str, Interval]]] = []
    verdict = ""
    for one in known:
        gain = difference(one.sums, one.baseline_sums)
        rows += [
            (one.model, one.events, summary(one.sums)),
            (f"{one.baseline}, on the same", one.events, summary(one.baseline_sums)),
            ("model less baseline, paired", one.events, gain),
        ]
        if one.model == evaluation_model:
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


def next_items_section(rows: Sequence[Measured], tested: str, left_out: Sequence[str] = ()) -> Section:
    """A table of what users did next, after a sentence on who is first and where the learned policies are.

    rows: by falling nDCG. tested: a sentence on the test events. left_out: sentences on rows that could not be made.
    """
    names = list(rows[0].measures)
    forms = {name: style([row.measures[name].value for row in rows], least=3) for name in names}
    cells = [
        [row.name, *(text(row.measures[name], forms[name]) for name in names), f"{row.coverage:.3f}"] for row in rows
    ]
    lines = table_lines(["row", *(f"{name} [95%]" for name in names), "coverage"], cells)
    graded = FIRST in names
    relevant = "has a reward above the training log's mean" if graded else "is any item that the user took"
    about = NEXT_ITEMS.format(relevant=relevant, first=FIRST_OWN * graded)
    found = " ".join(map(markdown, [*_standing(rows, forms[NDCG]), tested, *left_out]))
    content = [
        {"name": row.name, "kind": row.kind, "coverage": row.coverage, "behind": asdict(row.behind)}
        | {"metrics": {name: asdict(value) for name, value in row.measures.items()}}
        for row in rows
    ]
    return Section("Next items", (found, "", *lines, "", about), content)


def _standing(rows: Sequence[Measured], form: str) -> list[str]:
    """Who is first by nDCG, and how far behind the learned policies are."""
    first, *others = rows
    found = [f"First by {NDCG} is {first.name} with {text(first.measures[NDCG], form)}."]
    for row in others:
        if row.kind != "learned":
            continue
        sure = "is behind it by" if row.behind.low > 0 else "can't be told from it; it is behind by"
        found.append(f"{row.name} {sure} {text(row.behind, form)} (paired by user).")
    return found


def text(value: Interval, form: str) -> str:
    """A value with its interval."""
    return f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"
