"""Failure signatures of a run, found in its metrics after each epoch (docs/method.md, Failure signatures)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from darlr.options import DiagnosticsConfig

Signature = Literal["below-start", "short-sessions", "reward-hacking", "critic-diverging", "selector-critic-diverging"]
BELOW = 2  # the number of successive epochs that must earn less than the start
DEAD = 1e-3  # the largest explained variance of a critic whose output is constant up to rounding
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Sign:
    """A failure signature that a run shows, and a message with its numbers and the remedy."""

    signature: Signature
    message: str


def diagnose(rows: Rows, config: DiagnosticsConfig, reward_range: tuple[float, float]) -> list[Sign]:
    """The signatures that the rows of metrics.jsonl so far show; the newest row is the last."""
    return [
        *_below_start(rows),
        *_short_sessions(rows, config),
        *_reward_hacking(rows, config, reward_range),
        *_diverging(rows, config, "", "critic-diverging"),
        *_diverging(rows, config, "selector_", "selector-critic-diverging"),
    ]


def first_time(signs: Sequence[Sign], rows: Rows) -> list[Sign]:
    """The signs whose signature is in no warning of an earlier row."""
    known = {warning["signature"] for row in rows for warning in row.get("warnings", ())}
    return [sign for sign in signs if sign.signature not in known]


def _lasts(rows: Rows, patience: int, *conditions: tuple[str, float, bool]) -> bool:
    """Whether the newest `patience` rows, if there are so many, meet every condition (name, limit, above it)."""
    return len(rows) >= patience and all(
        row[name] > limit if above else row[name] < limit
        for row in rows[-patience:]
        for name, limit, above in conditions
    )


def _below_start(rows: Rows) -> Iterator[Sign]:
    if "greedy_gain" in rows[-1] and _lasts(rows, BELOW, ("greedy_gain", 0, False)):
        kept = "the start" if rows[-1]["kept"] == 0 else f"epoch {rows[-1]['kept']}"
        yield Sign(
            "below-start",
            f"by the world model, the policy has earned less than its start for {BELOW} epochs; the best so far is "
            f"{kept}, and the run hands over the best; lower recommender.a2c.learning-rate, or train less",
        )


def _short_sessions(rows: Rows, config: DiagnosticsConfig) -> Iterator[Sign]:
    now, best = rows[-1], max(rows, key=lambda row: row["turns"])
    if _lasts(rows, config.patience, ("turns", (1 - config.shortening) * best["turns"], False)):
        yield Sign(
            "short-sessions",
            f"sessions got shorter: {now['turns']:.1f} turns, {best['turns']:.1f} in epoch {best['epoch']}; "
            f"the penalty (mean {now['penalty']:.2f}) may be too strong: lower reward.lambda-u, or see the exit rule",
        )


def _reward_hacking(rows: Rows, config: DiagnosticsConfig, reward_range: tuple[float, float]) -> Iterator[Sign]:
    """Compare the dynamic reward with held-out events or, where there are none (split.refit), with r0."""
    now = rows[-1]
    if "selector_reward" not in now:
        return
    held_out = "held_out_dynamic" in now
    name = "held_out_dynamic" if held_out else "inflation"
    best = min(rows, key=lambda row: row[name])
    low, high = reward_range
    inflated = max(best[name], 0.0) + config.inflation * (high - low)
    limit, reward = best[name] * (1 + config.hacking) if held_out else inflated, best["selector_reward"]
    if _lasts(rows, config.patience, (name, limit, True), ("selector_reward", reward, True)):
        what = "the held-out error of the dynamic reward" if held_out else "the mean of r - r0 on shown items"
        yield Sign(
            "reward-hacking",
            f"the selector's reward rose from {reward:.2f} to {now['selector_reward']:.2f} since epoch {best['epoch']} "
            f"while {what} rose from {best[name]:.3f} to {now[name]:.3f}: its picks raise the reward "
            "but are not similar to the user; raise selector.lambda-s, or use selector.reward none or fewer epochs",
        )


def _diverging(rows: Rows, config: DiagnosticsConfig, prefix: str, signature: Signature) -> Iterator[Sign]:
    now, explained = rows[-1], f"{prefix}explained_variance"
    if explained not in now or now["steps"] < config.warm_up:
        return
    option = f"{'selector' if prefix else 'recommender'}.a2c.learning-rate"
    who = "the selector's critic" if prefix else "the critic"
    limits = ("value_error", config.growth, "squared error"), ("grad_norm", config.gradient_growth, "gradient norm")
    for column, growth, what in limits:
        least = min(row[prefix + column] for row in rows)
        if _lasts(rows, config.patience, (prefix + column, growth * least, True)):
            message = f"{who} diverges: its {what} is {now[prefix + column]:.3g}, {least:.3g} at its least"
            yield Sign(signature, f"{message}; lower {option}")
            return
    warm = [row for row in rows if row["steps"] >= config.warm_up]
    if _lasts(warm, config.patience, (explained, DEAD, False)):
        yield Sign(
            signature,
            f"{who} explains nothing: explained variance {now[explained]:.3f}, not above 0 for {config.patience} "
            f"epochs; lower {option}, or raise its value-coefficient",
        )
