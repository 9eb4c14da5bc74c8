"""The state of learning, and the step that updates it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding

from darlr.agents.a2c import generalised_advantages, update
from darlr.agents.candidates import build_pool, candidate_count
from darlr.agents.decisions import Decisions
from darlr.agents.fast.kernels import PLAIN, Kernels, compiled
from darlr.agents.recommender import Recommender
from darlr.agents.references import build_references
from darlr.agents.rollout import Generators, Rollout, Simulator, rollout
from darlr.agents.seeds import derived
from darlr.agents.selector import Selection, Selector, selection_rows
from darlr.methods import RewardTables, find
from darlr.methods.rewards import refine
from darlr.options import A2CConfig, TrainConfig
from darlr.simulation.environment import Environment
from darlr.simulation.exits import EXITS, CategoryExit, Exit
from darlr.world.tables import World

# The purposes of the seeds that are derived from a run's seed. Changing a number changes every result.
RECOMMENDER, SELECTOR, USERS, ACTIONS, PICKS, BATCHES, HELD_OUT, CANDIDATES, KEPT = range(1, 10)


@dataclass
class Learner:
    """The whole state of training: networks, optimisers, generators and reward tables."""

    recommender: Recommender
    recommender_optimiser: torch.optim.Optimizer
    selector: Selector | None
    selector_optimiser: torch.optim.Optimizer | None
    tables: RewardTables
    generators: Generators
    kernels: Kernels = PLAIN

    @property
    def refines(self) -> bool:
        """Whether learning changes r_prev, as that of DARLR does."""
        return self.tables.previous is not self.tables.frozen


def build_simulator(world: World, tables: RewardTables, exit_rule: Exit, config: TrainConfig) -> Simulator:
    """The simulated world of one method; config.session must be resolved."""
    method, references = find(config.method), None
    if method.references:
        world.hold_cosines()
        references = build_references(world, config.selector)
    session = config.session
    environment = Environment(exit_rule, session.turns, world.n_items, session.repeats, world.n_items)
    return Simulator(world, environment, config.reward, method, method.shift(tables, config.reward), references)


def build_recommender(world: World, config: TrainConfig) -> Recommender:
    """A recommender with the weights that `config.seed` gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            derived(config.seed, RECOMMENDER)
        )  # torch.manual_seed would seed every GPU too
        agent = Recommender(
            config.recommender,
            world.item_vectors,
            world.user_features,
            world.reward_range,
            find(config.method).start(world, config) if config.recommender.prior else None,
            leaving(world, config),
            world.preference,
            world.entries,
        )
        return agent.to(config.device)


def leaving(world: World, config: TrainConfig) -> CategoryExit | None:
    """The exit rule that a cautious recommender respects; None where the World lacks the tables for it."""
    return EXITS[config.session.exit].of_world(config.session, world)


def build_selector(world: World, config: TrainConfig, state_dim: int) -> Selector:
    """A selector with the weights that `config.seed` gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived(config.seed, SELECTOR))
        pool = candidate_pool(world, config)
        return Selector(config.selector, world.user_features, state_dim, pool, world.entries).to(config.device)


def candidate_pool(world: World, config: TrainConfig) -> Tensor | None:
    """The selector's candidates, int64 [U, C]; None where all users are candidates."""
    count = candidate_count(config.selector, world.n_users)
    if not count:
        return None
    # on the CPU, whose generator gives the same candidates on every device
    return build_pool(world, count, torch.Generator().manual_seed(derived(config.seed, CANDIDATES)))


def build_learner(world: World, config: TrainConfig) -> Learner:
    """Fresh networks, optimisers and generators, all from `config.seed`; world: on config.device."""
    recommender = build_recommender(world, config).eval()
    method = find(config.method)
    selects = method.references and config.selector.kind == "learned"
    selector = build_selector(world, config, recommender.state_dim).eval() if selects else None
    seeds = (derived(config.seed, purpose) for purpose in (USERS, ACTIONS, PICKS, BATCHES))
    users, actions, picks, batches = (torch.Generator(config.device).manual_seed(seed) for seed in seeds)
    return Learner(
        recommender,
        adam(recommender, config.recommender.a2c),
        selector,
        adam(selector, config.selector.a2c) if selector is not None else None,
        method.tables(world, config),
        Generators(users, actions, picks, batches),
        compiled(config.device) if config.compile else PLAIN,
    )


def adam(networks: torch.nn.Module, config: A2CConfig) -> torch.optim.Optimizer:
    """Adam, with one fused kernel for each step."""
    return torch.optim.Adam(networks.parameters(), lr=config.learning_rate, fused=True)


def learn(learner: Learner, simulator: Simulator, sessions: int) -> dict[str, Tensor]:
    """One rollout and one update of both agents; returns 0-d metrics.

    reward: mean r~; estimate: mean r; inflation: mean r - r0; penalty: mean P_U; turns: mean length of the sessions
    that ended.
    """
    agents = learner.recommender, learner.selector
    played = rollout(*agents, simulator, learner.tables, sessions, learner.generators, learner.kernels.turn)
    metrics = update_recommender(learner, played, simulator.environment.repeats)
    turns = played.turns
    frozen = learner.tables.frozen[turns.observation.user, turns.action]
    if turns.selection is not None:
        metrics |= update_selector(learner, turns.selection)
    if turns.references is not None:
        metrics |= {"similarity": turns.references.similarity.mean(), "diversity": turns.references.diversity.mean()}
        refine(learner.tables.previous, turns.observation.user, turns.action, turns.shaped.estimate)
    ended = played.done.sum().clamp(min=1)
    return metrics | {
        "reward": played.reward.mean(),
        "estimate": turns.shaped.estimate.mean(),
        "inflation": (turns.shaped.estimate - frozen).mean(),
        "penalty": turns.shaped.uncertainty.mean(),
        "turns": (played.turn * played.done).sum() / ended,
    }


def update_recommender(learner: Learner, played: Rollout, repeats: bool) -> dict[str, Tensor]:
    """A2C on the recommender's decisions."""
    recommender, config = learner.recommender, learner.recommender.config.a2c
    turns, sessions = played.turns, played.last_value.shape[0]
    advantage = generalised_advantages(
        played.reward.view(-1, sessions),
        turns.value.view(-1, sessions),
        played.done.view(-1, sessions),
        played.last_value,
        config.gamma,
        config.gae_lambda,
    ).flatten()

    def decisions_of(rows: Tensor) -> Decisions:
        seen = turns.observation.rows(rows)
        hidden, value = learner.kernels.evaluate(recommender, seen, recommender.own(seen.user))
        excluded = turns.shown[rows, :0] if repeats else turns.shown[rows]
        offset = (lambda part: recommender.offset(seen.rows(part))) if recommender.knows_more else None
        return Decisions(recommender.heads.actor, hidden, value, turns.action[rows], excluded, offset)

    return update(
        learner.recommender,
        learner.recommender_optimiser,
        decisions_of,
        advantage,
        advantage + turns.value,
        config,
        learner.generators.batches,
    )


def update_selector(learner: Learner, selection: Selection) -> dict[str, Tensor]:
    """A2C on the selector's picks; an episode is the K picks for one recommendation."""
    selector, optimiser = learner.selector, learner.selector_optimiser
    if selector is None or optimiser is None:
        raise ValueError("this method has no selector")
    config = selector.config.a2c
    picks = selection.reward.shape[1]
    done = torch.zeros_like(selection.reward, dtype=torch.bool)
    done[:, -1] = True
    advantage = generalised_advantages(
        selection.reward.T,
        selection.value.T,
        done.T,
        torch.zeros_like(selection.value[:, 0]),
        config.gamma,
        config.gae_lambda,
    ).T.flatten()

    def decisions_of(rows: Tensor) -> Decisions:
        episode, pick = rows // picks, rows % picks
        window = selector.config.tracker.window
        recent, before, action = selection_rows(selection.chosen[episode], selection.taken[episode], pick, window)
        tokens, recent = selector.tokens_among(recent)
        users = embedding(recent.T.clamp(min=0), tokens)
        hidden, value = learner.kernels.evaluate_picks(selector, selection.state[episode], users, recent.T >= 0)
        pool = None if selector.pool is None else selector.pool[selection.chosen[episode[::picks], 0]]
        return Decisions(selector.heads.actor, hidden, value, action, before, pool=pool)

    metrics = update(
        selector,
        optimiser,
        decisions_of,
        advantage,
        advantage + selection.value.flatten(),
        config,
        learner.generators.batches,
        group=1 if selector.pool is None else picks,
    )
    return {f"selector_{name}": value for name, value in metrics.items()} | {"selector_reward": selection.reward.mean()}
