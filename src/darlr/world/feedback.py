"""The feedback vector p_u (method.md section 4) of the log's users and of cold-start users."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import Scope, places, scope_of
from darlr.errors import ConfigError
from darlr.options import TablesConfig
from darlr.world.estimates import Estimate
from darlr.world.logged_neighbours import logged_feedback
from darlr.world.low_rank import LowRank


@dataclass(frozen=True)
class Feedback:
    """How p_u of a cold-start user is computed.

    predicted: whether p_u is a row of r0, not logged feedback. by_user: whether the user's mean is subtracted. centre:
    float32 [F], subtracted from the entries that are known. mean: float32 [F], and scale: what `standardise` subtracts
    and divides by. columns: int64 [F], the scope code of each entry's item, -1 outside the scope. strength: float32
    [F], where p_u is the user's coordinates times these numbers, not the row itself; centre and columns are then empty.
    """

    predicted: bool
    by_user: bool
    centre: Float[Tensor, " entries"]
    mean: Float[Tensor, " F"]
    scale: float
    columns: Int[Tensor, " places"]
    strength: Float[Tensor, " F"] | None = None

    def of(
        self, rows: Float[Tensor, "B I"], items: Int[Tensor, "B n"], rewards: Float[Tensor, "B n"]
    ) -> Float[Tensor, "B F"]:
        """The standardised p_u of B cold-start users; one without a known event gets 0, the mean of the log's users.

        rows: r0 of these users. items, rewards: their histories, as in `FoldIn.coordinates`.
        """
        vectors, present = rows, torch.ones_like(rows)
        if not self.predicted:
            vectors, present = self._logged(rows, items, rewards)
        own = vectors.sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp(min=1) if self.by_user else 0.0
        centred = (vectors - self.centre - own) * present
        return ((centred - self.mean) / self.scale) * present.any(1, keepdim=True)

    def along(self, theta: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """The standardised p_u of users with these coordinates (`darlr.world.fold_in`), where `strength` is known."""
        assert self.strength is not None
        return (theta * self.strength).sub_(self.mean).div_(self.scale)

    def _logged(self, rows: Tensor, items: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
        """The mean reward of each entry's item, 0 for none, and whether there is one, float32 [B, F] each."""
        n_items = rows.shape[1]
        place = torch.where(items < 0, n_items, items)  # the last column takes the padding
        empty = rows.new_zeros(len(rows), n_items + 1)
        count = empty.scatter_add(1, place, torch.ones_like(rewards))
        total = empty.scatter_add(1, place, rewards)
        count[:, -1] = 0  # items outside the scope, of code -1, read the last column too
        mean = torch.where(count > 0, total / count.clamp(min=1), 0.0)
        return mean[:, self.columns], (count > 0).to(rows.dtype)[:, self.columns]


def feedback(
    reward: Estimate, log: InteractionLog, config: TablesConfig, scope: Scope | None = None
) -> tuple[Float[Tensor, "U F"], Feedback]:
    """The feedback vectors p_u of the scope's users before they are standardised, and how to compute those of others.

    With the option indicator predicted they are rows of r0. With logged they hold the mean logged reward of each cell
    of the items outside the block, 0 where there is none; a mean is then subtracted from logged cells only, and not at
    all for an implicit log. auto means logged for an implicit log, otherwise predicted.
    """
    if isinstance(reward, LowRank):
        return _of_factors(reward, config)
    predicted = config.indicator == "predicted" or (config.indicator == "auto" and not log.implicit)
    if predicted:
        vectors = reward.whole()
        present, columns = torch.ones_like(vectors), torch.arange(vectors.shape[1])
    else:
        scope = scope_of(log) if scope is None else scope
        items = scope.feedback_items(log)
        vectors, present = logged_feedback(log, scope.users, items)
        columns = torch.from_numpy(places(scope.items, log.n_items)[items])
    by = "none" if config.indicator_centre == "none" or (log.implicit and not predicted) else config.indicator_centre
    centre = torch.zeros(vectors.shape[1])
    if by != "none":
        axis = 0 if by == "item" else 1
        mean = vectors.sum(axis, keepdim=True) / present.sum(axis, keepdim=True).clamp(min=1)
        vectors = (vectors - mean) * present
        centre = mean[0] if by == "item" else centre
    scale = float((vectors - vectors.mean(0)).std() + 1e-12)
    return vectors, Feedback(predicted, by == "user", centre, vectors.mean(0), scale, columns)


def _of_factors(reward: LowRank, config: TablesConfig) -> tuple[Tensor, Feedback]:
    """p_u as the row of r0 less the mean row, along the directions in which rows differ: [U, d] instead of [U, I]."""
    if config.indicator == "logged" or config.indicator_centre != "item":
        raise ConfigError(
            "option tables.indicator: with model.estimates factors, p_u is predicted and centred by item; leave "
            "tables.indicator and tables.indicator-centre out"
        )
    vectors, fold = reward.vectors(), reward.fold
    strength, mean, nothing = fold.factors.norm(dim=0), vectors.mean(0), torch.zeros(0)
    scale = float((vectors - mean).std() + 1e-12)
    return vectors, Feedback(True, False, nothing, mean, scale, nothing.long(), strength)


def standardise(vectors: Float[Tensor, "U F"]) -> Float[Tensor, "U F"]:
    """The vectors p_u, centred by column and divided by one number, their standard deviation.

    Rows of positive rewards are nearly equal, which would slow down the learning of the linear layers that read them.
    """
    centred = vectors - vectors.mean(0)
    return centred.div_(centred.std() + 1e-12)
