"""Off-policy estimates on the Open Bandit data (Saito et al. 2021), where two policies were logged side by side.

    python benchmarks/open_bandit.py --folder obd

`obd` is the folder of that name in the data set, or in the source archive of the Python package `obp`, which carries a
sample of 10,000 events a log: obd/{random,bts}/{all,men,women}/<campaign>.csv. Each policy is estimated from the other
one's log and compared with its own mean click rate.

The target's probabilities are the shares of items at each position in the target's own log (for the uniform policy they
are known); its clicks are not looked at. BTS learned during the week, so its shares are those of the week as a whole.
There are no user ids: intervals are over profiles, the distinct values of the four user features.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.errors import DataError
from darlr.evaluation.held_out import Interval
from darlr.evaluation.off_policy import Bandit, OffPolicy, mean_reward, off_policy
from darlr.evaluation.sections import text

CAMPAIGNS = ("all", "men", "women")
PROFILE = tuple(f"user_feature_{place}" for place in range(4))
COLUMNS = ("item_id", "position", "click", "propensity_score", *PROFILE)
MEANT = {
    "item_id": "a code of at least 0",
    "position": "a place of at least 0",
    "click": "a number",
    "propensity_score": "a probability above 0 and at most 1",
}
STRENGTH = 100.0  # events with the overall click rate that an item's rate is shrunk by

Reals = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """Events of one policy in one campaign: [L] each; user: codes of profiles; item and position from 0."""

    user: Codes
    item: Codes
    position: Codes
    click: Reals
    propensity: Reals


def read_log(folder: Path, behaviour: str, campaign: str) -> Log:
    """One CSV file; raises DataError where it is missing or not in the layout."""
    path = folder / behaviour / campaign / f"{campaign}.csv"
    if not path.is_file():
        raise DataError(f"{path}: file not found; --folder must name obd/, which holds random/ and bts/")
    frame = pl.read_csv(path)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(f"{path}: no column '{missing[0]}'; columns: {', '.join(frame.columns[:8])}, ...")
    events = frame.select(COLUMNS)
    if events.is_empty() or events.null_count().to_numpy().any():
        raise DataError(f"{path}: no events, or an empty cell in the columns {', '.join(COLUMNS)}")
    numbers = events.select(pl.col(COLUMNS[:4]).cast(pl.Float64, strict=False)).to_numpy()
    for name, values, wrong in (
        ("item_id", numbers[:, 0], numbers[:, 0] < 0),
        ("position", numbers[:, 1], numbers[:, 1] < 0),
        ("click", numbers[:, 2], np.zeros(len(numbers), dtype=bool)),
        ("propensity_score", numbers[:, 3], (numbers[:, 3] <= 0) | (numbers[:, 3] > 1)),
    ):
        bad = np.flatnonzero(wrong | np.isnan(values))
        if len(bad):
            value = events[name][int(bad[0])]
            raise DataError(f"{path}, row {bad[0] + 2}, column '{name}': {value!r} is not {MEANT[name]}")
    item, position = numbers[:, 0].astype(np.int64), numbers[:, 1].astype(np.int64)
    return Log(_profiles(events), item, position - position.min(), numbers[:, 2], numbers[:, 3])


def _profiles(events: pl.DataFrame) -> Codes:
    """A code for each distinct combination of user features, int64 [L]."""
    joined = events.select(pl.concat_str(pl.col(PROFILE).cast(pl.String), separator="|")).to_series().to_numpy()
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)


def shares(log: Log, n_positions: int, n_items: int) -> Reals:
    """How often each item was shown at each position, [positions, items], rows that sum to 1."""
    count = np.zeros((n_positions, n_items))
    np.add.at(count, (log.position, log.item), 1.0)
    return count / count.sum(1, keepdims=True).clip(min=1)


def click_rates(log: Log, n_items: int, rows: NDArray[np.bool_]) -> Reals:
    """Shrunk click rate of each item by the chosen events, [items]."""
    count = np.bincount(log.item[rows], minlength=n_items)
    clicks = np.bincount(log.item[rows], log.click[rows], n_items)
    return np.asarray((clicks + STRENGTH * log.click[rows].mean()) / (count + STRENGTH))


def bandit(log: Log, target: Reals, seed: int) -> Bandit:
    """The log's events for a policy of probabilities `target` [positions, items].

    Click rates are fitted on one half of the profiles and used on the other.
    """
    half = np.random.default_rng(seed).permutation(log.user.max() + 1)[log.user] % 2
    rates = np.stack([click_rates(log, target.shape[1], half != side) for side in (0, 1)])
    return Bandit(
        user=log.user,
        reward=log.click,
        propensity=log.propensity,
        target=target[log.position, log.item],
        predicted=rates[half, log.item],
        expected=(rates @ target.T)[half, log.position],
    )


@dataclass(frozen=True)
class Check:
    """A policy's click rate as estimated from the other policy's log, and as its own log has it."""

    campaign: str
    policy: str
    estimate: OffPolicy
    actual: Interval


def checks(folder: Path, *, clip: float | None, seed: int = 0, resamples: int = 2000) -> list[Check]:
    """Both policies in every campaign that the folder holds; raises DataError where it holds none."""
    campaigns = [name for name in CAMPAIGNS if (folder / "random" / name).is_dir()]
    if not campaigns:
        raise DataError(f"{folder}: no campaign in random/; --folder must name obd/, which holds random/ and bts/")
    found = []
    for campaign in campaigns:
        logs = {name: read_log(folder, name, campaign) for name in ("random", "bts")}
        n_items = 1 + max(int(log.item.max()) for log in logs.values())
        n_positions = 1 + max(int(log.position.max()) for log in logs.values())
        even = np.full((n_positions, n_items), 1 / n_items)
        for policy, by, target in (
            ("bts", "random", shares(logs["bts"], n_positions, n_items)),
            ("random", "bts", even),
        ):
            estimate = off_policy(bandit(logs[by], target, seed), clip=clip, seed=seed, resamples=resamples)
            own = logs[policy]
            actual = mean_reward(own.user, own.click, seed=seed, resamples=resamples)
            found.append(Check(campaign, policy, estimate, actual))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print a table; click rates in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="obd/, which holds random/ and bts/")
    parser.add_argument("--clip", type=float, default=None, help="cut weights to this (default: never)")
    options = parser.parse_args(arguments)
    try:
        found = checks(options.folder, clip=options.clip)
    except DataError as error:
        print(f"open_bandit: {error}", file=sys.stderr)
        return 1
    print("| campaign | policy | its own log | DR | SNIPS | DM | ESS | support | largest weight |")
    print("|---|---|" + "---:|" * 7)
    for check in found:
        one = check.estimate
        values = ["–" if value is None else percent(value) for value in (one.dr, one.snips, one.dm)]
        numbers = [f"{one.effective:.0f} of {one.events:,}", f"{one.support.value:.2f}", f"{one.largest:.1f}"]
        print("| " + " | ".join([check.campaign, check.policy, percent(check.actual), *values, *numbers]) + " |")
    for check in found:
        if check.estimate.refused:
            print(f"\n{check.campaign}, {check.policy}: no estimate: {check.estimate.refused}.")
    return 0


def percent(value: Interval) -> str:
    """A click rate with its interval, in percent."""
    return text(Interval(100 * value.value, 100 * value.low, 100 * value.high), 2)


if __name__ == "__main__":
    sys.exit(main())
