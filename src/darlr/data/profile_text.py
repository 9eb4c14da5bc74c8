"""The findings of a profile: what the numbers of a log mean and what to do about them, as text and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from darlr.data.profile import Histogram, Leak, Profile, Spread
from darlr.options import SelectorConfig

FEW_EVENTS = 1_000  # fewer allow little more than means
FEW_A_USER, FEW_AN_ITEM = 5, 5  # median events: below this, predictions rest on other users and on features
SKEWED = 0.9  # Gini coefficient of the items' events
LONG_TAIL = 100.0  # largest absolute reward divided by the 99th percentile
LEAST_PROPENSITY = 1e-3  # below this, a single event can dominate an estimate
LARGE_TABLES = 2**31  # bytes of the reward and risk tables together
WIDTH = 40  # of the histogram's longest bar
Level = Literal["warning", "note"]


@dataclass(frozen=True)
class Finding:
    """What was found, what it means, and what to do. After a warning, results may be wrong or poor."""

    level: Level
    found: str
    means: str
    do: str

    def __str__(self) -> str:
        return f"{self.level}: {self.found}\n  means: {self.means}\n  do: {self.do}"


def findings(p: Profile, refused: str | None = None) -> tuple[Finding, ...]:
    """All findings, warnings first. refused: why training refuses the log, or None where it does not."""
    found = [*_of_sizes(p, refused), *_of_events(p), *map(_leak, p.leaks)]
    return tuple(sorted(found, key=lambda finding: finding.level != "warning"))


def to_json(p: Profile, refused: str | None = None) -> dict[str, Any]:
    """Numbers and findings for machines."""
    return {"profile": asdict(p), "findings": [asdict(finding) for finding in findings(p, refused)]}


def text(p: Profile, refused: str | None = None) -> str:
    """Numbers and findings for people."""
    lines = [
        f"{p.name}: {p.events:,} events, {p.active_users:,} of {p.users:,} users and {p.active_items:,} of {p.items:,} "
        "items have some",
        f"density {p.density:.3%} of the cells of users and items with events; {p.repeats:,} events repeat a cell",
        "below: least | quartiles | greatest",
        f"events a user   {_quartiles(p.events_per_user)}; {p.single_users:,} users with one; Gini {p.gini_users:.2f}",
        f"events an item  {_quartiles(p.events_per_item)}; {p.single_items:,} items with one; Gini {p.gini_items:.2f}; "
        f"the top 1% have {p.head:.0%} of the events",
        "times: none" if p.times is None else f"times: {p.times[0]} to {p.times[1]}, as logged",
        f"reward          {_quartiles(p.reward)}, mean {p.reward.mean:g}, {p.levels:,} different values",
        *_bars(p.histogram),
        "",
    ]
    listed = findings(p, refused)
    return "\n".join(lines + ([str(finding) for finding in listed] or ["nothing to act on"]))


def _of_sizes(p: Profile, refused: str | None) -> Iterator[Finding]:
    if refused is not None:
        what = "darlr train refuses this data with its default options"
        yield Finding("warning", what, refused, "solve this problem first")
    if p.events < FEW_EVENTS:
        means = "a world model learns little beyond means; intervals of any result will be wide"
        yield Finding("warning", f"fewer than {FEW_EVENTS:,} events", means, "use more of the log")
    if p.events_per_user.median < FEW_A_USER:
        what = f"half of the users have fewer than {FEW_A_USER} events (median {p.events_per_user.median:g})"
        means = "the world model mostly predicts what other users like; cold-start users get the same predictions"
        do = "use a longer period, add features of users, or expect little more than item means"
        yield Finding("warning", what, means, do)
    if p.events_per_item.median < FEW_AN_ITEM:
        what = f"half of the items have fewer than {FEW_AN_ITEM} events (median {p.events_per_item.median:g})"
        means = "the predicted reward of most items rests on their features, and its uncertainty is high"
        yield Finding("warning", what, means, "add features of items, or leave out items with hardly any events")
    picks = SelectorConfig().picks
    if p.users <= picks:
        means = f"the selector picks {picks} reference users of each user by default"
        yield Finding("warning", f"only {p.users} users", means, "pick fewer reference users (option selector.picks)")
    if 8 * p.cells > LARGE_TABLES:
        what = f"{p.cells:,} cells of users and items to recommend"
        means = f"the tables of reward and risk take {8 * p.cells / 2**30:,.1f} GiB; training needs several times that"
        yield Finding("warning", what, means, "sample users, or leave out items with hardly any events")


def _of_events(p: Profile) -> Iterator[Finding]:
    if p.levels == 1:
        means = (
            "the log is implicit: it holds what was chosen, not what was disliked; unlogged cells serve as negatives"
        )
        do = "log what was shown and not chosen, too, if you can; else train as it is (model.loss auto draws negatives)"
        yield Finding("note", f"all rewards are {p.reward.most:g}", means, do)
    elif p.tail > LONG_TAIL:
        what = f"the largest reward is {p.tail:,.0f} times the 99th percentile of absolute rewards"
        means = "means and squared errors follow a few events; rewards far outside are learned as the nearer bound"
        yield Finding("warning", what, means, "cut rewards, or take their logarithm, before preparing")
    if p.gini_items > SKEWED:
        what = f"events gather on few items (Gini {p.gini_items:.2f}; the top 1% have {p.head:.0%})"
        means = "a list of the most popular items is hard to beat, and rarely logged items are uncertain"
        yield Finding("note", what, means, "read every result beside the popularity row")
    if p.single_users > p.active_users / 2:
        what = f"{p.single_users:,} of {p.active_users:,} users have a single event"
        means = "none of their events can be held out, so they are trained on and never validated"
        yield Finding("warning", what, means, "leave them out, or use a longer period")
    if p.least_propensity is not None and p.least_propensity < LEAST_PROPENSITY:
        what = f"the least propensity is {p.least_propensity:g}"
        means = f"one event can weigh {1 / p.least_propensity:,.0f} times in an estimate by inverse propensity"
        yield Finding("warning", what, means, "clip propensities, and report it beside the estimate")
    if p.repeats:
        what = f"{p.repeats:,} events repeat a user and item; {p.conflicts:,} such cells have different rewards"
        means = "all are kept: a cell is predicted near the mean of its events (in an implicit log it counts once)"
        yield Finding("note", what, means, "if only the last one holds, keep that one before preparing")
    if p.times is None:
        means = "the log has no order: it can be split at random only, and sequences are those of the rows"
        yield Finding("note", "no times", means, "name the column of times, if there is one (option timestamp)")
    elif p.backwards:
        what = f"{p.backwards:,} events are earlier than the row before"
        means = "the rows are not in order of time; every stage that needs an order sorts by time"
        yield Finding("note", what, means, "nothing, unless you expected rows in order of time")
    if p.category is None:
        means = "no rule makes users leave a session, so that diversity is not rewarded"
        yield Finding("note", "no item category", means, "name one, if there is one (options items and category)")


def _leak(leak: Leak) -> Finding:
    share = f"{leak.strength:.4f}"
    if leak.kind in ("item", "user"):
        what = f"the reward depends on the {leak.kind} alone (share of its variance: {share})"
        other = "user" if leak.kind == "item" else "item"
        means = f"nothing about the {other} can be learned; often an average was joined to the events"
        return Finding("warning", what, means, "use the reward of the single event")
    if leak.kind == "feature":
        what = f"feature '{leak.name}' predicts the reward (share of its variance or correlation: {share})"
        means = "it is computed from the reward, or known only after it; results with it are too good to be true"
        return Finding("warning", what, means, f"drop column '{leak.name}' and prepare again")
    if leak.kind == "time":
        means = "the reward drifts with the clock, or the columns were exchanged"
        return Finding("warning", f"the reward follows time (correlation: {share})", means, "check both columns")
    what = f"{leak.name} ids rise or fall with first event or number of events (rank correlation: {share})"
    means = f"the id tells when a {leak.name} came, or how popular it is; harmless here: ids are never read as numbers"
    return Finding("note", what, means, "never add the id as a numeric feature")


def _quartiles(s: Spread) -> str:
    return f"{s.least:g} | {s.quarter:g} | {s.median:g} | {s.three_quarters:g} | {s.most:g}"


def _bars(histogram: Histogram) -> list[str]:
    most = max(histogram.counts)
    return [
        f"{edge:>14.5g}  {'#' * max(1, round(WIDTH * count / most)) if count else '':<{WIDTH}}  {count:,}"
        for edge, count in zip(histogram.edges, histogram.counts, strict=False)
    ]
