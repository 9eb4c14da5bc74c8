"""The two protocols (docs/results.md): `published` for comparison with papers, `sound` for conclusions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.evaluation.lists import Entry, Kind
from darlr.evaluation.playing import Job, Metrics, Played, Setting, majority_items, metrics, play_jobs
from darlr.evaluation.protocol import play
from darlr.evaluation.statistics import interval, iqm, random_interval, random_reward, resampled, shared_samples
from darlr.evaluation.truth import Truth
from darlr.options import Mode, SessionConfig
from darlr.simulation.exits import Exit, build_exit, never, resolve
from darlr.simulation.felt import FeltRule
from darlr.simulation.policy import Policy

PUBLISHED_USERS = 100


@dataclass(frozen=True)
class Row:
    """One row of a table: one entry under one setting.

    mean, iqm: mean and interquartile mean of R_tra over seeds and users, with 95% intervals. length, each (R_each, a
    ratio of means), coverage (CV), majority (MCD): means over seeds. random: R_random, where there is random feedback.
    new: whether the users are new, hidden from training, and not those of the log.
    returns: float64 [seeds, users]. tallies: float64 [seeds, users, 3], of random feedback.
    """

    name: str
    kind: Kind
    sampled: bool
    exit_aware: bool
    mode: Mode
    window: int | None
    mean: float
    interval: tuple[float, float]
    iqm: float
    iqm_interval: tuple[float, float]
    length: float
    each: float
    coverage: float
    majority: float | None
    seeds: int
    users: int
    random: float | None
    random_interval: tuple[float, float] | None
    returns: NDArray[np.float64] = field(repr=False, compare=False)
    tallies: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    new: bool = False


def can_leave(config: SessionConfig, log: InteractionLog) -> bool:
    """Whether the exit rule of `config` can end a session on this data set."""
    return build_exit(config, log) is not never


def can_avoid(config: SessionConfig, log: InteractionLog) -> bool:
    """Whether items alone end sessions, so that exit-aware rows differ from the others. Felt exits are by reward."""
    return can_leave(config, log) and not isinstance(build_exit(config, log), FeltRule)


def settings(
    config: SessionConfig, log: InteractionLog, windows: Sequence[int] = (1, 4), device: str = "cpu"
) -> list[Setting]:
    """List the settings of the sound protocol: NX_0 and FB for each N, once where no exit can happen, and NX_10."""
    resolved = resolve(config, log)
    rules: dict[int | None, Exit] = {None: never}
    if can_leave(config, log):
        built = (build_exit(replace(resolved, window=window), log, device) for window in windows)
        rules = {rule.window: rule for rule in built}  # what users felt has no window
    modes: tuple[Mode, ...] = ("NX_0", "FB")
    found = [Setting(mode, window, rule, resolved.turns) for mode in modes for window, rule in rules.items()]
    return [*found, Setting("NX_10", None, never, 10)]


def all_alike(settings: Iterable[Setting], items: int) -> dict[str, str]:
    """Warn of modes whose sessions show every item, as mode -> message. items: how many can be recommended."""
    return {
        setting.mode: f"a session of {setting.turns} turns shows the whole catalogue of {items} items, so all rows are "
        "equal; use shorter sessions (option session.turns) or a larger catalogue"
        for setting in settings
        if setting.mode != "FB" and setting.window is None and setting.turns >= items
    }


def published_setting(config: SessionConfig, log: InteractionLog, device: str = "cpu") -> Setting:
    """Return the published setting: NX_0 with N = 1, M = 0, T = 30, and the exit rule of the data set."""
    resolved = replace(resolve(config, log), window=1, turns=30)
    resolved = resolved if resolved.exit == "felt" else replace(resolved, threshold=0.0)
    rule = build_exit(resolved, log, device)
    return Setting("NX_0", None if rule is never else rule.window, rule, 30)


def published(
    policy: Policy, truth: Truth, setting: Setting, n_items: int, *, generator: torch.Generator, majority: Tensor | None
) -> Metrics:
    """Measure sampled actions on 100 test users, drawn with replacement as in the environments of earlier work."""
    known = torch.as_tensor(truth.users)
    played = play(
        policy,
        truth,
        n_items,
        setting.rule,
        mode=setting.mode,
        turns=setting.turns,
        greedy=False,
        generators=[generator],
        users=known[torch.randint(len(known), (PUBLISHED_USERS,), generator=generator)],
    )
    return metrics(played, len(truth.items), majority)


def published_mean(epochs: Iterable[Mapping[str, float | None]]) -> dict[str, float | int | None]:
    """Return the mean and standard deviation of every metric over the epochs of one run, not over seeds."""
    rows = list(epochs)
    summary: dict[str, float | int | None] = {"epochs": len(rows)}
    for name in Metrics.__annotations__:
        found = [value for row in rows if (value := row.get(name)) is not None]
        summary[name] = float(np.mean(found)) if found else None
        summary[f"{name}_std"] = float(np.std(found)) if found else None
    return summary


def sound(
    entries: Sequence[Entry],
    settings: Iterable[Setting],
    truth: Truth,
    log: InteractionLog,
    *,
    seed: int = 0,
    new: bool = False,
) -> list[Row]:
    """Evaluate every entry under every setting, on every user of the truth.

    log: the training log, which gives the catalogue and the majority categories. new: whether the users of the truth
    are new. Exit-aware entries are evaluated only where exits can happen. Each row has its own random generators, so it
    does not depend on the other rows.
    """
    majority = majority_items(log)
    rows = []
    for setting in settings:
        wanted = [entry for entry in entries if not (entry.exit_aware and setting.window is None)]
        jobs = [Job(one, e.greedy, e.exit_aware, run) for e in wanted for run, one in enumerate(e.policies)]
        played = iter(play_jobs(jobs, setting, truth, log, majority=majority, seed=seed))
        rows += [summarise(one, setting, [next(played) for _ in one.policies], seed=seed, new=new) for one in wanted]
    return rows


def summarise(entry: Entry, setting: Setting, played: Sequence[Played], *, seed: int = 0, new: bool = False) -> Row:
    """Make the row of an entry from the sessions of its seeds; `entry.policies` and `setting.rule` are not read."""
    returns = np.stack([one.returns for one in played])
    measured = [one.metrics for one in played]
    length = float(np.mean([m["Length"] for m in measured]))
    shares = [m["MCD"] for m in measured if m["MCD"] is not None]
    samples = shared_samples(returns.shape, seed)
    known = [one.tallies for one in played if one.tallies is not None]
    tallies = np.stack(known) if known else None
    random = None if tallies is None else random_reward(tallies)
    return Row(
        name=entry.name,
        kind=entry.kind,
        sampled=not entry.greedy,
        exit_aware=entry.exit_aware,
        mode=setting.mode,
        window=setting.window,
        mean=float(returns.mean()),
        interval=interval(resampled(returns, samples)),
        iqm=iqm(returns),
        iqm_interval=interval(resampled(returns, samples, "iqm")),
        length=length,
        each=float(returns.mean()) / length if length else 0.0,
        coverage=float(np.mean([m["CV"] for m in measured])),
        majority=float(np.mean(shares)) if shares else None,
        seeds=returns.shape[0],
        users=returns.shape[1],
        random=random,
        random_interval=None if tallies is None or random is None else random_interval(tallies, samples),
        returns=returns,
        tallies=tallies,
        new=new,
    )
