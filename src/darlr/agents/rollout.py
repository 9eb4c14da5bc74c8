"""One rollout: B simulated sessions for T turns, K picks in each turn (method.md sections 2 to 4)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from darlr.agents.actor_critic import forbid
from darlr.agents.recommender import Decision, Observation, Recommender
from darlr.agents.references import ReferenceRule
from darlr.agents.selector import Selection, Selector, select
from darlr.config import RewardConfig, SessionConfig
from darlr.simulation.exits import Exit, never
from darlr.simulation.policy import draw
from darlr.simulation.rewards import References, RewardFunction, RewardTables, Shaped, Step
from darlr.simulation.session import end_exhausted, last_items, reset, restart, show
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


@torch.inference_mode()
def rollout(
    recommender: Recommender,
    selector: Selector | None,
    simulator: Simulator,
    tables: RewardTables,
    sessions: int,
    generators: Generators,
) -> Rollout:
    """Play `sessions` streams for T turns; a stream whose session ends starts another with a new user."""
    n_users, n_items = tables.frozen.shape
    device = tables.frozen.device
    config = simulator.session
    draws = {"generator": generators.users, "device": generators.users.device}
    # one user for every stream and turn: whoever is not needed to restart a stream goes unused
    users = torch.randint(n_users, (config.turns + 1, sessions), **draws).to(device)  # type: ignore[call-overload]
    uniform = torch.rand(config.turns, sessions, generator=generators.actions, device=generators.actions.device)
    session = reset(users[0], n_items, config.turns)
    # nobody leaves and items do not run out: nothing to look at but whether the last turn is over
    together = simulator.exit is never and (config.repeats or n_items > config.turns)
    stays = torch.zeros_like(session.done)
    turns: list[Turn] = []
    # the same for the whole rollout
    tokens = recommender.tokens()
    user_tokens = selector.user_tokens() if selector is not None else None
    for uniform_t, newcomer in zip(uniform.to(device), users[1:], strict=True):
        observation = recommender.observe(session)
        decision: Decision = recommender(observation, tokens)
        logits = decision.logits if config.repeats else forbid(decision.logits, session.items)
        action = draw(logits.softmax(-1), uniform_t)
        references, selection = None, None
        if selector is not None:
            references, selection = select(
                selector,
                simulator.world,
                tables.start,
                decision.state,
                session.user,
                action,
                generators.picks,
                user_tokens,
            )
        elif simulator.references is not None:
            references = simulator.references(session.user, generators.picks)
        last = session.items[:, -1]
        paid = simulator.shape(tables, Step(session.user, action, last, references), simulator.reward)
        leaves = stays
        if not together:
            leaves = simulator.exit(last_items(session, config.window), action[:, None]).squeeze(1)
        shown = session.items
        session = show(session, action, paid.estimate, leaves)
        session = session if config.repeats else end_exhausted(session, n_items)
        turns.append(
            Turn(
                observation=observation,
                shown=shown,
                action=action,
                value=decision.value,
                shaped=paid,
                done=session.done,
                turn=session.turn,
                references=references,
                selection=selection,
            )
        )
        if not together or len(turns) == config.turns:
            session = restart(session, newcomer)
    last_value = recommender(recommender.observe(session), tokens).value
    played = join(turns)
    return Rollout(played, played.shaped.reward(simulator.reward, simulator.shift), last_value)


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
