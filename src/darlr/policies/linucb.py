"""LinUCB (Li et al. 2010) that starts from a log-only score and learns from the session's own feedback."""

from dataclasses import dataclass

import torch
from torch import Tensor

from darlr.simulation.session import Session
from darlr.world.context import Context
from darlr.world.logged_neighbours import logged_neighbour_table
from darlr.world.models.bias import bias_table
from darlr.world.preferences import preference_features

NEIGHBOURS = 300
ROWS = 2**26  # floats held at once: bounds memory, never changes a number


@dataclass(frozen=True)
class LinUCB:
    """r(u, i) = prior(u, i) + x_i . theta_u + noise, theta_u ~ N(0, 1) in units of the features.

    The score is the posterior mean after the session's feedback, plus alpha posterior standard deviations; alpha = 0
    is greedy. prior: float32 [U, I]. features: float32 [I, d], each already scaled by the prior standard deviation
    of its weight, so the ridge is the identity times noise**2.
    """

    prior: Tensor
    features: Tensor
    noise: float
    alpha: float

    def scores(self, session: Session) -> Tensor:
        """float32 [B, I]: recomputed from the session's items and rewards, one rank-1 update a turn."""
        size = max(1, ROWS // (max(self.features.shape) * self.features.shape[1]))
        starts = range(0, max(len(session.user), 1), size)
        return torch.cat([self._scores(session, slice(start, start + size)) for start in starts])

    def _scores(self, session: Session, part: slice) -> Tensor:
        items, prior = session.items[part], self.prior[session.user[part]]
        weights, covariance = self.posterior(items, session.rewards[part] - prior.gather(1, items.clamp(min=0)))
        mean = prior + weights @ self.features.T
        if self.alpha == 0:
            return mean
        spread = torch.einsum("id,bde,ie->bi", self.features, covariance, self.features)
        return mean + self.alpha * self.noise * spread.clamp(min=0).sqrt()

    def posterior(self, items: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of theta [B, d], and the inverse of A = noise**2 I + sum x x^T [B, d, d], by Sherman-Morrison.

        items: int64 [B, T], -1 = none. residual: float32 [B, T], reward less prior.
        """
        size, d = len(items), self.features.shape[1]
        inverse = torch.eye(d, device=self.features.device).expand(size, d, d) / max(self.noise, 1e-6) ** 2
        moment = torch.zeros(size, d, device=self.features.device)
        turns = items.shape[1]
        for turn in range(turns - int((items >= 0).any(0).sum()), turns):  # items lie at the end
            here = (items[:, turn] >= 0)[:, None]
            x = self.features[items[:, turn].clamp(min=0)] * here
            image = (inverse @ x[..., None]).squeeze(-1)
            inverse = inverse - image[:, :, None] * (image / (1 + (x * image).sum(1, keepdim=True)))[:, None, :]
            moment = moment + x * residual[:, turn, None]
        return (inverse @ moment[..., None]).squeeze(-1), inverse


def fit_linucb(context: Context, seed: int = 0, alpha: float = 1.0) -> LinUCB:
    """LinUCB on `preference_features`."""
    features, noise = preference_features(context, seed)
    return LinUCB(log_table(context), noise * features, noise, alpha)


def fit_linear_greedy(context: Context, seed: int = 0) -> LinUCB:
    """The same learner without a bonus."""
    return fit_linucb(context, seed, alpha=0.0)


def log_table(context: Context) -> Tensor:
    """Expected reward by the log alone, float32 [Us, Is]: biases; of positives alone, what alike users logged."""
    if context.implicit:
        return logged_neighbour_table(context.log, context.scope, NEIGHBOURS, weights="cosine", itself=True)
    return bias_table(context.train, context.held_out, context.log, context.scope).float()
