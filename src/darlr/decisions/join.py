"""Feedback joined to the decisions that it belongs to, and the data set that this makes.

The rules, whose counts are always reported:
- Feedback belongs to the decision with its request id, and to one item that the decision showed. Orphaned feedback,
  whose request or item is not in the log, is left out.
- Feedback counts if it comes within `within` hours of its decision. Late feedback is left out, and so is feedback that
  is dated more than a minute before its decision.
- A copy of the same feedback counts once. Where an item of a decision has several rewards, `repeated` chooses one.
- A request id that was used for several decisions counts once, for the first of them.
- An item that was shown and has no feedback has the reward `missing_reward`, or is left out where that is None.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl

from darlr.data.log import InteractionLog
from darlr.data.report import PrepareReport
from darlr.data.store import is_prepared, read_manifest, save
from darlr.data.tabular.read_table import read_log as read_table_log
from darlr.decisions.read import read_log
from darlr.decisions.records import Frames
from darlr.errors import ConfigError, DataError
from darlr.options import ColumnsConfig, FeedbackConfig

EARLY = timedelta(minutes=1)  # clocks of clients differ
PARTS = ("decisions.parquet", "candidates.parquet")  # of a prepared data set
KEY = ["request_id", "item"]
USER = pl.coalesce("user", pl.lit("new:") + pl.col("request_id"))  # a new user is one in each request
OBP = {"request_id": "slate_id", "time": "timestamp", "item": "action", "propensity": "pscore"}


@dataclass(frozen=True)
class Decided:
    """Decisions with their feedback.

    decisions: the columns of `Frames.decisions`, and `rewards`, a list by rank with null for none. candidates: the
    items of each hash. notes: sentences on what was joined and left out.
    """

    source: str
    decisions: pl.DataFrame
    candidates: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def sets(self) -> Mapping[str, list[str]]:
        """The items of each hash of candidates."""
        return dict(self.candidates.iter_rows())


def open_decisions(place: Path, rules: FeedbackConfig) -> Decided:
    """The decisions of a log, joined by the rules, or of a data set that `darlr data prepare decisions` wrote.

    Raises DataError where there are none, or they are damaged.
    """
    if is_prepared(place):
        notes = tuple(read_manifest(place)["report"].get("remarks", ()))
        if not (place / PARTS[0]).exists():
            raise DataError(f"{place}: a data set without decisions; name a log of decisions")
        try:
            found = [pl.read_parquet((place / name).absolute(), glob=False) for name in PARTS]
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{place}: damaged ({error}); prepare the data set again") from error
        return Decided(str(place), found[0], found[1], notes)
    return join(read_log(place), rules, str(place))


def join(frames: Frames, rules: FeedbackConfig, source: str = "log") -> Decided:
    """Join feedback to decisions. Raises DataError where there is no decision."""
    decisions = frames.decisions.unique("request_id", keep="first", maintain_order=True)
    if decisions.is_empty():
        raise DataError(f"{source}: there is no decision in the log")
    feedback = frames.rewards.unique(maintain_order=True)
    shown = decisions.filter(pl.col("items").list.len() > 0).select("request_id", decided="time", item="items")
    shown = shown.explode("item")
    known = feedback.join(decisions, on="request_id", how="semi")
    found = known.join(shown, on=KEY, how="inner").sort("time", maintain_order=True)
    delay = pl.col("time") - pl.col("decided")
    early, late = delay < -EARLY, delay > timedelta(hours=rules.within)
    kept = found.filter(~early & ~late)
    reward = pl.col("reward")
    chosen = {"last": reward.last(), "first": reward.first(), "highest": reward.max()}[rules.repeated]
    single = kept.group_by(KEY, maintain_order=True).agg(chosen)
    rows = shown.join(single, on=KEY, how="left", maintain_order="left")
    missing = rows["reward"].null_count()
    if rules.missing_reward is not None:
        rows = rows.with_columns(reward.fill_null(rules.missing_reward))
    lists = rows.group_by("request_id", maintain_order=True).agg(rewards="reward")
    joined = decisions.join(lists, on="request_id", how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("rewards").fill_null(pl.lit([], dtype=pl.List(pl.Float64))))
    newest = pl.concat([part["time"] for part in (decisions, feedback)]).max()
    young = decisions.filter(pl.col("time") > pl.lit(newest) - timedelta(hours=rules.within)).height
    counts = {
        "copies of other feedback": len(frames.rewards) - len(feedback),
        "orphaned, of requests that are not in the log": len(feedback) - len(known),
        "orphaned, of items that their decision did not show": len(known) - len(found),
        "dated before their decision": found.filter(early).height,
        f"late, more than {rules.within:g} hours after their decision": found.filter(late).height,
        f"repeated, where the {rules.repeated} reward counts": len(kept) - len(single),
    }
    left_out = [f"{count:,} {what}" for what, count in counts.items() if count]
    twice = len(frames.decisions) - len(decisions)
    filled = "are left out" if rules.missing_reward is None else f"have the reward {rules.missing_reward:g}"
    notes = [
        f"{len(decisions):,} decisions that showed {len(shown):,} items"
        + (f"; {twice:,} repeated a request id and were left out" if twice else ""),
        f"{len(frames.rewards):,} events of feedback, of which {len(single):,} count"
        + (f"; left out: {'; '.join(left_out)}" if left_out else ""),
        *([f"{missing:,} of {len(shown):,} shown items have no feedback and {filled}"] if missing else []),
        *(
            [f"{young:,} decisions are younger than {rules.within:g} hours, so feedback may still come"]
            if young
            else []
        ),
    ]
    return Decided(source, joined, frames.candidates, tuple(notes))


def flat(decided: Decided) -> pl.DataFrame:
    """A row for each shown item that has a reward: the events of a data set.

    user: the id, or "new:" and the request's id for a new user. rank: from 1. propensity: of the item at its rank,
    given the items at the ranks before. propensity_so_far: the product over the ranks up to this one.
    """
    lists = ["items", "propensities", "rewards", "rank", "propensity_so_far"]
    rows = decided.decisions.filter(pl.col("items").list.len() > 0).with_columns(
        user=USER,
        rank=pl.int_ranges(1, pl.col("items").list.len() + 1),
        propensity_so_far=pl.col("propensities").list.eval(pl.element().cum_prod()),
    )
    columns = ["request_id", "time", "user", *lists, "strategy", "epsilon", "arm", "run", "version"]
    rows = rows.select(columns).explode(lists).drop_nulls("rewards")
    return rows.rename({"items": "item", "propensities": "propensity", "rewards": "reward"})


def read_decisions(
    log: str | Path,
    *,
    within: float = FeedbackConfig.within,
    repeated: Literal["last", "first", "highest"] = FeedbackConfig.repeated,
    missing_reward: float | None = FeedbackConfig.missing_reward,
    columns: Literal["darlr", "obp"] = "darlr",
) -> pl.DataFrame:
    """The items that were shown and have a reward, one a row, with their propensities; see `flat`.

    log: the folder of a log of decisions, or of a data set that was prepared from one, whose rules are kept. within,
    repeated, missing_reward: see `FeedbackConfig`. columns: "obp" gives the names of Open Bandit Pipeline: slate_id,
    position (from 0), action, reward, pscore and pscore_cascade.

    The frame can be learned from: `darlr.read_events(frame, timestamp="time", propensity="propensity")`. Raises
    DataError where there is no log, and ConfigError for options that cannot be.
    """
    if columns not in ("darlr", "obp"):
        raise ConfigError(f"option columns: must be 'darlr' or 'obp', not {columns!r}")
    rows = flat(open_decisions(Path(log), FeedbackConfig(within, repeated, missing_reward)))
    return rows if columns == "darlr" else as_obp(rows)


def as_obp(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `flat` under the names of Open Bandit Pipeline (Saito et al., NeurIPS 2021, Datasets and Benchmarks).

    pscore: of the action at its position, given the earlier ones. pscore_cascade: the product up to the position, as
    the slate estimators of the library read it.
    """
    named = rows.with_columns(position=pl.col("rank") - 1, pscore_cascade="propensity_so_far").rename(OBP)
    return named.select("slate_id", "timestamp", "user", "action", "position", "reward", "pscore", "pscore_cascade")


def prepare(
    source: Path,
    out: Path,
    rules: FeedbackConfig,
    columns: ColumnsConfig,
    users: Any = None,
    items: Any = None,
    *,
    obp: bool = False,
) -> PrepareReport:
    """Write the data set of a log of decisions, with propensities, and the joined decisions beside it.

    columns: `category`, `reward_range` and `name` count. users, items: their features, see `darlr.read_events`. obp:
    whether to write `obp.parquet` too. Raises DataError and ConfigError; nothing is written then.
    """
    decided = join(read_log(source), rules, str(source))
    log, report = dataset(decided, rules, columns, users, items)

    def finish(draft: Path) -> None:
        for name, frame in zip(PARTS, (decided.decisions, decided.candidates), strict=True):
            frame.write_parquet(draft / name)
        if obp:
            as_obp(flat(decided)).write_parquet(draft / "obp.parquet")

    save(log, out, report, finish)
    return report


def dataset(
    decided: Decided, rules: FeedbackConfig, columns: ColumnsConfig, users: Any = None, items: Any = None
) -> tuple[InteractionLog, PrepareReport]:
    """The log of the shown items that have a reward, and the report of what was left out; see `prepare`."""
    rows = flat(decided)
    if rows.is_empty():
        raise DataError(
            f"{decided.source}: no item that was shown has feedback; send it to /v1/feedback or "
            "DecisionLog.feedback, or say what no feedback means (option missing-reward)"
        )
    drawn = random_decisions(decided.decisions)
    greedy = len(decided.decisions) - len(drawn)
    notes = []
    if not len(drawn):
        notes.append(
            "all decisions were greedy, so the data set has no propensities: it says nothing of other policies"
        )
    elif greedy:
        notes.append(f"{greedy:,} of {len(decided.decisions):,} decisions were greedy; their propensities are 1")
    if rules.missing_reward is None and rows["reward"].n_unique() == 1:
        notes.append(
            f"every reward is {rows['reward'][0]:g}; if no feedback is a reward of 0, say so (option missing-reward)"
        )
    own = ColumnsConfig(
        timestamp="time",
        propensity="propensity" if len(drawn) else None,
        category=columns.category,
        reward_range=columns.reward_range,
        name=columns.name or Path(decided.source).name,
    )
    try:
        log, report = read_table_log(rows.with_columns(pl.col("time").dt.epoch("us")), own, users, items)
    except DataError as error:  # the reader knows no more than that it was given a frame
        raise DataError(re.sub(r"^frame\b(?! of)", lambda _: decided.source, str(error))) from error
    return log, PrepareReport(
        decided.source,
        report.rows_read,
        report.rows_kept,
        report.dropped,
        (*notes, *report.notes),
        (*decided.notes, *report.remarks),
    )


def random_decisions(decisions: pl.DataFrame) -> pl.DataFrame:
    """The decisions in which something was drawn, so that other items could have been shown."""
    explores = (pl.col("strategy") == "explore") & (pl.col("epsilon") > 0)
    return decisions.filter((pl.col("strategy") == "sample") | explores)
