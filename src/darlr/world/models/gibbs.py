"""Gibbs sampling of factorisation machines: several chains over one log, all at once.

Freudenthaler, Schmidt-Thieme and Rendle 2011, "Bayesian Factorization Machines": conditionals of single parameters,
hyperparameters of groups of them.

An event meets one row of each side, so that all a side's conditionals need are sums over the events of its users (or
items): events are read once for each side and factor, however many features there are.
"""

from dataclasses import dataclass

import numpy as np
import scipy  # its solvers load when they are first used
from numpy.typing import NDArray

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.models.features import Side, encode

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

INITIAL_SCALE = 0.1  # standard deviation of initial factors
IDS, FEATURES = 0, 1  # groups of a side's parameters, each with hyperparameters of its own


@dataclass(frozen=True)
class _Block:
    """Parameters of a side of which no row (user or item) has two: they are drawn at once.

    codes: int64 [c], rows of the side's tables; place: int64 [n], which of them each row has; weight: float64 [n, 1],
    how much of it, 0 = none; onto: [c, n], sums over the rows that have a code; group: IDS or FEATURES.
    """

    codes: Places
    place: Places
    weight: Reals
    onto: "scipy.sparse.csr_matrix"
    group: int

    def spread(self, values: Reals) -> Reals:
        """values [c, K] -> what they add to each row, [n, K]."""
        return values[self.place] * self.weight


class _Side:
    """Users or items: their parameters in all chains, and the sums over events that their conditionals need."""

    def __init__(
        self, side: Side, rows: Places, weight: Reals, config: WorldModelConfig, generator: np.random.Generator
    ) -> None:
        self.codes, self.weights = side.codes.numpy(), side.weights.double().numpy()
        self.rows, self.generator = rows, generator
        n, chains, factors = len(self.codes), config.members, config.embedding
        self.events = scipy.sparse.csr_matrix((weight, (rows, np.arange(len(rows)))), (n, len(rows)))
        self.count = np.asarray(self.events.sum(1))
        self.blocks = _blocks(side, np.unique(rows))
        self.group = np.where(np.arange(side.n_codes) < n, IDS, FEATURES)
        codes = [np.concatenate([[], *(b.codes for b in self.blocks if b.group == group)]) for group in (IDS, FEATURES)]
        self.known = [part.astype(np.int64) for part in codes]  # parameters that some event meets
        self.linear = np.zeros((side.n_codes, chains))
        self.factors = generator.normal(0, INITIAL_SCALE, (factors, side.n_codes, chains))
        # Of the first order (0) and each factor (1 ...): mean and precision of each group's prior, [1 + F, 2, K].
        self.mean = np.zeros((1 + factors, 2, chains))
        self.precision = np.ones((1 + factors, 2, chains))

    def parameters(self, order: int) -> Reals:
        """First-order weights (order 0) or one factor (1 ...), [codes, K]."""
        return self.linear if order == 0 else self.factors[order - 1]

    def vectors(self, factors: Reals) -> Reals:
        """Sums of the rows' factors [F, codes, K], [F, n, K]."""
        return np.stack([self._sum(factor, self.weights) for factor in factors])

    def pairs(self, factors: Reals) -> Reals:
        """Dot products of the factors over all pairs within a row, [n, K] (Rendle 2010, Lemma 3.1)."""
        squares = np.stack([self._sum(factor**2, self.weights**2) for factor in factors])
        pairs: Reals = 0.5 * (self.vectors(factors) ** 2 - squares).sum(0)
        return pairs

    def draw_priors(self) -> None:
        """Hyperparameters given the parameters that events meet; priors N(0, 1 / lambda) and Gamma(1/2, 1/2)."""
        for order in range(len(self.mean)):
            for group, codes in enumerate(self.known):
                if len(codes):
                    values = self.parameters(order)[codes]
                    of = self.mean[order, group]
                    squares = ((values - of) ** 2).sum(0) + of**2
                    precision = self._gamma((len(codes) + 2) / 2, (1 + squares) / 2)
                    self.precision[order, group] = precision
                    spread = np.sqrt((len(codes) + 1) * precision)
                    self.mean[order, group] = values.sum(0) / (len(codes) + 1) + self._normal(of.shape) / spread

    def draw_linear(self, error: Reals, noise: Reals) -> Reals:
        """First-order weights given all else; what they now add to each row more than before, [n, K].

        error: [L, K], reward less prediction; noise: [K], precision of the reward.
        """
        change = np.zeros((len(self.codes), error.shape[1]))
        sums = self.events @ error
        for block in self.blocks:
            evidence = block.onto @ (block.weight * sums), block.onto @ (block.weight**2 * self.count)
            moved = block.spread(self._draw(0, block, *evidence, noise))
            sums -= self.count * moved
            change += moved
        return change

    def draw_factor(self, f: int, error: Reals, total: Reals, noise: Reals) -> tuple[Reals, Reals]:
        """One factor given all else. total: [L, K], the sum of the event's factors f over both sides.

        Returns how the rows' sums moved, [n, K], and what that takes off the error beside this times `total`, [n, K].
        Along a parameter the prediction rises by h = x (total - v x); the sums follow each block by algebra.
        """
        change, rest = (np.zeros((len(self.codes), error.shape[1])) for _ in range(2))
        q, qq = self.events @ total, self.events @ total**2
        e, qe = self.events @ error, self.events @ (total * error)
        n = self.count
        for block in self.blocks:
            own = block.spread(self.factors[f][block.codes])
            evidence = (
                block.onto @ (block.weight * (qe - own * e)),
                block.onto @ (block.weight**2 * (qq - 2 * own * q + n * own**2)),
            )
            moved = block.spread(self._draw(1 + f, block, *evidence, noise))
            rest += moved * (change - own)
            change += moved
            less = moved * (q - n * own)
            qe += moved * e - moved * (qq - own * q) - moved * less
            e -= less
            qq += moved * (2 * q + n * moved)
            q += n * moved
        return change, rest

    def contribution(self) -> tuple[Reals, Reals]:
        """What depends on this side alone [K, n], and the rows' vectors [K, n, F]; the unmet from their prior."""
        unmet = np.setdiff1d(np.arange(len(self.group)), np.concatenate(self.known))
        group = self.group[unmet]
        linear, *factors = (self.parameters(order).copy() for order in range(len(self.mean)))
        for table, mean, precision in zip([linear, *factors], self.mean, self.precision, strict=True):
            table[unmet] = mean[group] + self._normal((len(unmet), table.shape[1])) / np.sqrt(precision[group])
        every = np.stack(factors)
        own = self._sum(linear, self.weights) + self.pairs(every)
        return own.T, self.vectors(every).transpose(2, 1, 0)

    def _draw(self, order: int, block: _Block, slope: Reals, curvature: Reals, noise: Reals) -> Reals:
        """Draw a block's parameters from their conditional, a normal; the change, [c, K].

        slope: sum of h times the error; curvature: sum of h squared, both weighted and [c, K] or [c, 1].
        """
        table = self.parameters(order)
        old, prior = table[block.codes], self.precision[order, block.group]
        precision = prior + noise * curvature
        centre = (prior * self.mean[order, block.group] + noise * (slope + old * curvature)) / precision
        new = centre + self._normal(old.shape) / np.sqrt(precision)
        table[block.codes] = new
        change: Reals = new - old
        return change

    def _sum(self, table: Reals, weights: Reals) -> Reals:
        """Sums of a table's rows [codes, K] over each row's slots, weighted [n, slots]: [n, K]."""
        total = np.zeros((len(self.codes), table.shape[1]))
        for slot in range(self.codes.shape[1]):
            total += table[self.codes[:, slot]] * weights[:, slot, None]
        return total

    def _normal(self, shape: tuple[int, ...]) -> Reals:
        return self.generator.standard_normal(shape)

    def _gamma(self, shape: float, rate: Reals) -> Reals:
        drawn: Reals = self.generator.standard_gamma(shape, rate.shape) / rate
        return drawn


class Chains:
    """K chains of the Gibbs sampler over one log."""

    def __init__(self, log: InteractionLog, target: Reals, weight: Reals, config: WorldModelConfig) -> None:
        self.generator = np.random.default_rng(config.seed)
        sides = (
            (log.n_users, log.user_features, log.user),
            (log.n_items, log.item_features, log.item),
        )
        self.sides = [_Side(encode(n, columns), rows, weight, config, self.generator) for n, columns, rows in sides]
        self.weight = weight[:, None]
        self.intercept = np.zeros(config.members)
        self.precision = np.ones(config.members)
        of_user, of_item = (side.vectors(side.factors)[:, side.rows] for side in self.sides)
        self.total = of_user + of_item  # [F, L, K]
        within = sum(side.pairs(side.factors)[side.rows] for side in self.sides)
        self.error = target[:, None] - within - (of_user * of_item).sum(0)  # [L, K]

    def sweep(self) -> None:
        """Draw every parameter and hyperparameter once, in place."""
        rows = float(self.weight.sum())
        squares = (self.weight * self.error**2).sum(0)
        self.precision = self.generator.standard_gamma((1 + rows) / 2, squares.shape) * 2 / (1 + squares)
        curvature = 1 + self.precision * rows
        centre = self.precision * ((self.weight * self.error).sum(0) + rows * self.intercept) / curvature
        drawn = centre + self.generator.standard_normal(centre.shape) / np.sqrt(curvature)
        self.error -= drawn - self.intercept
        self.intercept = drawn
        for side in self.sides:
            side.draw_priors()
            self.error -= side.draw_linear(self.error, self.precision)[side.rows]
        for f in range(len(self.total)):
            for side in self.sides:
                change, rest = side.draw_factor(f, self.error, self.total[f], self.precision)
                moved = change[side.rows]
                self.error -= moved * self.total[f] + rest[side.rows]
                self.total[f] += moved

    def draw(self) -> dict[str, Reals]:
        """The chains' state as the tables of a BayesianFM: of users, which the intercept joins, and items."""
        (user, user_vector), (item, item_vector) = (side.contribution() for side in self.sides)
        user = user + self.intercept[:, None]
        return {"user_linear": user, "user_vector": user_vector, "item_linear": item, "item_vector": item_vector}


def _blocks(side: Side, rows: Places) -> list[_Block]:
    """Blocks of the parameters that `rows`, the users (or items) of the events, have; a field with one value is one."""
    codes, weights, field = side.codes.numpy(), side.weights.double().numpy(), side.field.numpy()
    blocks = []
    for f in range(side.n_fields):
        slots = np.flatnonzero(field == f)
        row, slot = np.nonzero(weights[rows][:, slots])
        row, slot = rows[row], slots[slot]
        used, place = np.unique(codes[row, slot], return_inverse=True)
        has = scipy.sparse.csr_matrix((weights[row, slot], (row, place)), (len(codes), len(used)))
        colours = np.zeros(len(used), dtype=np.int64) if len(slots) == 1 else _colours(has)
        for colour in range(colours.max(initial=-1) + 1):
            chosen = np.flatnonzero(colours == colour)
            part = has[:, chosen].tocoo()
            place, weight = np.zeros(len(codes), dtype=np.int64), np.zeros((len(codes), 1))
            place[part.row], weight[part.row, 0] = part.col, part.data
            onto = scipy.sparse.csr_matrix((np.ones(part.nnz), (part.col, part.row)), (len(chosen), len(codes)))
            blocks.append(_Block(used[chosen], place, weight, onto, IDS if f == 0 else FEATURES))
    return blocks


def _colours(has: "scipy.sparse.csr_matrix") -> Places:
    """A colour of each code such that no row [n, codes] has two of one colour: the first that is free."""
    together = (has.T @ has).tocsr()
    colours = np.full(has.shape[1], -1, dtype=np.int64)
    for code in range(len(colours)):
        taken = colours[together.indices[together.indptr[code] : together.indptr[code + 1]]]
        colours[code] = np.flatnonzero(~np.isin(np.arange(len(taken) + 1), taken))[0]
    return colours
