"""What can be compared: the methods, ablations and weights of DARLR, and the methods on thinner logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from darlr.errors import ConfigError
from darlr.io.hints import perhaps
from darlr.methods import METHODS

Study = Literal["table", "ablations", "sensitivity", "sparsity"]
TRIVIAL = "trivial"


@dataclass(frozen=True)
class Variant:
    """One row before it has seeds.

    method: a method, a baseline, or "trivial" for all trivial rows. options: those that differ from the base, by name.
    group, value: the panel and the place on its axis, in studies that vary a number. tail: the end of the names of its
    rows, in the study of thinner logs. base: whether the study compares the other rows of its group with it.
    """

    label: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    value: float | None = None
    tail: str = ""
    base: bool = False

    @property
    def learned(self) -> bool:
        """Whether the row is trained in the simulator."""
        return self.method in METHODS

    @property
    def ending(self) -> str:
        """The `tail` as it stands in names."""
        return f", {self.tail}" if self.tail else ""


def chosen(methods: str) -> list[str]:
    """The names in a comma-separated list, in which all, learned, baselines and trivial stand for groups.

    Raises ConfigError with a hint for an unknown name.
    """
    from darlr.policies.registry import BASELINES  # slow to import, and needed only when rows are laid out

    groups = {"learned": list(METHODS), "baselines": list(BASELINES), TRIVIAL: [TRIVIAL]}
    groups["all"] = [name for group in groups.values() for name in group]
    names: list[str] = []
    for word in filter(None, (word.strip().lower() for word in methods.split(","))):
        if word not in groups and word not in groups["all"]:
            known = [*groups["all"], *groups]
            hint = perhaps(word, known, f"choose from {', '.join(known)}")
            raise ConfigError(f"option methods: no method is called {word}; {hint}")
        names += groups.get(word, [word])
    if not names:
        raise ConfigError("option methods: name at least one method")
    return list(dict.fromkeys(names))


def table(names: Sequence[str]) -> list[Variant]:
    """One row for each method."""
    return [Variant(_title(name), name) for name in names]


def _title(name: str) -> str:
    return METHODS[name].title if name in METHODS else name


ABLATIONS: dict[str, Mapping[str, Any]] = {
    "no selector (static reward)": {"selector.kind": "none"},
    "nearest neighbours in place of the selector": {"selector.kind": "nearest"},
    "random references": {"selector.kind": "random"},
    "no similarity": {"selector.lambda-s": 0.0},
    "no diversity": {"selector.lambda-d": 0.0},
    "static reward": {"reward.estimate": "static"},
    "static penalty": {"reward.penalty": "static"},
    "no penalty": {"reward.penalty": "none"},
    "no entropy term": {"reward.lambda-e": 0.0},
    "start table: frozen": {"reward.start": "frozen"},
    "refine in place": {"reward.refine": "in_place"},
    "selector reward: own": {"selector.reward": "own"},
    "selector reward: none": {"selector.reward": "none"},
    "user not in the state": {"recommender.user-in-state": False},
    "feedback not in the state": {"recommender.feedback-in-state": False},
    "neither user nor feedback in the state": {
        "recommender.user-in-state": False,
        "recommender.feedback-in-state": False,
    },
    "tracker: mean": {"recommender.tracker.kind": "mean"},
    "training repeats items": {"session.repeats": True},
}


def ablations() -> list[Variant]:
    """DARLR with one part changed at a time."""
    changed = [Variant(label, "darlr", options) for label, options in ABLATIONS.items()]
    return [Variant("DARLR", "darlr", base=True), *changed]


# The five weights of the paper: option -> symbol and range.
WEIGHTS: dict[str, tuple[str, tuple[float, ...]]] = {
    "selector.picks": ("K_sel", (10, 20, 30, 40)),
    "selector.lambda-s": ("lambda_s", (0.5, 1.0, 2.0, 5.0)),
    "selector.lambda-d": ("lambda_d", (0.01, 0.05, 0.1, 0.5)),
    "reward.lambda-u": ("lambda_U", (0.01, 0.05, 0.1, 0.5, 1.0)),
    "reward.lambda-e": ("lambda_E", (0.01, 0.05, 0.1, 0.5, 1.0)),
}


def sensitivity(defaults: Mapping[str, Any]) -> list[Variant]:
    """DARLR with one weight changed at a time over its range. defaults: the values of these options in the base."""
    rows = [Variant("DARLR", "darlr", base=True)]
    for name, (symbol, values) in WEIGHTS.items():
        usual = defaults[name]
        for value in sorted({*map(type(usual), values), usual}):
            options = {} if value == usual else {name: value}
            rows.append(Variant(f"{symbol} = {value:g}", "darlr", options, symbol, float(value)))
    return rows


KEPT = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
ISOLATED = 0.2  # share of users without events


def sparsity(names: Sequence[str]) -> list[Variant]:
    """Every method on shares of the log from 100% to 1%, and on a log without the events of some users."""
    logs: list[tuple[dict[str, float], str, float | None]] = [
        ({} if share == 1 else {"split.keep": share}, f"{share:.0%} of the log", share) for share in KEPT
    ]
    logs.append(({"split.isolated": ISOLATED}, f"{ISOLATED:.0%} of users without events", None))
    return [
        Variant(f"{_title(name)}, {tail}", name, options, _title(name), share, tail, base=share == 1)
        for name in names
        for options, tail, share in logs
    ]
