"""A world model of logs of positives alone: EASE and implicit ALS, averaged and calibrated to a probability.

Both score a user by the events of the user alone, in closed form, and an old event may count less than a new one. What
the log decides is decided on one event of each user that the models were not fitted to, the last one where there are
times: the penalty of EASE, how fast events lose weight, and the weight of ALS (by nDCG@10), and the calibration (by log
loss). The model is not in the paper; docs/world-model.md gives the reasons for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.implicit import item_weights
from darlr.world.models.als import factorise, folded
from darlr.world.models.ease import Gram
from darlr.world.models.given import GivenFactors
from darlr.world.models.histories import OLDEST, Rows, ages, history, last_events, rows_of, sparse
from darlr.world.vectors import principal

SIZE, SWEEPS, MORE = 64, 8, 2  # factors, sweeps of ALS, and sweeps of a further member on a bootstrap sample of users
PENALTIES = (4.0, 20.0)  # candidates for the penalty of EASE, in mean numbers of events of an item
DECAYS = (1.0, 0.8, 0.6, 0.4)  # candidates for the weight of an event, relative to that of the next one
BLENDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # candidates for the weight of ALS beside EASE of weight 1
VALIDATED, CELLS = 4096, 1 << 26  # the most users who give an event for choices, and the most scores of theirs
K = 10  # the cut-off of nDCG
RIVALS = 99  # random items without an event, for each event of the calibration
LEAST = 1e-3  # the smallest probability in a variance, and the least slope of a calibration
STEPS, RIDGE = 25, 1.0  # steps of Newton's method, and the penalty on a slope
NAMES = ("start", "column", "weight")  # the parts of `Rows`


@dataclass(frozen=True)
class Choice:
    """What the log decides. penalty: of EASE. decay: of EASE and of ALS. blend: the weight of ALS.

    slope, offset: of log odds, by the inverse hyperbolic sine of the score. ndcg: of the chosen model on the events
    that decided.
    """

    penalty: float = PENALTIES[0]
    decay: tuple[float, float] = (1.0, 1.0)
    blend: float = 0.5
    slope: float = 1.0
    offset: float = -np.log(RIVALS)
    ndcg: float | None = None


class ImplicitModel(nn.Module):
    """K members, each of which has its own factors and shares the item-item weights of EASE.

    history_start, history_column, history_weight: the items of all users, with the weights of EASE (`Rows`).
    ease_start, ease_column, ease_weight: B. users: float32 [K, U, d] and items: [K, I, d], the factors. blend, slope,
    offset: 0-d, see `Choice`. decay: [2]. scale: [I], the factors of predictions: 1, or inverse propensities.
    """

    users: Tensor
    items: Tensor
    blend: Tensor
    slope: Tensor
    offset: Tensor
    decay: Tensor
    scale: Tensor

    def __init__(self, **tables: Tensor) -> None:
        super().__init__()
        parts = [f"{side}_{name}" for side in ("history", "ease") for name in NAMES]
        for name in (*parts, "users", "items", "blend", "slope", "offset", "decay", "scale"):
            self.register_buffer(name, tables.pop(name))
        if tables:
            raise TypeError(f"unknown tables: {', '.join(tables)}")
        self.members = len(self.items)

    def _rows(self, side: str) -> Rows:
        start, column, weight = (getattr(self, f"{side}_{name}") for name in NAMES)
        return Rows(start, column, weight, self.items.shape[1])

    @cached_property
    def _weights(self) -> Any:
        """B as a sparse matrix."""
        return sparse(self._rows("ease"))

    def over(self, items: Int[Tensor, " i"]) -> Callable[[Int[Tensor, " u"]], tuple[Tensor, Tensor]]:
        """See `WorldModel.over`. The variance is that of a Bernoulli variable."""

        known = self._rows("history")

        def of(users: Tensor) -> tuple[Tensor, Tensor]:
            mean = self._probability(known.of(users), self.users[:, users])[..., items]
            inside = mean.clamp(LEAST, 1 - LEAST)
            return mean, (inside * (1 - inside)).log()

        return of

    def fold_in(self, items: Int[Tensor, "B n"]) -> Float[Tensor, "B I"]:
        """The probabilities of all items for users in no log, by their items, oldest first, padded with -1.

        A user with the history of a user of the log gets the predictions of that user. Of an item that occurs twice the
        first counts.
        """
        same = (items[:, :, None] == items[:, None, :]).tril(-1).any(2)
        there = (items >= 0) & ~same
        age = there.flip(1).cumsum(1).flip(1) - 1
        rows = torch.arange(len(items))[:, None].expand_as(items)[there].numpy()
        known, factors = [], []
        for decay in self.decay.tolist():
            weight = (decay ** age.clamp(max=OLDEST)[there].double()).float().numpy()
            known.append(rows_of(rows, items[there].numpy(), weight, (len(items), self.items.shape[1])))
        for k in range(self.members):
            own = folded(known[1], self.items[k])
            own[known[1].count == 0] = self.users[k].mean(0)
            factors.append(own)
        return self._probability(known[0], torch.stack(factors)).mean(0)

    def for_new_users(self) -> dict[str, Tensor]:
        """The tables that `fold_in` needs, without those of the log's users."""
        tables: dict[str, Tensor] = self.state_dict()
        nobody = {name: value[:1] for name, value in tables.items() if name == "history_start"}
        nobody |= {f"history_{name}": tables[f"history_{name}"][:0] for name in NAMES[1:]}
        return tables | nobody | {"users": self.users.mean(1, keepdim=True)}

    def _probability(self, known: Rows, users: Float[Tensor, "K u d"]) -> Float[Tensor, "K u I"]:
        similar = standard(torch.from_numpy((sparse(known) @ self._weights).toarray()))
        odds = similar + self.blend * standard(users @ self.items.mT)
        return (odds.asinh_().mul_(self.slope).add_(self.offset).sigmoid_() * self.scale).clamp_(0, 1)

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The leading components of the factors of all members; see `WorldModel.vectors`."""
        of_users, of_items = (principal(side.permute(1, 0, 2).flatten(1), size) for side in (self.users, self.items))
        return of_users[users], of_items[items]


def standard(scores: Float[Tensor, "*K u I"]) -> Float[Tensor, "*K u I"]:
    """Scores in standard deviations of the user's own scores, so that models can be averaged."""
    return scores / scores.std(-1, correction=0, keepdim=True).clamp(min=1e-9)


def fit_implicit(log: InteractionLog, config: WorldModelConfig) -> tuple[ImplicitModel | GivenFactors, dict[str, Any]]:
    """The model, and what the log decided. log: its cells are distinct.

    With the estimates "factors" ALS is alone, as one dot product for each pair, and its line of calibration is fitted
    by least squares.
    """
    dense = config.estimates == "table"
    choice = choose(log, config.seed, dense)
    age, whole = ages(log), np.ones(len(log), dtype=bool)
    plain = history(log, whole, age, 1.0)
    items = [factorise(plain, _start(plain, config.seed), SWEEPS)]
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(config.members - 1 if dense else 0):
        sample = torch.randint(log.n_users, (log.n_users,), generator=generator)
        items.append(factorise(plain.of(sample), items[0], MORE))
    recent = history(log, whole, age, choice.decay[1])
    users = [_known(recent, folded(recent, one)) for one in items]
    found = {name: value for name, value in vars(choice).items() if dense or name not in ("penalty", "blend")}
    if not dense:
        return _line(users[0], items[0], choice), found
    kept, weights = history(log, whole, age, choice.decay[0]), Gram(plain).weights(choice.penalty)
    sides = {f"{side}_{n}": getattr(part, n) for side, part in (("history", kept), ("ease", weights)) for n in NAMES}
    numbers = {name: torch.tensor(getattr(choice, name)).float() for name in ("blend", "slope", "offset", "decay")}
    scale = item_weights(log, config)
    return ImplicitModel(users=torch.stack(users), items=torch.stack(items), scale=scale, **sides, **numbers), found


def choose(log: InteractionLog, seed: int, dense: bool) -> Choice:
    """Hold an event of some users out, fit both models to the others, and choose. dense: whether EASE takes part."""
    age, out = ages(log), last_events(log, max(1, min(VALIDATED, CELLS // log.n_items)), seed)
    if not out.any():
        return Choice()
    age = age - (np.bincount(log.user[out], minlength=log.n_users)[log.user])
    plain = history(log, ~out, age, 1.0)
    user, item = (torch.from_numpy(side[out]) for side in (log.user, log.item))
    known = plain.of(user)
    place = torch.arange(len(user)).repeat_interleave(known.count), known.column

    def quality(scores: Tensor) -> float:
        scores = scores.clone()
        scores[place] = -torch.inf
        own = scores.gather(1, item[:, None])
        rank = (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
        return float(torch.where(rank < K, 1 / (rank + 2).log2(), 0.0).mean())

    decays = DECAYS if log.timestamp is not None else DECAYS[:1]
    recent = {decay: history(log, ~out, age, decay).of(user) for decay in decays}
    factors = factorise(plain, _start(plain, seed), SWEEPS)
    tried = {decay: standard(folded(rows, factors) @ factors.T) for decay, rows in recent.items()}
    second = max(tried, key=lambda decay: quality(tried[decay]))
    scores, choice = tried[second], Choice(decay=(1.0, second))
    if dense:
        gram = Gram(plain)
        best = -1.0
        for penalty in PENALTIES:
            weights = sparse(gram.weights(penalty))
            for decay, rows in recent.items():
                similar = standard(torch.from_numpy((sparse(rows) @ weights).toarray()))
                if (found := quality(similar)) > best:
                    best, first = found, similar
                    choice = replace(choice, penalty=penalty, decay=(decay, second))
        blend = max(BLENDS, key=lambda weight: quality(first + weight * scores))
        scores, choice = first + blend * scores, replace(choice, blend=blend)
    else:
        scores = folded(recent[second], factors) @ factors.T
    rivals = torch.randint(log.n_items, (len(user), RIVALS), generator=torch.Generator().manual_seed(seed))
    positive, choice = scores.gather(1, item[:, None]).flatten(), replace(choice, ndcg=quality(scores))
    scores[place] = torch.nan
    negative = scores.gather(1, rivals).flatten()
    negative = negative[~negative.isnan()]
    slope, offset = (_logistic if dense else _least_squares)(positive.double(), negative.double())
    return replace(choice, slope=slope, offset=offset)


def _start(rows: Rows, seed: int) -> Tensor:
    """Random factors of the items, [I, d]."""
    size = min(SIZE, rows.width, len(rows.start) - 1)
    return torch.randn(rows.width, size, generator=torch.Generator().manual_seed(seed)) * 0.01


def _known(rows: Rows, factors: Float[Tensor, "U d"]) -> Float[Tensor, "U d"]:
    """The same with the mean factors in the rows of users without an event."""
    there = (rows.count > 0)[:, None]
    mean = factors.sum(0) / there.sum().clamp(min=1)
    found: Tensor = torch.where(there, factors, mean)
    return found


def _line(users: Tensor, items: Tensor, choice: Choice) -> GivenFactors:
    """slope x . y + offset as a model of factors."""
    left = torch.cat([users * choice.slope, torch.full_like(users[:, :1], choice.offset)], 1)
    right = torch.cat([items, torch.ones_like(items[:, :1])], 1)
    share = 1 / (1 + RIVALS)
    return GivenFactors(left=left, right=right, noise=torch.tensor([share * (1 - share)]))


def _logistic(positive: Tensor, negative: Tensor) -> tuple[float, float]:
    """Slope and offset of the log odds of a positive, by asinh of the score (Platt 1999), float64 [n] and [m]."""
    x = torch.cat([positive, negative]).asinh()
    wide = torch.stack([x, torch.ones_like(x)], 1)
    target = torch.cat([torch.ones_like(positive), torch.zeros_like(negative)])
    found = torch.tensor([1.0, -np.log(RIVALS)], dtype=x.dtype)
    for _ in range(STEPS):
        share = (wide @ found).sigmoid()
        curvature = (wide * (share * (1 - share))[:, None]).T @ wide + RIDGE * torch.eye(2, dtype=x.dtype)
        slope = wide.T @ (target - share) - RIDGE * found * torch.tensor([1.0, 0.0])
        found += torch.linalg.solve(curvature, slope).clamp(-1, 1)
    return max(float(found[0]), LEAST), float(found[1])


def _least_squares(positive: Tensor, negative: Tensor) -> tuple[float, float]:
    """Slope and offset of the least-squares line from scores to 1 for positives and 0 for others."""
    x = torch.cat([positive, negative])
    target = torch.cat([torch.ones_like(positive), torch.zeros_like(negative)])
    slope = float(((x - x.mean()) * (target - target.mean())).mean() / x.var(correction=0).clamp(min=1e-12))
    slope = max(slope, LEAST)
    return slope, float(target.mean() - slope * x.mean())
