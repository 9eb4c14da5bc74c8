"""The work that one simulated step needs at least: products of matrices, exponentials and bytes, from sizes alone.

Counted: every linear layer once in the rollout (forward) and once in the update (forward, gradients by its weights and,
where something learned lies below, by its input); one exponential for each logit in either; rows of feedback vectors
that are projected, cells that are looked up, and Adam's state. Not counted, as it could be fused with that or is tiny:
sums and draws, activations, attention over a short window, norms, the session. So the floor is one of the method as its
networks are defined, not of a cleverer method.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from darlr.agents.references import candidate_count
from darlr.options import A2CConfig, TrackerConfig, TrainConfig
from darlr.world.tables import World

FLOAT = 4
LINE = 64  # bytes that one cell of a table costs: a cache line
ADAM = 7 * FLOAT  # a parameter, its gradient and two moments read; all but the gradient written


@dataclass(frozen=True)
class Sizes:
    """Of a data set. users: U; items: I; item: length of an item vector; feedback: length of a feedback vector p, of
    which `entries` are read where the others are 0 (mean over users; 0: all)."""

    users: int
    items: int
    item: int
    feedback: int
    entries: int = 0


@dataclass(frozen=True)
class Product:
    """[m, k] x [k, n], needed `count` times a simulated step."""

    part: str
    m: int
    k: int
    n: int
    count: float

    @property
    def flop(self) -> float:
        """Multiplications and additions a step."""
        return 2.0 * self.m * self.k * self.n * self.count


@dataclass(frozen=True)
class Floor:
    """What a simulated step needs at least. exps: exponentials; bytes: read or written outside of the products."""

    products: tuple[Product, ...]
    exps: float
    bytes: float

    @property
    def flop(self) -> float:
        """Of all products, a step."""
        return sum(product.flop for product in self.products)


@dataclass(frozen=True)
class Layer:
    """A linear layer [inner, outer]. tokens: rows a decision; below: whether something under it learns.

    table: 0, or the rows of a table that it projects as a whole, once a rollout and once a minibatch; entries: so many
    of a row are read (0: all). folds: so many layers of this size are one product.
    """

    part: str
    inner: int
    outer: int
    tokens: float = 1.0
    below: bool = True
    table: int = 0
    entries: int = 0
    folds: int = 1

    @property
    def read(self) -> int:
        """Numbers of a row that enter the product."""
        return self.entries or self.inner

    @property
    def weights(self) -> int:
        """How many it has, with biases."""
        return self.folds * (self.inner + 1) * self.outer


@dataclass(frozen=True)
class Agent:
    """The layers of an agent; sessions: decisions in one call; decisions: of one rollout; config: its minibatches."""

    layers: tuple[Layer, ...]
    sessions: int
    decisions: int
    config: A2CConfig

    @property
    def rows(self) -> int:
        """Rows of one minibatch."""
        return self.decisions // max(1, round(self.decisions / self.config.minibatch))

    def products(self) -> Iterator[Product]:
        """Of all layers, counts a decision."""
        for layer in self.layers:
            yield from self._table(layer) if layer.table else self._rows(layer)

    def _rows(self, layer: Layer) -> Iterator[Product]:
        act = round(self.sessions * max(1.0, layer.tokens))
        rows = max(1, round(self.rows * layer.tokens))
        yield Product(layer.part, act, layer.inner, layer.outer, layer.tokens / act)
        yield from self._learn(layer, rows, layer.tokens / rows)

    def _table(self, layer: Layer) -> Iterator[Product]:
        yield Product(layer.part, layer.table, layer.read, layer.outer, 1 / self.decisions)
        yield from self._learn(layer, layer.table, 1 / self.rows)

    def _learn(self, layer: Layer, rows: int, count: float) -> Iterator[Product]:
        yield Product(layer.part, rows, layer.read, layer.outer, count)
        yield Product(layer.part, layer.read, rows, layer.outer, count)
        if layer.below:
            yield Product(layer.part, rows, layer.outer, layer.read, count)

    def bytes(self) -> float:
        """Adam's state, and the tables that are projected forward and for their gradient; a decision."""
        state = ADAM * sum(layer.weights for layer in self.layers) / self.rows
        cells = sum(layer.table * layer.read for layer in self.layers if not layer.below)
        return state + FLOAT * cells * (1 / self.decisions + 2 / self.rows)


def sizes_of(world: World) -> Sizes:
    """The sizes of a world's tables."""
    entries = 0 if world.entries is None else -(-len(world.entries.rows.value) // world.n_users)
    return Sizes(world.n_users, world.n_items, world.item_vectors.shape[1], world.user_features.shape[1], entries)


def floor(sizes: Sizes, config: TrainConfig) -> Floor:
    """The floor of a configured method."""
    agent = recommender(sizes, config)
    found = Floor(tuple(agent.products()), 2.0 * sizes.items, agent.bytes() + LINE * lookups(config))
    if config.method != "darlr" or config.selector.kind != "learned":
        return found
    picks, among = config.selector.picks, candidate_count(config.selector, sizes.users) or sizes.users
    other = selector(sizes, config, among)
    products = tuple(replace(product, count=product.count * picks) for product in other.products())
    return Floor((*found.products, *products), found.exps + 2.0 * picks * among, found.bytes + picks * other.bytes())


def recommender(sizes: Sizes, config: TrainConfig) -> Agent:
    """The layers of docs/method.md, section 3."""
    agent, dim = config.recommender, config.recommender.tracker.dim
    tokens = 1 if agent.tracker.kind == "mean" else agent.tracker.window  # a mean's token is that of the mean
    layers = [Layer("tracker", sizes.item + 1, dim, tokens, below=False)]
    layers += tracker("tracker", agent.tracker)
    if agent.user_in_state:  # of each user who is there once: at least as many as there are sessions side by side
        there = min(sizes.users, config.sessions)
        layers.append(Layer("feedback vectors", sizes.feedback, dim, below=False, table=there, entries=sizes.entries))
    layers += heads("", state_width(config), agent.a2c, sizes.items)
    return Agent(tuple(layers), config.sessions, config.sessions * config.session.turns, agent.a2c)


def state_width(config: TrainConfig) -> int:
    """Length of the recommender's state."""
    return config.recommender.tracker.dim * (2 if config.recommender.user_in_state else 1)


def selector(sizes: Sizes, config: TrainConfig, among: int) -> Agent:
    """The layers of docs/method.md, section 4; every user can be a token, `among` of them can be chosen."""
    agent, dim = config.selector, config.selector.tracker.dim
    layers = [
        Layer(
            "feedback vectors",
            sizes.feedback,
            agent.projection,
            below=False,
            table=sizes.users,
            entries=sizes.entries,
        ),
        Layer("feedback vectors", agent.projection, dim, table=sizes.users),
        # the recommender's state enters once for all picks
        Layer("selector's tracker", state_width(config), dim, 1 / agent.picks, below=False),
        *tracker("selector's tracker", agent.tracker),
        *heads("selector's ", dim, agent.a2c, among),
    ]
    decisions = config.sessions * config.session.turns * agent.picks
    return Agent(tuple(layers), config.sessions, decisions, agent.a2c)


def tracker(part: str, config: TrackerConfig) -> list[Layer]:
    """A Transformer's layers: the last one is read at the newest position alone. A mean has none.

    Query and key of a single head fold into one product, and value and output into another.
    """
    layers: list[Layer] = []
    for depth in range(config.layers if config.kind == "transformer" else 0):
        reads, dim = (1 if depth == config.layers - 1 else config.window), config.dim
        if config.heads == 1:
            layers += [Layer(part, dim, dim, reads, folds=2), Layer(part, dim, dim, reads, folds=2)]
        else:
            layers += [Layer(part, dim, dim, tokens) for tokens in (reads, config.window, config.window, reads)]
        layers += [Layer(part, dim, 2 * dim, reads), Layer(part, 2 * dim, dim, reads)]
    return layers


def heads(whose: str, state: int, config: A2CConfig, actions: int) -> list[Layer]:
    """Trunk, critic and actor."""
    widths = (state, *config.hidden)
    trunk = [Layer(f"{whose}trunk", inner, outer) for inner, outer in pairwise(widths)]
    return [*trunk, Layer(f"{whose}trunk", widths[-1], 1), Layer(f"{whose}actor", widths[-1], actions)]


def lookups(config: TrainConfig) -> float:
    """Cells of tables that a step reads: rewards, penalties, entropies, and cosines of the references."""
    cells = {"mbpo": 1, "ips": 1, "gt": 1, "mopo": 2, "dorl": 4, "roler": 4}
    picks = config.selector.picks
    # Eq. 15, r_prev and the entropies; cosines with the user, and of all pairs of picks for the diversity
    return cells.get(config.method, picks + 3 + picks + picks * (picks - 1) / 2)
