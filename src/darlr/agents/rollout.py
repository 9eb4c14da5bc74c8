"""One rollout: B streams of simulated sessions for T turns, with K picks in each turn (method.md sections 2 to 4)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from darlr.agents.actor_critic import AllActions, Candidates, Streams, forbid
from darlr.agents.observation import Decision, Observation, Tokens
from darlr.agents.parallel import ALONE, Team
from darlr.agents.recommender import Recommender
from darlr.agents.references import ReferenceRule, attended
from darlr.agents.selector import PickTokens, Selection, Selector, pick_draws, select
from darlr.agents.slates import Slate
from darlr.methods import Method, References, RewardTables, Shaped, Step
from darlr.options import RewardConfig
from darlr.simulation.environment import Environment, TurnFunction, play, turn
from darlr.simulation.policy import draw
from darlr.simulation.session import Session
from darlr.world.drawn import Taste
from darlr.world.tables import World


@dataclass(frozen=True)
class Simulator:
    """The simulated world. All of it comes from the log and nothing from the ground truth.

    references: the rule for reference users where no selector picks them. picks: K_sel. Sessions are played in the
    drawn worlds of `world.tastes`, where there are any.
    """

    world: World
    environment: Environment
    reward: RewardConfig
    method: Method
    shift: float
    references: ReferenceRule | None = None
    picks: int = 1

    @property
    def attends(self) -> bool:
        """Whether references have weights that likelihood chose, and neither a rule nor an agent picks them."""
        return self.method.references and self.world.attention is not None


@dataclass(frozen=True)
class Generators:
    """One independent random generator for each purpose."""

    users: torch.Generator
    actions: torch.Generator
    picks: torch.Generator
    batches: torch.Generator
    tastes: torch.Generator | None = None


@dataclass(frozen=True)
class Turn:
    """Observations, actions and rewards in one turn of B streams; after `join`, of N = T * B, turn by turn.

    shown: the items that were shown before, int64 [N, T], padded with -1, as columns of the logits. column: that of the
    action. hidden: the trunk's output, until it has given the values. slate: the items behind the columns, where they
    are not all items. taste: what the drawn worlds of the sessions add to the estimate, if there are any.
    """

    observation: Observation
    shown: Int[Tensor, "N T"]
    action: Int[Tensor, " N"]
    column: Int[Tensor, " N"]
    hidden: Float[Tensor, "N h"] | None
    shaped: Shaped
    references: References | None
    selection: Selection | None
    slate: Slate | None = None
    taste: Taste | None = None

    @property
    def feedback(self) -> Float[Tensor, " N"]:
        """What sessions observe: r, without penalty and entropy; in a drawn world with its departure and noise."""
        told = self.shaped.estimate
        return told if self.taste is None else told + self.taste.departure + self.taste.noise

    def reward(self, config: RewardConfig, shift: float) -> Float[Tensor, " N"]:
        """r~; in a drawn world with its departure. Noise is left out, because its mean is 0."""
        shaped = self.shaped.reward(config, shift)
        return shaped if self.taste is None else shaped + self.taste.departure


@dataclass(frozen=True)
class Rollout:
    """The decisions of a rollout. reward: r~. value: the critic's.

    done: whether the session ended with this item. turn: the number of its items so far. last_value: the values after
    the last turn.
    """

    turns: Turn
    done: Bool[Tensor, " N"]
    turn: Int[Tensor, " N"]
    reward: Float[Tensor, " N"]
    value: Float[Tensor, " N"]
    last_value: Float[Tensor, " B"]


class Draws(NamedTuple):
    """The random part of one turn of B streams.

    action: uniform in [0, 1), for the items. picks: the same for the selector's K picks; None without a selector.
    references: the users that a rule picks where there is no selector. slate: the items that can be recommended.
    layer, pool: the last layers of the recommender and the selector over what streams can choose from, if only that.
    world: the draws that sessions are played in. noise: standard normal numbers of their feedback. shown: how many
    items every session has shown, where all have shown equally many; then no operator need look for padding.
    """

    action: Float[Tensor, " B"]
    picks: Float[Tensor, "K B"] | None
    references: References | None
    slate: Slate | None = None
    layer: AllActions | Candidates | None = None
    pool: Candidates | None = None
    world: Int[Tensor, " B"] | None = None
    noise: Float[Tensor, " B"] | None = None
    shown: int | None = None


class Learning(NamedTuple):
    """The agents as a `Player` of simulated sessions; their tokens stay the same for a whole rollout."""

    recommender: Recommender
    selector: Selector | None
    simulator: Simulator
    tables: RewardTables
    tokens: Tokens
    pick_tokens: PickTokens | None

    def move(self, session: Session, chance: Draws) -> Turn:
        """Recommend an item to each user, pick its references (section 4), and pay the reward (section 3)."""
        simulator, tables, references, selection = self.simulator, self.tables, chance.references, None
        observation = self.recommender.observe(session)
        slate = chance.slate
        decision: Decision = self.recommender(observation, self.tokens, slate, chance.layer, shown=chance.shown)
        shown = session.items if slate is None else slate.columns(session.items)
        logits = decision.logits
        if not simulator.environment.repeats:
            if slate is None and chance.shown is not None:
                logits = forbid(logits, shown[:, session.turns - chance.shown :], padded=False)
            else:
                logits = forbid(logits, shown)
        column = action = draw(logits.softmax(-1), chance.action)
        if slate is not None:
            action = slate.items.gather(1, column[:, None]).squeeze(1)
        if self.selector is not None and chance.picks is not None:
            inputs = decision.state, session.user, action, chance.picks, self.pick_tokens, chance.pool
            references, selection = select(self.selector, simulator.world, tables.start, *inputs)
        elif simulator.attends:
            references = attended(simulator.world, simulator.picks, session, action)
        step = Step(session.user, action, session.items[:, -1], references)
        shaped = simulator.method.pay(tables, step, simulator.reward)
        taste, tastes = None, simulator.world.tastes
        if tastes is not None and chance.world is not None and chance.noise is not None:
            taste = tastes.of(chance.world, session.user, action, shaped.estimate, chance.noise)
        return Turn(observation, shown, action, column, decision.hidden, shaped, references, selection, slate, taste)


WAITING = {"cpu"}  # the devices on which candidates are held between turns; a GPU would wait for what has changed


@torch.inference_mode()
def rollout(
    recommender: Recommender,
    selector: Selector | None,
    simulator: Simulator,
    tables: RewardTables,
    sessions: int,
    generators: Generators,
    take_turn: TurnFunction[Turn] = turn,
    team: Team = ALONE,
) -> Rollout:
    """Play `sessions` streams for T turns; when a session ends, its stream starts another with a new user.

    take_turn: `darlr.simulation.environment.turn`, or its compiled twin. team: the workers that share the streams.
    """
    environment, device, (own, _) = simulator.environment, tables.frozen.device, team.share(sessions)
    options = {"generator": generators.users, "device": generators.users.device}
    # One user is drawn for every stream and turn; only streams that restart use theirs.
    users = torch.randint(tables.frozen.shape[0], (environment.turns + 1, sessions), **options).to(device)  # type: ignore[call-overload]
    uniform = torch.rand(environment.turns, sessions, generator=generators.actions, device=generators.actions.device)
    users, uniform = users[:, own], uniform.to(device)[:, own]
    pick_tokens = selector.tokens() if selector is not None else None
    streams, picking = Streams(recommender.heads.actor), None if selector is None else Streams(selector.heads.actor)
    worlds, noise = _drawn(simulator, sessions, generators.tastes, own, device)
    agents = Learning(recommender, selector, simulator, tables, recommender.tokens(), pick_tokens)
    everything = recommender.heads.actor.layer() if take_turn is turn and recommender.slates is None else None

    def ruled(rule: ReferenceRule, user: Tensor) -> References:
        everyone = user.new_zeros(sessions)  # the rule draws for all streams
        everyone[own] = user
        picked = rule(everyone, generators.picks)
        return References(picked.users[own], picked.similarity[own], picked.diversity[own])

    def chance(number: int, session: Session) -> Draws:
        picks = None if selector is None else pick_draws(selector, sessions, generators.picks, device)[:, own]
        references = None if simulator.references is None else ruled(simulator.references, session.user)
        slate = None if recommender.slates is None else recommender.slates.of(session.user)
        drawn = told = None
        if worlds is not None and noise is not None:  # a session keeps the draw of the turn in which it began
            drawn, told = worlds.gather(0, (number - session.turn)[None]).squeeze(0), noise[number]
        layer, pool = everything, None
        if take_turn is turn and device.type in WAITING:  # compiled code reads the layers itself
            if slate is not None:
                layer = streams.of(session.user, slate.known(simulator.world.n_items))
            if picking is not None and selector is not None and selector.pool is not None:
                pool = picking.of(session.user, selector.pool.index_select(0, session.user))
        # Compiled code has one form for all turns.
        shown = number if environment.together and take_turn is turn else None
        return Draws(uniform[number], picks, references, slate, layer, pool, drawn, told, shown)

    session, played = play(environment, agents, users[0], chance, users[1:], take_turn)
    slate = None if recommender.slates is None else recommender.slates.of(session.user)
    last = recommender(recommender.observe(session), agents.tokens, slate, everything).hidden
    turns = join([one.move for one in played])
    assert turns.hidden is not None
    value, last_value = (recommender.heads.value(hidden) for hidden in (turns.hidden, last))
    turns = replace(turns, hidden=None)
    done, number = (torch.cat(parts) for parts in zip(*((one.done, one.turn) for one in played), strict=True))
    played_here = Rollout(turns, done, number, turns.reward(simulator.reward, simulator.shift), value, last_value)
    return team.gathered(played_here, sessions)


def _drawn(
    simulator: Simulator, sessions: int, generator: torch.Generator | None, own: slice, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """The draw of a session that begins in each turn, and the noise of each turn's feedback, [T, B] of own streams.

    None where sessions are played in the mean world.
    """
    tastes, shape = simulator.world.tastes, (simulator.environment.turns, sessions)
    if tastes is None or generator is None:
        return None, None
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return tuple(one.to(device)[:, own] for one in (tastes.sample(shape, generator), noise))  # type: ignore[return-value]


T = TypeVar("T")


def join(parts: Sequence[T]) -> T:
    """Concatenate alike dataclasses of tensors, field by field, along the first axis."""
    first = parts[0]
    if first is None:
        return first
    if isinstance(first, Tensor):
        return torch.cat(parts)  # type: ignore[arg-type, return-value]
    return type(first)(**{name: join([vars(part)[name] for part in parts]) for name in vars(first)})
