"""One rollout: B simulated sessions for T turns, K picks in each turn (method.md sections 2 to 4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from darlr.agents.actor_critic import forbid
from darlr.agents.recommender import Decision, Observation, Recommender, Tokens
from darlr.agents.references import ReferenceRule
from darlr.agents.selector import PickTokens, Selection, Selector, pick_draws, select
from darlr.methods.rewards import References, RewardFunction, RewardTables, Shaped, Step
from darlr.options import RewardConfig, SessionConfig
from darlr.simulation.exits import Exit, never
from darlr.simulation.policy import draw
from darlr.simulation.session import Session, end_exhausted, last_items, reset, restart, show
from darlr.world.tables import World


@dataclass(frozen=True)
class Simulator:
    """The world that sessions are simulated in: everything here comes from the log, nothing from the truth.

    references: how DARLR's reference users are chosen where no selector picks them.
    """

    world: World
    exit: Exit
    session: SessionConfig
    reward: RewardConfig
    shape: RewardFunction
    shift: float
    references: ReferenceRule | None = None


@dataclass(frozen=True)
class Generators:
    """One random generator for each purpose, so that none disturbs another."""

    users: torch.Generator
    actions: torch.Generator
    picks: torch.Generator
    batches: torch.Generator


@dataclass(frozen=True)
class Turn:
    """Decisions and what came of them: one turn of B streams, or N = T * B turn by turn after `join`.

    shown: items already shown, int64 [N, T] padded with -1. value: the critic's. done: the session ended with this
    item. turn: items shown in it by then.
    """

    observation: Observation
    shown: Int[Tensor, "N T"]
    action: Int[Tensor, " N"]
    value: Float[Tensor, " N"]
    shaped: Shaped
    done: Bool[Tensor, " N"]
    turn: Int[Tensor, " N"]
    references: References | None
    selection: Selection | None


@dataclass(frozen=True)
class Rollout:
    """Decisions of a rollout, r~ for each, float32 [N], and the critic on the states after the last, float32 [B]."""

    turns: Turn
    reward: Float[Tensor, " N"]
    last_value: Float[Tensor, " B"]


class Draws(NamedTuple):
    """Chance in one turn of B streams: uniform in [0, 1) for the items and for the selector's K picks, and next users.

    action: float32 [B]. newcomer: int64 [B], who a stream whose session ends goes on with. picks: float32 [K, B], None
    without a selector.
    """

    action: Float[Tensor, " B"]
    newcomer: Int[Tensor, " B"]
    picks: Float[Tensor, "K B"] | None


class Players(NamedTuple):
    """Agents, where they play, and what stays the same for a whole rollout: their tokens.

    together: all streams end their sessions with the rollout, and no sooner.
    """

    recommender: Recommender
    selector: Selector | None
    simulator: Simulator
    tables: RewardTables
    tokens: Tokens
    pick_tokens: PickTokens | None
    together: bool


def turn(players: Players, session: Session, draws: Draws, references: References | None) -> tuple[Session, Turn]:
    """One turn of B streams, tensors alone: the sessions after it, and what it was.

    references: those of a rule, where no selector picks them.
    """
    simulator, tables = players.simulator, players.tables
    config, n_items = simulator.session, session.n_items
    observation = players.recommender.observe(session)
    decision: Decision = players.recommender(observation, players.tokens)
    logits = decision.logits if config.repeats else forbid(decision.logits, session.items)
    action = draw(logits.softmax(-1), draws.action)
    selection = None
    if players.selector is not None and draws.picks is not None:
        references, selection = select(
            players.selector,
            simulator.world,
            tables.start,
            decision.state,
            session.user,
            action,
            draws.picks,
            players.pick_tokens,
        )
    last = session.items[:, -1]
    paid = simulator.shape(tables, Step(session.user, action, last, references), simulator.reward)
    leaves = torch.zeros_like(session.done)
    if not players.together:
        leaves = simulator.exit(last_items(session, config.window), action[:, None]).squeeze(1)
    after = show(session, action, paid.estimate, leaves)
    after = after if config.repeats else end_exhausted(after, n_items)
    played = Turn(
        observation=observation,
        shown=session.items,
        action=action,
        value=decision.value,
        shaped=paid,
        done=after.done,
        turn=after.turn,
        references=references,
        selection=selection,
    )
    return after if players.together else restart(after, draws.newcomer), played


TurnFunction = Callable[[Players, Session, Draws, References | None], tuple[Session, Turn]]


@torch.inference_mode()
def rollout(
    recommender: Recommender,
    selector: Selector | None,
    simulator: Simulator,
    tables: RewardTables,
    sessions: int,
    generators: Generators,
    play: TurnFunction = turn,
) -> Rollout:
    """Play `sessions` streams for T turns; a stream whose session ends starts another with a new user.

    play: `turn`, or the same compiled.
    """
    n_users, n_items = tables.frozen.shape
    device = tables.frozen.device
    config = simulator.session
    options = {"generator": generators.users, "device": generators.users.device}
    # one user for every stream and turn: whoever is not needed to restart a stream goes unused
    users = torch.randint(n_users, (config.turns + 1, sessions), **options).to(device)  # type: ignore[call-overload]
    uniform = torch.rand(config.turns, sessions, generator=generators.actions, device=generators.actions.device)
    session = reset(users[0], n_items, config.turns)
    players = Players(
        recommender,
        selector,
        simulator,
        tables,
        recommender.tokens(),
        selector.tokens() if selector is not None else None,
        # nobody leaves and items do not run out: nothing to look at but whether the last turn is over
        together=simulator.exit is never and (config.repeats or n_items > config.turns),
    )
    turns: list[Turn] = []
    for uniform_t, newcomer in zip(uniform.to(device), users[1:], strict=True):
        picks = None if selector is None else pick_draws(selector, sessions, generators.picks, device)
        references = None if simulator.references is None else simulator.references(session.user, generators.picks)
        session, played = play(players, session, Draws(uniform_t, newcomer, picks), references)
        turns.append(played)
    if players.together:
        session = restart(session, users[-1])
    last_value = recommender(recommender.observe(session), players.tokens).value
    joined = join(turns)
    return Rollout(joined, joined.shaped.reward(simulator.reward, simulator.shift), last_value)


T = TypeVar("T")


def join(parts: Sequence[T]) -> T:
    """Concatenate equal dataclasses of tensors, field by field, along their first axis."""
    first = parts[0]
    if first is None:
        return first
    if isinstance(first, Tensor):
        return torch.cat(parts)  # type: ignore[arg-type, return-value]
    names = [field.name for field in fields(first)]  # type: ignore[arg-type]
    return type(first)(**{name: join([getattr(part, name) for part in parts]) for name in names})
