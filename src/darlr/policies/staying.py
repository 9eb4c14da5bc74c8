"""What leaving costs, and a disappointment that brings the user nearer to it, by turn and state of the exit rule.

Sessions are played in worlds that are drawn from the belief: of new users from its prior, of users of the log from
their posteriors. The policy knows nothing of a world but the answers. They are played to their last turn, and the rule
says with which probability each turn would have been the last one. So it is known of each session what it earns from a
turn on in every state of the rule: what users who left would have earned had they stayed, and what those who were
disappointed would have earned had they not come nearer to leaving. The means of these losses, over those users, are the
costs. Comparing users who stayed with users who left instead would charge an item for what it tells about the user.

The values are the critic of the policy that played, a Monte Carlo estimate (Sutton and Barto 2018, section 5.1), and a
policy that takes the costs off its estimates is one step of policy iteration from it. Two steps are taken, from the
greedy policy. The result, the price c x turns left and plain greedy are compared in other drawn worlds, where all meet
the same users and noise, and the one that earns most is taken. No truth is read.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from darlr.simulation import environment
from darlr.simulation.dynamics import Dynamics
from darlr.simulation.environment import Environment
from darlr.simulation.exits import for_new_users, never
from darlr.simulation.felt import FeltRule
from darlr.simulation.session import Session
from darlr.world.belief import Belief
from darlr.world.hashing import normals

USERS, CELLS = 1024, 2**22  # the most users who are drawn, and the cells of their table of rewards
CHUNK = 2**17  # cells of the sessions that are played at once
FEW = 10  # users as which all users count, where few leave in a turn and state


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
    """The items of a turn and their rewards, [B]. leave: P(leave) in each state of the rule, [B, S]. strike: [B]."""

    action: Tensor
    feedback: Tensor
    leave: Tensor
    strike: Tensor


@dataclass
class Learner:
    """A greedy player that learns in closed form, one answer at a time, so that a turn costs B x I x d.

    rows: the expected rewards of the drawn users. mean, variance: of the next reward. directions: w with
    covariance of theta = I - sum of w w' (Rasmussen and Williams 2006, equation 2.24, for one answer more). states: S.
    """

    known: Dynamics
    belief: Belief
    rows: Float[Tensor, "B I"]
    mean: Float[Tensor, "B I"]
    variance: Float[Tensor, "B I"]
    directions: Float[Tensor, "B n d"]
    states: int = 1

    def move(self, session: Session, chance: Float[Tensor, " B"]) -> Shown:
        """Show the best item that was not shown before. chance: standard normal numbers of the noise."""
        scores = self.known.values(session, self.mean, self.variance.sqrt()).masked_fill(session.seen, -torch.inf)
        action = scores.max(1).indices
        reward = self.rows.gather(1, action[:, None]).squeeze(1) + chance * self.belief.noise[action].sqrt()
        self.learn(action, reward)
        fatigue = self.known.fatigue
        felt = reward if fatigue is None else reward - fatigue.of(session, action)
        return Shown(action, felt, *self.known.after(session, action, felt, self.states))

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


class Paths(NamedTuple):
    """Sessions in drawn worlds that nobody leaves. gain: learned rewards above a reward of 0, 0 after the last item.

    leave: the probability with which the user would leave after the item, in each state of the rule. strike: whether
    the item leads to the next state.
    """

    gain: Float[Tensor, "B T"]
    leave: Float[Tensor, "B T S"]
    strike: Bool[Tensor, "B T"]

    def later(self) -> Float[Tensor, "T1 B S"]:
        """What sessions are expected to earn from each turn on, 0 to T, in each state of the rule."""
        found = [torch.zeros_like(self.leave[:, 0])]
        for turn in reversed(range(self.gain.shape[1])):
            after = torch.where(self.strike[:, turn, None], struck(found[-1]), found[-1])
            found.append(self.gain[:, turn, None] + (1 - self.leave[:, turn]) * after)
        return torch.stack(found[::-1])

    @property
    def returns(self) -> Float[Tensor, " B"]:
        """What sessions are expected to earn."""
        return self.later()[0, :, 0]


def struck(values: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """The values in the next state of each; the last one stays."""
    return torch.cat([values[:, 1:], values[:, -1:]], 1)


def play(worlds: Worlds, known: Dynamics, turns: int, judged: bool = False) -> Paths:
    """The sessions of drawn users with the policy that knows this. judged: in the worlds that judge costs."""
    rule = for_new_users(known.rule.of_normal if isinstance(known.rule, FeltRule) else known.rule)
    known, belief, items = replace(known, rule=rule), worlds.belief, len(worlds.belief.mean)
    logged, directions = worlds.items.shape[1], worlds.belief.factors.shape[1]
    rules = Environment(never, min(turns, items), items, repeats=False, offered=items)

    def played(user: Tensor) -> Paths:
        whose = user % len(worlds.items)
        start = belief.given(worlds.items[whose], worlds.rewards[whose])
        normal = normals(user, user * 0, directions + logged + turns, worlds.seed + 1 + judged)
        theta, answers, noise = normal.tensor_split((directions, directions + logged), 1)
        rows, mean, states = start.rows(start.draw(theta, answers)), start.rows(start.theta()), known.states(turns)
        player = Learner(known, belief, rows, mean, start.variance(), start.whitened.float(), states)
        moves = [one.move for one in environment.play(rules, player, user, lambda turn, _: noise[:, turn])[1]]
        gain = torch.stack([move.feedback for move in moves], 1) - worlds.zero
        missing = turns - len(moves)
        leave = pad(torch.stack([move.leave for move in moves], 1), (0, 0, 0, missing), value=1.0)
        return Paths(pad(gain, (0, missing)), leave, pad(torch.stack([m.strike for m in moves], 1), (0, missing)))

    count = max(2, min(USERS, CELLS // items))
    chunks = [played(user) for user in torch.split(torch.arange(count), max(1, CHUNK // items))]
    return Paths(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


def costs(paths: Paths) -> Float[Tensor, "2 T S"]:
    """What leaving costs in each turn and state, on average over users who leave there, and likewise a strike.

    The average over all users joins it with the weight of FEW users.
    """
    later, found = paths.later(), []
    here = torch.zeros_like(later[0])
    here[:, 0] = 1.0
    for turn in range(len(later) - 1):
        leaving, strike, after = here * paths.leave[:, turn], paths.strike[:, turn, None], later[turn + 1]
        staying = here - leaving
        pairs = (leaving, after), (staying * strike, after - struck(after))
        found.append([((w * loss).sum(0) + FEW * loss.mean(0)) / (w.sum(0) + FEW) for w, loss in pairs])
        moved = staying * strike
        here = staying - moved + pad(moved, (1, 0))[:, :-1]
        here[:, -1] += moved[:, -1]
    return torch.stack([torch.stack(part) for part in zip(*found, strict=True)]).clamp(min=0)


def cost_of_leaving(worlds: Worlds, known: Dynamics, turns: int) -> Float[Tensor, "2 T S"]:
    """The costs by which items are priced; see above. known: the rule and the fatigue."""
    paths = play(worlds, replace(known, costs=None), turns)
    table = costs(play(worlds, replace(known, costs=costs(paths)), turns))
    left = max(float(paths.gain.mean()), 0.0) * torch.arange(turns - 1, -1.0, -1)[:, None]
    tried = torch.zeros_like(table), torch.stack([left, 0 * left]).expand_as(table).contiguous(), table
    found = [float(play(worlds, replace(known, costs=one), turns, True).returns.mean()) for one in tried]
    return tried[found.index(max(found))]
