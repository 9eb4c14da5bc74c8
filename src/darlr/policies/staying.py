"""The value of staying: what sessions still earn, by their turn and by the state of the exit rule.

Sessions are played in worlds that are drawn from the belief: of new users from its prior, of users of the log from
their posteriors. The policy knows nothing of a world but the answers. What a session earns from each turn on is
averaged over the sessions that are in the same turn and state (the count of disappointments). This table is the critic
of the policy that played, a Monte Carlo estimate (Sutton and Barto 2018, section 5.1). The policy that prices leaving
by the table of the greedy policy is one step of policy iteration from it.

It is judged in other drawn worlds, where all policies meet the same users and noise. The price c x turns left and plain
greedy take its place where they surely earn more. No truth is read.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from darlr.simulation import environment
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.environment import Environment
from darlr.simulation.exits import for_new_users, never
from darlr.simulation.felt import FeltRule
from darlr.simulation.session import Session, oldest_first
from darlr.world.belief import Belief
from darlr.world.hashing import normals

SURE = (
    2.4  # standard errors by which one of two others must be ahead: 95% for both together (Bonferroni), two-sided 98%
)
USERS, CELLS = 1024, 2**22  # the most users who are drawn, and the cells of their table of rewards
CHUNK = 2**17  # cells of the sessions that are played at once
FEW = 10  # sessions as which the next turn counts where few sessions are in a state


@dataclass(frozen=True)
class Worlds:
    """Worlds of users whose rewards follow the belief.

    items, rewards: the logged events of users, [U, m], -1 for padding; of no columns for new users. zero: the learned
    value of a reward of 0.
    """

    belief: Belief
    items: Int[Tensor, "U m"]
    rewards: Float[Tensor, "U m"]
    zero: float = 0.0
    seed: int = 0


class Shown(NamedTuple):
    """The items of a turn, their rewards, and the state of the rule before them, [B] each."""

    action: Tensor
    feedback: Tensor
    state: Tensor


@dataclass
class Learner:
    """A greedy player that learns in closed form, one answer at a time, so that a turn costs B x I x d.

    rows: the expected rewards of the drawn users. mean, variance: of the next reward. directions: w with
    covariance of theta = I - sum of w w' (Rasmussen and Williams 2006, equation 2.24, for one answer more).
    """

    known: Dynamics
    belief: Belief
    rows: Float[Tensor, "B I"]
    mean: Float[Tensor, "B I"]
    variance: Float[Tensor, "B I"]
    directions: Float[Tensor, "B n d"]

    def move(self, session: Session, chance: Float[Tensor, " B"]) -> Shown:
        """Show the best item that was not shown before. chance: standard normal numbers of the noise."""
        scores = self.known.values(session, self.mean, self.variance.sqrt()).masked_fill(session.seen, -torch.inf)
        action = scores.max(1).indices
        reward = self.rows.gather(1, action[:, None]).squeeze(1) + chance * self.belief.noise[action].sqrt()
        self.learn(action, reward)
        fatigue = self.known.fatigue
        felt = reward if fatigue is None else reward - fatigue.of(session, action)
        return Shown(action, felt, self.known.state(session))

    def learn(self, item: Int[Tensor, " B"], reward: Float[Tensor, " B"]) -> None:
        """Take in one answer of each user, without fatigue."""
        x = self.belief.factors[item][:, None]
        left = (x - x @ self.directions.mT @ self.directions).squeeze(1)
        spread = ((x.squeeze(1) * left).sum(1).clamp(min=0) + self.belief.tempering * self.belief.noise[item]).sqrt()
        direction = left / spread[:, None]
        along = direction @ self.belief.factors.T
        surprise = (reward - self.mean.gather(1, item[:, None]).squeeze(1)) / spread
        self.mean = self.mean + along * surprise[:, None]
        self.variance = torch.maximum(self.variance - along.square(), self.belief.noise)
        self.directions = torch.cat([self.directions, direction[:, None]], 1)


class Earned(NamedTuple):
    """Sessions in drawn worlds. later: what they earn from each turn on, in learned units above a reward of 0.

    state: that of the rule before the turn. there: whether the session has that turn.
    """

    later: Float[Tensor, "B T"]
    state: Int[Tensor, "B T"]
    there: Bool[Tensor, "B T"]


def play(worlds: Worlds, known: Dynamics, turns: int, judged: bool = False) -> Earned:
    """The sessions of drawn users with the policy that knows this. judged: in the worlds that judge tables."""
    rule = for_new_users(known.rule.of_normal if isinstance(known.rule, FeltRule) else known.rule)
    known, belief, items = replace(known, rule=rule), worlds.belief, len(worlds.belief.mean)
    logged, directions = worlds.items.shape[1], worlds.belief.factors.shape[1]
    rules = Environment(rule, min(turns, items), items, repeats=False, offered=items)

    def played(user: Tensor) -> Earned:
        whose = user % len(worlds.items)
        start = belief.given(worlds.items[whose], worlds.rewards[whose])
        normal = normals(user, user * 0, directions + logged + turns, worlds.seed + 1 + judged)
        theta, answers, noise = normal.tensor_split((directions, directions + logged), 1)
        rows, mean = start.rows(start.draw(theta, answers)), start.rows(start.theta())
        player = Learner(known, belief, rows, mean, start.variance(), start.whitened.float())
        session, moves = environment.play(rules, player, user, lambda turn, _: noise[:, turn])
        rewards = oldest_first(session.rewards, session.turn, worlds.zero)[:, : len(moves)] - worlds.zero
        there = torch.arange(len(moves)) < session.turn[:, None]
        later = (rewards * there).flip(1).cumsum(1).flip(1)
        missing = (0, turns - len(moves))
        parts = later, torch.stack([one.move.state for one in moves], 1), there
        return Earned(*(torch.nn.functional.pad(part, missing) for part in parts))

    count = max(2, min(USERS, CELLS // items))
    chunks = [played(user) for user in torch.split(torch.arange(count), max(1, CHUNK // items))]
    return Earned(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


def critic(earned: Earned, states: int) -> Float[Tensor, "T1 S"]:
    """What sessions still earn, on average, after each number of turns, 0 to T, in each state of the rule.

    A state that few sessions reach has part of its value from the next turn, and none is worth less than a later one.
    """
    turns = earned.later.shape[1]
    cell = torch.arange(turns) * states + earned.state.clamp(max=states - 1)
    total, count = (
        torch.bincount(cell[earned.there], weights, turns * states).view(turns, states).float()
        for weights in (earned.later[earned.there], None)
    )
    table = torch.zeros(turns + 1, states)
    for turn in reversed(range(turns)):
        table[turn] = (total[turn] + FEW * table[turn + 1]) / (count[turn] + FEW)
    return table.clamp(min=0).flip(1).cummax(1).values.flip(1)


def value_of_staying(worlds: Worlds, known: Dynamics, turns: int) -> Float[Tensor, "T1 S"]:
    """The table by which leaving is priced; see above. known: the rule and the fatigue."""
    states = min(known.states, turns + 1)
    free, greedy = replace(known, rule=never, staying=None), replace(known, staying=None)
    table = critic(play(worlds, greedy, turns), states)
    worth = max(float(play(worlds, free, turns).later[:, 0].mean()) / turns, 0.0)
    left = worth * torch.arange(turns, -1.0, -1)[:, None].expand(-1, states)
    tried = [table, left, None]
    found = torch.stack([play(worlds, replace(known, staying=one), turns, True).later[:, 0] for one in tried])
    more = found[1:] - found[0]
    least = more.mean(1) - SURE * more.std(1) / more.shape[1] ** 0.5
    best = int(least.argmax())
    return (left.contiguous(), torch.zeros_like(table))[best] if least[best] > 0 else table
