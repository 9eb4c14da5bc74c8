"""The selector agent, which picks K_sel reference users for a recommendation (method.md section 4)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from darlr.agents.actor_critic import ActorCritic, Affine, AllActions, Candidates, forbid
from darlr.agents.references import distances, require_others
from darlr.agents.tracker import Weights, build_tracker
from darlr.methods.rewards import References
from darlr.options import SelectorConfig
from darlr.simulation.policy import draw
from darlr.world.approximate import MANY
from darlr.world.entries import Entries
from darlr.world.estimates import Estimate
from darlr.world.tables import World


class PickTokens(NamedTuple):
    """Parts of tokens, computed once while the weights do not change.

    users: each user's contribution to a token, or with many users None. weight, bias: the layer that computes it from
    p_v, where it is None. tracker, trunk: the `weights()` of either.
    """

    users: Float[Tensor, "U d"] | None
    weight: Float[Tensor, "d F"] | None
    bias: Float[Tensor, " d"] | None
    tracker: Weights | None
    trunk: tuple[Affine, ...]


class Selector(nn.Module):
    """A token is [s_rec, projected p_v]; the first v is the user itself. An action is a user who was not picked yet."""

    users: Tensor
    pool: Tensor | None

    def __init__(
        self,
        config: SelectorConfig,
        user_features: Float[Tensor, "U F"],
        state_dim: int,
        pool: Int[Tensor, "U C"] | None = None,
        entries: Entries | None = None,
    ) -> None:
        """user_features: the standardised p_u of every user. entries: its non-zero entries, where there are few.

        pool: the candidates for each user; None means all users. Raises ConfigError for fewer than K_sel other users.
        """
        super().__init__()
        n_users, width = user_features.shape
        require_others(config.picks, n_users)
        self.config, self.entries = config, entries
        self.register_buffer("users", user_features, persistent=False)
        self.register_buffer("pool", pool, persistent=False)
        dim = config.tracker.dim
        self.projection = nn.Linear(width, config.projection)
        self.from_state = nn.Linear(state_dim, dim)
        self.from_user = nn.Linear(config.projection, dim, bias=False)
        self.tracker = build_tracker(config.tracker)
        self.heads = ActorCritic(dim, config.a2c.hidden, n_users)

    def user_tokens(self) -> Float[Tensor, "U d"]:
        """Each user's contribution to a token."""
        projected = self.projection(self.users) if self.entries is None else self.entries.through(self.projection)
        tokens: Tensor = self.from_user(projected)
        return tokens

    def tokens(self) -> PickTokens:
        """The parts of tokens at the current weights."""
        networks = self.tracker.weights(), self.heads.trunk.weights()
        if len(self.users) <= MANY:
            return PickTokens(self.user_tokens(), None, None, *networks)
        of_user, first = self.from_user.weight, self.projection
        return PickTokens(None, of_user @ first.weight, of_user @ first.bias, *networks)

    def contribution(self, chosen: Int[Tensor, "*n"], tokens: PickTokens) -> Float[Tensor, "*n d"]:
        """The contributions of users to tokens."""
        if tokens.users is not None:
            return embedding(chosen, tokens.users)
        assert tokens.weight is not None
        return linear(embedding(chosen, self.users), tokens.weight, tokens.bias)

    def tokens_among(self, chosen: Int[Tensor, "*n"]) -> tuple[Float[Tensor, "V d"], Int[Tensor, "*n"]]:
        """The tokens of at least the users in `chosen` (-1 = none), and `chosen` as rows of these tokens."""
        if self.entries is not None or chosen.numel() >= self.users.shape[0]:
            return self.user_tokens(), chosen
        known, place = torch.unique(chosen.clamp(min=0), return_inverse=True)
        tokens: Tensor = self.from_user(self.projection(embedding(known, self.users)))
        return tokens, torch.where(chosen < 0, -1, place)

    def forward(
        self, state: Float[Tensor, "B d"], chosen: Int[Tensor, "B w"], tokens: PickTokens
    ) -> tuple[Float[Tensor, "B U"], Float[Tensor, " B"]]:
        """Unmasked logits over users, and the value, given the last w users chosen (-1 = none, newest last).

        The linear layer on [s_rec, p_v] is the sum of a layer on each part. state: `from_state(s_rec)`, which all picks
        for a recommendation share. tokens: `tokens()`.
        """
        chosen = chosen.T  # positions are the first dimension of trackers
        hidden = self.read(state, self.contribution(chosen.clamp(min=0), tokens), chosen >= 0, tokens)
        return self.heads.actor(hidden), self.heads.value(hidden)

    def read(
        self,
        state: Float[Tensor, "B d"],
        users: Float[Tensor, "n B d"],
        there: Bool[Tensor, "n B"] | None,
        tokens: PickTokens | None = None,
    ) -> Float[Tensor, "B h"]:
        """The trunk's output, given the contributions of states and of chosen users to tokens.

        there: which users are not padding; None means all. tokens: `tokens()`, if computed before.
        """
        tracker, trunk = (None, None) if tokens is None else (tokens.tracker, tokens.trunk)
        state = self.tracker(users + state, there, tracker, some=True)  # the user itself is in every window
        hidden: Tensor = self.heads.trunk(state, trunk)
        return hidden


@dataclass(frozen=True)
class Selection:
    """K picks for each of B recommendations, for the update of the selector.

    state: s_rec. chosen: the user itself, then the picks in order. taken: the actions that gave `chosen`, which are the
    same users or, with pools, columns of the user's pool (first -1, because no pool holds the user itself). reward: Eq.
    12. value: the critic's.
    """

    state: Float[Tensor, "B s"]
    chosen: Int[Tensor, "B K1"]
    taken: Int[Tensor, "B K1"]
    reward: Float[Tensor, "B K"]
    value: Float[Tensor, "B K"]


def selector_reward(
    config: SelectorConfig,
    estimates: Float[Tensor, "B K"],
    similarity: Float[Tensor, "B K"],
    diversity: Float[Tensor, "B K"],
) -> Float[Tensor, "B K"]:
    """Eq. 12: r_sel = r + lambda_s cos(p_u, p_v) + lambda_d mean over earlier picks v' of (1 - cos(p_v', p_v)).

    Each column is a pick v. estimates: r(v, i_t). diversity: the last mean.
    """
    gain = config.lambda_s * similarity + config.lambda_d * diversity
    if config.reward == "none":
        return gain
    if config.reward == "own":
        return gain + estimates
    return gain + estimates.cumsum(1) / torch.arange(1, estimates.shape[1] + 1, device=estimates.device)


def pick_draws(selector: Selector, size: int, generator: torch.Generator, device: torch.device) -> Float[Tensor, "K B"]:
    """Uniform random numbers in [0, 1) for the K picks of `size` recommendations."""
    return torch.rand(selector.config.picks, size, generator=generator, device=generator.device).to(device)


@torch.no_grad()
def select(
    selector: Selector,
    world: World,
    start: Estimate,
    state: Float[Tensor, "B s"],
    user: Int[Tensor, " B"],
    item: Int[Tensor, " B"],
    uniform: Float[Tensor, "K B"],
    tokens: PickTokens | None = None,
    layer: AllActions | Candidates | None = None,
) -> tuple[References, Selection]:
    """Pick the reference users S_t for B recommendations, one after the other, and their rewards of Eq. 12.

    start: the table that Eq. 15 averages. uniform: `pick_draws`. tokens: `selector.tokens()`, if computed before.
    layer: the actor's last layer over the users' pools, if it was read before.
    """
    config, window = selector.config, selector.config.tracker.window
    chosen = user.new_full((user.shape[0], config.picks + 1), -1)
    chosen[:, 0] = user
    tokens, state_token = selector.tokens() if tokens is None else tokens, selector.from_state(state)
    pool, taken, first = None, chosen, 0
    if selector.pool is not None:  # it does not hold the user itself
        pool, taken, first = selector.pool.index_select(0, user), torch.full_like(chosen, -1), 1
    layer = selector.heads.actor.layer(pool) if layer is None else layer
    hiddens = []
    for k, uniform_k in enumerate(uniform):
        recent = selector.contribution(chosen[:, max(0, k + 1 - window) : k + 1].T, tokens)
        hidden = selector.read(state_token, recent, None, tokens)
        logits = forbid(layer.logits(hidden), taken[:, first : k + 1], padded=False)
        action = draw(logits.softmax(-1), uniform_k)
        taken[:, k + 1] = action
        if pool is not None:
            chosen[:, k + 1] = pool.gather(1, action[:, None]).squeeze(1)
        hiddens.append(hidden)
    picks = chosen[:, 1:]
    cosines = world.similarities(chosen)
    similarity, diversity = cosines[:, 0, 1:], distances(cosines[:, 1:, 1:])
    reward = selector_reward(config, start.pairs(picks, item[:, None]), similarity, diversity)
    value = selector.heads.value(torch.stack(hiddens, dim=1))
    references = References(picks, similarity.mean(1), diversity.mean(1))
    return references, Selection(state, chosen, taken, reward, value)


def selection_rows(
    chosen: Int[Tensor, "n K1"], taken: Int[Tensor, "n K1"], pick: Int[Tensor, " n"], window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The observation, the mask and the action of pick number `pick` (0-based) in each row of a selection.

    They are the last `window` users chosen before it, int64 [n, window] (-1 = none), all actions taken before it, int64
    [n, K + 1] (-1 from the pick on), and its own action, int64 [n].
    """
    place = pick[:, None] + torch.arange(1 - window, 1, device=chosen.device)
    recent = chosen.gather(1, place.clamp(min=0)).masked_fill(place < 0, -1)
    later = torch.arange(chosen.shape[1], device=chosen.device) > pick[:, None]
    return recent, taken.masked_fill(later, -1), taken.gather(1, pick[:, None] + 1).squeeze(1)
