"""Gibbs sampling of factorisation machines: several chains over one log, computed together.

The sampler is that of Freudenthaler, Schmidt-Thieme and Rendle 2011, "Bayesian Factorization Machines": it draws single
parameters, and the hyper-parameters of groups of them, from their conditional distributions. An event has one user and
one item, so that the conditionals of one side (users or items) need only sums over the events of each user or item.
Events are therefore read once for each side and factor, whatever the number of features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy  # its solvers load when they are first used
from numpy.typing import NDArray

from darlr.data.log import InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.models.features import Side, encode

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

INITIAL_SCALE = 0.1  # the standard deviation of initial factors
BLOCK = 4096  # rows, or events, of one step through arrays that are too large for the cache
IDS, FEATURES = 0, 1  # the groups of a side's parameters, each of which has its own hyper-parameters


@dataclass(frozen=True)
class _Batch:
    """Parameters of a side that are drawn together, because no row (user or item) has two of them.

    codes: int64 [c], the parameters. rows: the r rows that have one of them; of a field of many values these are few.
    place: int64 [r], the position in `codes` of each such row's parameter, and weight: float64 [r, K], its weight, the
    same in all chains. onto: [c, r], the matrix that sums over the rows with each parameter.
    """

    codes: Places
    rows: Places | slice
    place: Places
    weight: Reals
    onto: "scipy.sparse.csr_matrix"
    group: int

    def blocks(self) -> Iterator[tuple[Places | slice, slice]]:
        """Blocks of its rows, and their positions among the r."""
        for some in _blocks(len(self.place)):
            yield some if isinstance(self.rows, slice) else self.rows[some], some

    def spread(self, values: Reals) -> Reals:
        """The contribution to each of its rows, [r, K], of parameters of values [c, K]."""
        return values.take(self.place, 0) * self.weight


class _Side:
    """The parameters of users or items in all chains, and the sums over events in their conditionals."""

    def __init__(
        self, side: Side, rows: Places, weight: Reals, config: WorldModelConfig, generator: np.random.Generator
    ) -> None:
        self.codes, self.weights = side.codes.numpy(), side.weights.double().numpy()
        self.rows, self.generator = rows, generator
        n, chains, factors = len(self.codes), config.members, config.embedding
        self.events = scipy.sparse.csr_matrix((weight, (rows, np.arange(len(rows)))), (n, len(rows)))
        self.count = np.tile(np.asarray(self.events.sum(1)), chains)
        self.batches = _batches(side, np.unique(rows), chains)
        self.group = np.where(np.arange(side.n_codes) < n, IDS, FEATURES)
        codes = [np.concatenate([[], *(b.codes for b in self.batches if b.group == g)]) for g in (IDS, FEATURES)]
        self.known = [part.astype(np.int64) for part in codes]  # the parameters that occur in an event
        self.linear = np.zeros((side.n_codes, chains))
        self.factors = generator.normal(0, INITIAL_SCALE, (factors, side.n_codes, chains))
        # the mean and precision of each group's prior, [1 + F, 2, K], for first-order weights (0) and factors (1 ...)
        self.mean = np.zeros((1 + factors, 2, chains))
        self.precision = np.ones((1 + factors, 2, chains))

    def parameters(self, order: int) -> Reals:
        """The first-order weights (order 0) or one factor (1 ...), [codes, K]."""
        return self.linear if order == 0 else self.factors[order - 1]

    def vectors(self, factors: Reals) -> Reals:
        """The sums of factors [F, codes, K] over the codes of each row, [F, n, K]."""
        return np.stack([self._sum(factor, self.weights) for factor in factors])

    def pairs(self, factors: Reals) -> Reals:
        """The dot products of the factors, summed over all pairs within each row, [n, K] (Rendle 2010, Lemma 3.1)."""
        squares = np.stack([self._sum(factor**2, self.weights**2) for factor in factors])
        pairs: Reals = 0.5 * (self.vectors(factors) ** 2 - squares).sum(0)
        return pairs

    def draw_priors(self) -> None:
        """Draw hyper-parameters given the parameters that occur. Their priors are N(0, 1 / lambda), Gamma(1/2, 1/2)."""
        for order in range(len(self.mean)):
            for group, codes in enumerate(self.known):
                if len(codes):
                    values = self.parameters(order)[codes]
                    of = self.mean[order, group]
                    squares = ((values - of) ** 2).sum(0) + of**2
                    precision = self.generator.standard_gamma((len(codes) + 2) / 2, of.shape) / ((1 + squares) / 2)
                    self.precision[order, group] = precision
                    spread = np.sqrt((len(codes) + 1) * precision)
                    self.mean[order, group] = values.sum(0) / (len(codes) + 1) + self._normal(of.shape) / spread

    def draw_linear(self, error: Reals, noise: Reals) -> Reals:
        """Draw first-order weights given everything else, and return the change of each row's sum, [n, K].

        error: [L, K], the rewards less the predictions. noise: [K], the precision of the reward.
        """
        change = np.zeros((len(self.codes), error.shape[1]))
        sums = self.events @ error
        for batch in self.batches:
            at, n = batch.rows, self.count[batch.rows]
            evidence = batch.onto @ (batch.weight * sums[at]), batch.onto @ (batch.weight**2 * n)
            moved = batch.spread(self._draw(0, batch, *evidence, noise))
            sums[at] -= n * moved
            change[at] += moved
        return change

    def draw_factor(self, f: int, error: Reals, total: Reals, noise: Reals) -> tuple[Reals, Reals]:
        """Draw factor f given everything else. total: [L, K], the sum of the factors f of each event over both sides.

        Returns change, that of each row's sum of factors, and rest, both [n, K], with which the error of an event falls
        by change * total + rest. The derivative of the prediction by a parameter v of weight x is h = x (total - v x).
        After each batch the sums over events are updated algebraically, without reading events.
        """
        change, rest = (np.zeros((len(self.codes), error.shape[1])) for _ in range(2))
        q, qq = self.events @ total, self.events @ total**2
        e, qe, count = self.events @ error, self.events @ (total * error), self.count
        for batch in self.batches:
            own = batch.spread(self.factors[f][batch.codes])
            slope, curvature = np.empty_like(own), np.empty_like(own)
            for at, some in batch.blocks():
                x, weight, n, q_, qq_, e_, qe_ = own[some], batch.weight[some], *_read(at, count, q, qq, e, qe)
                slope[some] = weight * (qe_ - x * e_)
                curvature[some] = weight**2 * (qq_ - 2 * x * q_ + n * x**2)
            every = batch.spread(self._draw(1 + f, batch, batch.onto @ slope, batch.onto @ curvature, noise))
            for at, some in batch.blocks():
                x, moved, n, q_, qq_, e_, qe_ = own[some], every[some], *_read(at, count, q, qq, e, qe)
                before, fell = _read(at, change, rest)
                less, grown = moved * (q_ - n * x), n * moved
                rest[at] = fell + moved * (before - x)
                change[at] = before + moved
                qe[at] = qe_ + (moved * e_ - moved * (qq_ - x * q_) - moved * less)
                e[at] = e_ - less
                qq[at] = qq_ + moved * (2 * q_ + grown)
                q[at] = q_ + grown
        return change, rest

    def contribution(self) -> tuple[Reals, Reals]:
        """The part of the prediction that depends on this side alone, [K, n], and the rows' sums of factors, [K, n, F].

        Parameters that occur in no event are drawn from their priors.
        """
        unmet = np.setdiff1d(np.arange(len(self.group)), np.concatenate(self.known))
        group = self.group[unmet]
        linear, *factors = (self.parameters(order).copy() for order in range(len(self.mean)))
        for table, mean, precision in zip([linear, *factors], self.mean, self.precision, strict=True):
            table[unmet] = mean[group] + self._normal((len(unmet), table.shape[1])) / np.sqrt(precision[group])
        every = np.stack(factors)
        own = self._sum(linear, self.weights) + self.pairs(every)
        return own.T, self.vectors(every).transpose(2, 1, 0)

    def _draw(self, order: int, batch: _Batch, slope: Reals, curvature: Reals, noise: Reals) -> Reals:
        """Draw a batch of parameters from their conditional, a normal distribution, and return the change, [c, K].

        slope, curvature: the weighted sums of h times the error and of h squared, [c, K].
        """
        table = self.parameters(order)
        old, prior = table[batch.codes], self.precision[order, batch.group]
        precision = prior + noise * curvature
        centre = (prior * self.mean[order, batch.group] + noise * (slope + old * curvature)) / precision
        new = centre + self._normal(old.shape) / np.sqrt(precision)
        table[batch.codes] = new
        change: Reals = new - old
        return change

    def _sum(self, table: Reals, weights: Reals) -> Reals:
        """The weighted sum of a table [codes, K] over the slots of each row, [n, K]. weights: [n, slots]."""
        total = np.zeros((len(self.codes), table.shape[1]))
        for slot in range(self.codes.shape[1]):
            total += table[self.codes[:, slot]] * weights[:, slot, None]
        return total

    def _normal(self, shape: tuple[int, ...]) -> Reals:
        return self.generator.standard_normal(shape)


class Chains:
    """K chains of the Gibbs sampler over one log."""

    def __init__(self, log: InteractionLog, target: Reals, weight: Reals, config: WorldModelConfig) -> None:
        self.generator = np.random.default_rng(config.seed)
        sides = ((log.n_users, log.user_features, log.user), (log.n_items, log.item_features, log.item))
        self.sides = [_Side(encode(n, columns), rows, weight, config, self.generator) for n, columns, rows in sides]
        self.weight = weight[:, None]
        self.intercept = np.zeros(config.members)
        self.precision = np.ones(config.members)
        of_user, of_item = (side.vectors(side.factors)[:, side.rows] for side in self.sides)
        self.total = np.ascontiguousarray(of_user + of_item)  # [F, L, K]; a factor of all events is one block of memory
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
                for at in _blocks(len(self.error)):
                    moved, less = _read(side.rows[at], change, rest)
                    self.error[at] -= moved * self.total[f, at] + less
                    self.total[f, at] += moved

    def draw(self) -> dict[str, Reals]:
        """The state of the chains as tables of a BayesianFM, with the intercept added to `user_linear`."""
        (user, user_vector), (item, item_vector) = (side.contribution() for side in self.sides)
        user = user + self.intercept[:, None]
        return {"user_linear": user, "user_vector": user_vector, "item_linear": item, "item_vector": item_vector}


def _blocks(size: int) -> Iterator[slice]:
    """Slices of BLOCK places, which cover so many."""
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))


def _read(at: Places | slice, *tables: Reals) -> list[Reals]:
    """These rows of tables; take is several times as fast as an index."""
    return [table[at] if isinstance(at, slice) else table.take(at, 0) for table in tables]


def _batches(side: Side, rows: Places, chains: int) -> list[_Batch]:
    """Batches of the parameters that occur in events; one for a field of single values. rows: those with events."""
    codes, weights, field = side.codes.numpy(), side.weights.double().numpy(), side.field.numpy()
    batches = []
    for f in range(side.n_fields):
        slots = np.flatnonzero(field == f)
        row, slot = np.nonzero(weights[rows][:, slots])
        row, slot = rows[row], slots[slot]
        used, place = np.unique(codes[row, slot], return_inverse=True)
        has = scipy.sparse.csr_matrix((weights[row, slot], (row, place)), (len(codes), len(used)))
        colours = np.zeros(len(used), dtype=np.int64) if len(slots) == 1 else _colours(has)
        for colour in range(colours.max(initial=-1) + 1):
            chosen = np.flatnonzero(colours == colour)
            part = has[:, chosen].tocsr().tocoo()  # in the order of rows
            having = slice(None) if part.nnz == len(codes) else part.row
            sums = np.ones(part.nnz), (part.col, np.arange(part.nnz))
            group = IDS if f == 0 else FEATURES
            weight = np.tile(part.data[:, None], chains)
            onto = scipy.sparse.csr_matrix(sums, (len(chosen), part.nnz))
            batches.append(_Batch(used[chosen], having, part.col, weight, onto, group))
    return batches


def _colours(has: "scipy.sparse.csr_matrix") -> Places:
    """A greedy colouring of the codes, in which no row of `has` [n, codes] has two codes of one colour."""
    together = (has.T @ has).tocsr()
    colours = np.full(has.shape[1], -1, dtype=np.int64)
    for code in range(len(colours)):
        taken = colours[together.indices[together.indptr[code] : together.indptr[code + 1]]]
        colours[code] = np.flatnonzero(~np.isin(np.arange(len(taken) + 1), taken))[0]
    return colours
