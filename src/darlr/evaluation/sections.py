"""The sections of a report besides its tables of sessions: held-out events, off-policy estimates, next items."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from darlr.evaluation.held_out import Interval, Sums, summary
from darlr.evaluation.next_items import FIRST, NDCG, Measured
from darlr.evaluation.numbers import style
from darlr.evaluation.off_policy import OffPolicy
from darlr.evaluation.report import Section, table_lines, with_interval
from darlr.io.text import markdown

HELD_OUT = (
    "Errors on events that the model was not fitted on, with 95% bootstrap intervals over users. pairs is the share of "
    "a user's pairs of events in the right order; 0.5 is chance. {verdict}"
)
GOOD = "The evaluation world model passes its test: it orders items within users better than chance and the {baseline}."
POOR = "The evaluation world model fails its test: {reasons}. Its order of policies that differ by user is noise."
OFF_POLICY = (
    "Estimates of the mean reward of an event if the policy had chosen the item, as the first one of a session, with "
    "95% bootstrap intervals over users. DM is the prediction of the run's world model, and is right only if the model "
    "is. SNIPS uses self-normalised inverse propensities. DR is doubly robust. Weights are not clipped. ESS is the "
    "effective sample size. rewarded is the ESS of the events that earned more than the log's least reward. support is "
    "the share of the policy's choices that the logging policy could have made; it is at most 1 if propensities are "
    "right. A greedy policy is measured by the events with its one item, a sampled one by its probabilities."
)
NEXT_ITEMS = (
    "These measures count what users did with the items that the logging policy showed. They favour a policy that "
    "shows the same items: one that the user would have liked but was never shown counts as a miss. They cover only "
    "the first ten items of a session. Use them to find a policy that is broken or far behind a simple row, not to "
    "choose between close rows. Measures at 10 are means over users with a relevant test item, which {relevant}, among "
    "all items that are new to the user's training log. coverage is the share of the catalogue in the lists of all "
    "test users.{first} Intervals are 95% bootstrap intervals over users."
)
FIRST_OWN = (
    " first own is the mean reward of the test item that the row ranks first among a user's own test items, over users "
    "whose test rewards differ. It compares only items that the user interacted with, so it depends least on exposure."
)


@dataclass(frozen=True)
class Known:
    """The `held_out_sums` of a model and of its baseline. trained: whether its fit improved on the random start."""

    model: str
    baseline: str
    events: int
    sums: Sums
    baseline_sums: Sums
    trained: bool = True


def failures(model: Known) -> list[str]:
    """List why sessions on this model cannot rank policies that differ by user; empty where it passes its test."""
    own = summary(model.sums).get("pairs")
    gain = summary(model.sums, model.baseline_sums).get("pairs")
    found = [] if model.trained else ["its fit did not improve on its random start"]
    if own is None or gain is None:
        return [*found, "no user has two held-out events to put in order"]
    if own.low <= 0.5:
        found.append("the interval of pairs does not lie above 0.5, which is chance")
    if gain.low <= 0:
        found.append(f"the interval of its gain in pairs over the {model.baseline} does not lie above 0")
    return found


def held_out_section(known: Sequence[Known], evaluation_model: str) -> Section:
    """Make the table of errors. evaluation_model: the name of the model that sessions are played on."""
    rows: list[tuple[str, int, dict[str, Interval]]] = []
    verdict = ""
    for one in known:
        measured = [summary(one.sums), summary(one.baseline_sums), summary(one.sums, one.baseline_sums)]
        labels = (one.model, f"{one.baseline}, on the same", "model less baseline, paired")
        rows += [(name, one.events, found) for name, found in zip(labels, measured, strict=True)]
        if one.model == evaluation_model:
            reasons = failures(one)
            verdict = (POOR if reasons else GOOD).format(reasons="; ".join(reasons), baseline=one.baseline)
    names = list(dict.fromkeys(name for *_, found in rows for name in found))
    forms = {name: style([found[name].value for *_, found in rows if name in found], least=3) for name in names}
    cells = [
        [label, f"{events:,}", *(text(found.get(name), forms[name]) for name in names)] for label, events, found in rows
    ]
    content = [
        {"name": label, "events": events, "metrics": {name: asdict(value) for name, value in found.items()}}
        for label, events, found in rows
    ]
    lines = table_lines(["model", "events", *(f"{name} [95%]" for name in names)], cells)
    return Section("Unseen events", (*lines, "", HELD_OUT.format(verdict=verdict).strip()), content)


def off_policy_section(found: Mapping[str, OffPolicy], logged: Interval) -> Section:
    """Make the table of off-policy estimates beside the log's own mean reward, with the reasons of refusals."""
    known = [value for one in found.values() for value in (one.dr, one.snips, one.dm) if value is not None]
    form = style([logged.value, *(value.value for value in known)], least=3)
    cells, refusals = [["the logging policy", text(logged, form), "–", "–", "–", "–", "–"]], []
    for name, one in found.items():
        if one.refused is not None:
            refusals.append(f"- {markdown(name)}: {'no DR and no DM' if one.exact else 'no estimate'}: {one.refused}.")
        share = one.support.value
        support = f"{share:.2f}" if share < 1000 else f"{share:.1e}"
        values = [text(value, form) for value in (one.dr, one.snips, one.dm)]
        cells.append([name, *values, f"{one.effective:.1f} of {one.events:,}", f"{one.rewarded:.1f}", support])
    lines = table_lines(["policy", "DR [95%]", "SNIPS [95%]", "DM [95%]", "ESS", "rewarded", "support"], cells)
    content = {"log": asdict(logged), **{name: asdict(one) for name, one in found.items()}}
    return Section("Off-policy, first step", (*lines, "", *refusals, *([""] if refusals else []), OFF_POLICY), content)


def next_items_section(rows: Sequence[Measured], tested: str, left_out: Sequence[str] = ()) -> Section:
    """Make the table of rows by falling nDCG, after sentences on them, on the test events, and on rows left out."""
    names = list(rows[0].measures)
    forms = {name: style([row.measures[name].value for row in rows], least=3) for name in names}
    cells = [
        [row.name, *(text(row.measures[name], forms[name]) for name in names), f"{row.coverage:.3f}"] for row in rows
    ]
    lines = table_lines(["row", *(f"{name} [95%]" for name in names), "coverage"], cells)
    graded = FIRST in names
    relevant = "has a reward above the training log's mean" if graded else "is any item of the user's test events"
    about = NEXT_ITEMS.format(relevant=relevant, first=FIRST_OWN * graded)
    first, *others = rows
    found = [f"The first row by {NDCG} is {first.name} with {text(first.measures[NDCG], forms[NDCG])}."]
    for row in others:
        if row.kind == "learned":
            sure = "is behind it by" if row.behind.low > 0 else "ties with it; it is behind by"
            found.append(f"{row.name} {sure} {text(row.behind, forms[NDCG])} (paired by user).")
    content = [
        {"name": row.name, "kind": row.kind, "coverage": row.coverage, "behind": asdict(row.behind)}
        | {"metrics": {name: asdict(value) for name, value in row.measures.items()}}
        for row in rows
    ]
    sentences = " ".join(map(markdown, [*found, tested, *left_out]))
    return Section("Next items", (sentences, "", *lines, "", about), content)


def text(value: Interval | None, form: str) -> str:
    """Write a value with its interval in the number format `form`."""
    return "–" if value is None else with_interval(value.value, (value.low, value.high), form)
