"""The state of learning and its checkpoint, and the step that updates it (method.md sections 3 and 4)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from darlr.agents.a2c import Decisions, generalised_advantages, update
from darlr.agents.fast.kernels import PLAIN, Kernels, compiled
from darlr.agents.large import grouped, touched
from darlr.agents.observation import take
from darlr.agents.parallel import ALONE, Team
from darlr.agents.recommender import Recommender
from darlr.agents.references import build_pool, build_references, candidate_count, learns
from darlr.agents.rollout import Generators, Rollout, Simulator, rollout
from darlr.agents.selector import Selection, Selector, selection_rows
from darlr.agents.slates import Slates
from darlr.errors import RunError
from darlr.io.checkpoint import generator_states, restore_generators
from darlr.methods import RewardTables, find
from darlr.options import A2CConfig, RecommenderConfig, TrainConfig
from darlr.simulation.environment import Environment
from darlr.simulation.exits import EXITS, CategoryExit, Exit
from darlr.world.estimates import Changeable
from darlr.world.kind import part
from darlr.world.tables import World

# The purposes of the seeds that are derived from a run's seed. Changing a number changes every result.
RECOMMENDER, SELECTOR, USERS, ACTIONS, PICKS, BATCHES, HELD_OUT, CANDIDATES, KEPT, SLATES, TASTES = range(1, 12)
SLATE_ITEMS, SLATE_BEST = 20_000, 400  # the largest catalogue without slates by default; the best items of a slate


def derived(seed: int, *purpose: int) -> int:
    """A seed of 64 bits for one purpose of the run with `seed`. Seeds of other purposes and runs are independent of it.

    Purposes start at 1, because 0 is padding.
    """
    return int(np.random.SeedSequence((seed, *purpose)).generate_state(1, np.uint64)[0])


@dataclass
class Learner:
    """The whole state of training: networks, optimisers, generators and reward tables. team: who trains it together."""

    recommender: Recommender
    recommender_optimiser: torch.optim.Optimizer
    selector: Selector | None
    selector_optimiser: torch.optim.Optimizer | None
    tables: RewardTables
    generators: Generators
    kernels: Kernels = PLAIN
    team: Team = ALONE

    @property
    def refined(self) -> Changeable | None:
        """r_prev where learning changes it, as in DARLR."""
        previous = self.tables.previous
        return previous if isinstance(previous, Changeable) and previous is not self.tables.frozen else None


def build_simulator(world: World, tables: RewardTables, exit_rule: Exit, config: TrainConfig) -> Simulator:
    """The simulated world of one method; config.session must be resolved."""
    method, references, session = find(config.method), None, config.session
    if method.references:
        world.hold_cosines()
        references = build_references(world, config.selector)
    environment = Environment(exit_rule, session.turns, world.n_items, session.repeats, world.n_items)
    shift, picks = method.shift(tables, config.reward), config.selector.picks
    return Simulator(world, environment, config.reward, method, shift, references, picks)


def build_recommender(world: World, config: TrainConfig) -> Recommender:
    """A recommender whose initial weights follow from `config.seed`."""
    size = slate_size(config.recommender, world.n_items)
    start = find(config.method).begin(world, config) if config.recommender.prior or size else None
    slates = None
    if size and start is not None:
        seed = derived(config.seed, SLATES) >> 2
        slates = Slates(start, size, config.recommender.slate_random, world.histories, seed)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed every GPU too.
        torch.default_generator.manual_seed(derived(config.seed, RECOMMENDER))
        agent = Recommender(
            config.recommender,
            world.item_vectors,
            world.user_features,
            world.reward_range,
            start if config.recommender.prior else None,
            leaving(world, config),
            world.preference,
            world.entries,
            slates,
            world.dynamics,
            world.risk,
            world.certainty,
        )
        return agent.to(config.device)


def slate_size(config: RecommenderConfig, n_items: int) -> int:
    """The number of best items in a slate; 0 where all items can be recommended."""
    size = (0 if n_items <= SLATE_ITEMS else SLATE_BEST) if config.slate is None else config.slate
    return 0 if size >= n_items else size


def leaving(world: World, config: TrainConfig) -> CategoryExit | None:
    """The exit rule that a cautious recommender respects; None where the World lacks the tables for it."""
    return EXITS[config.session.exit].of_world(config.session, world)


def build_selector(world: World, config: TrainConfig, state_dim: int) -> Selector:
    """A selector whose initial weights and candidates follow from `config.seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived(config.seed, SELECTOR))
        pool = None
        if count := candidate_count(config.selector, world.n_users):
            # On the CPU, whose generator gives the same candidates for every device.
            pool = build_pool(world, count, torch.Generator().manual_seed(derived(config.seed, CANDIDATES)))
        return Selector(config.selector, world.user_features, state_dim, pool, world.entries).to(config.device)


def build_learner(world: World, config: TrainConfig) -> Learner:
    """New networks, optimisers and generators, all from `config.seed`; world: on config.device."""
    recommender = build_recommender(world, config).eval()
    method = find(config.method)
    selects = method.references and learns(config.selector)
    selector = build_selector(world, config, recommender.state_dim).eval() if selects else None
    purposes = (USERS, ACTIONS, PICKS, BATCHES) if world.tastes is None else (USERS, ACTIONS, PICKS, BATCHES, TASTES)
    seeds = (derived(config.seed, purpose) for purpose in purposes)
    return Learner(
        recommender,
        adam(recommender, config.recommender.a2c),
        selector,
        adam(selector, config.selector.a2c) if selector is not None else None,
        method.tables(world, config),
        Generators(*(torch.Generator(config.device).manual_seed(seed) for seed in seeds)),
        compiled(config.device) if config.compile == "on" else PLAIN,
    )


def adam(networks: nn.Module, config: A2CConfig) -> torch.optim.Optimizer:
    """Adam with one fused kernel for each step."""
    return torch.optim.Adam(networks.parameters(), lr=config.learning_rate, fused=True)


def learn(learner: Learner, simulator: Simulator, sessions: int) -> dict[str, Tensor]:
    """One rollout and one update of both agents; returns 0-d metrics.

    reward: mean r~. estimate: mean r. inflation: mean r - r0. penalty: mean P_U. turns: the mean length of the sessions
    that ended.
    """
    if learner.kernels.failed:
        learner.kernels = PLAIN
    agents, generators, take_turn = (learner.recommender, learner.selector), learner.generators, learner.kernels.turn
    played = rollout(*agents, simulator, learner.tables, sessions, generators, take_turn, learner.team)
    metrics = update_recommender(learner, played, simulator.environment.repeats)
    turns = played.turns
    frozen = learner.tables.frozen.pairs(turns.observation.user, turns.action)
    if turns.selection is not None:
        metrics |= update_selector(learner, turns.selection)
    if turns.references is not None:
        metrics |= {"similarity": turns.references.similarity.mean(), "diversity": turns.references.diversity.mean()}
        if learner.refined is not None:
            learner.refined.write(turns.observation.user, turns.action, turns.shaped.estimate)
    ended = played.done.sum().clamp(min=1)
    return metrics | {
        "reward": played.reward.mean(),
        "estimate": turns.shaped.estimate.mean(),
        "inflation": (turns.shaped.estimate - frozen).mean(),
        "penalty": turns.shaped.uncertainty.mean(),
        "turns": (played.turn * played.done).sum() / ended,
    }


def update_recommender(learner: Learner, played: Rollout, repeats: bool) -> dict[str, Tensor]:
    """A2C on the recommender's decisions; an episode is a session."""
    recommender, config = learner.recommender, learner.recommender.config.a2c
    turns, shape = played.turns, (-1, played.last_value.shape[0])
    steps = played.reward.view(shape), played.value.view(shape), played.done.view(shape)
    advantage = generalised_advantages(*steps, played.last_value, config.gamma, config.gae_lambda).flatten()

    def decisions_of(rows: Tensor) -> Decisions:
        seen = turns.observation.rows(rows)
        hidden, value = learner.kernels.evaluate(recommender, seen, recommender.own(seen.user))
        excluded = take(turns.shown[:, :0] if repeats else turns.shown, rows)
        slate = None if turns.slate is None else turns.slate.rows(rows)

        def offset(part: slice | Tensor) -> Tensor:
            return recommender.offset(seen.rows(part), None if slate is None else slate.rows(part))

        more = offset if recommender.knows_more or slate is not None else None
        decisions = Decisions(recommender.heads.actor, hidden, value, take(turns.column, rows), excluded, more)
        return decisions if pool is None else grouped(decisions, seen.user, place(pool[rows]))

    optimiser, batches, target = learner.recommender_optimiser, learner.generators.batches, advantage + played.value
    pool = None if turns.slate is None else turns.slate.known(len(recommender.items))
    with touched(recommender.heads.actor, optimiser, pool) as place:
        return update(recommender, optimiser, decisions_of, advantage, target, config, batches, team=learner.team)


def update_selector(learner: Learner, selection: Selection) -> dict[str, Tensor]:
    """A2C on the selector's picks; an episode is the K picks for one recommendation."""
    selector, optimiser = learner.selector, learner.selector_optimiser
    if selector is None or optimiser is None:
        raise ValueError("this method has no selector")
    config, picks, last_value = selector.config.a2c, selection.reward.shape[1], torch.zeros_like(selection.value[:, 0])
    done = torch.zeros_like(selection.reward, dtype=torch.bool)
    done[:, -1] = True
    steps = selection.reward.T, selection.value.T, done.T
    advantage = generalised_advantages(*steps, last_value, config.gamma, config.gae_lambda).T.flatten()

    def decisions_of(rows: Tensor) -> Decisions:
        episode, pick = rows // picks, rows % picks
        window = selector.config.tracker.window
        recent, before, action = selection_rows(
            take(selection.chosen, episode), take(selection.taken, episode), pick, window
        )
        tokens, recent = selector.tokens_among(recent)
        users = embedding(recent.T.clamp(min=0), tokens)
        hidden, value = learner.kernels.evaluate_picks(selector, take(selection.state, episode), users, recent.T >= 0)
        own = None if pool is None else place(pool[episode[::picks]])
        return Decisions(selector.heads.actor, hidden, value, action, before, pool=own)

    pool = None if selector.pool is None else selector.pool[selection.chosen[:, 0]]
    target, group = advantage + selection.value.flatten(), 1 if pool is None else picks
    batches, team = learner.generators.batches, learner.team
    with touched(selector.heads.actor, optimiser, pool) as place:
        metrics = update(selector, optimiser, decisions_of, advantage, target, config, batches, group=group, team=team)
    return {f"selector_{name}": value for name, value in metrics.items()} | {"selector_reward": selection.reward.mean()}


def _agents(learner: Learner) -> Iterator[tuple[str, nn.Module, torch.optim.Optimizer]]:
    yield "recommender", learner.recommender, learner.recommender_optimiser
    if learner.selector is not None and learner.selector_optimiser is not None:
        yield "selector", learner.selector, learner.selector_optimiser


def _generators(learner: Learner) -> dict[str, torch.Generator]:
    """The learner's generators, and PyTorch's own of its device, from which dropout draws."""
    device, shared = learner.tables.frozen.device, torch.default_generator
    if device.type == "cuda":
        shared = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    own = {name: generator for name, generator in vars(learner.generators).items() if generator is not None}
    return {**own, "global": shared}


def state(learner: Learner) -> dict[str, Tensor]:
    """Weights, Adam moments, generators and the refined reward table."""
    tensors = generator_states(_generators(learner))
    if learner.refined is not None:
        tensors |= {f"previous.{name}": value for name, value in learner.refined.state().items()}
    for name, networks, optimiser in _agents(learner):
        tensors |= {f"{name}.{key}": value for key, value in networks.state_dict().items()}
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.adam.{index}.{key}": value for key, value in moments.items()}
    return tensors


def load_state(learner: Learner, tensors: dict[str, Tensor]) -> None:
    """Bring a learner that was built from the same options to a saved state.

    Raises RunError when the tensors do not fit, as when another version of the code wrote them.
    """
    try:
        for name, networks, optimiser in _agents(learner):
            networks.load_state_dict({key: tensors[f"{name}.{key}"] for key in networks.state_dict()})
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(prefix := f"{name}.adam."):
                    index, moment = key.removeprefix(prefix).split(".")
                    moments.setdefault(int(index), {})[moment] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        if learner.refined is not None:
            learner.refined.load(part(tensors, "previous."))
    except (KeyError, RuntimeError, ValueError) as error:
        raise RunError(
            f"the checkpoint does not fit this version of darlr ({error}); train in another folder"
        ) from error
    restore_generators(_generators(learner), tensors)
