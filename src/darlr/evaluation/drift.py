"""Measures of drift between events that a model was made for and newer ones, from logs alone."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
BINS = 10  # of predictions, each with a tenth of the reference
CLOCK = 32  # events that enter the window at once; cuts are looked for after each such block
MOST = 5  # blocks of one size that the window holds before two of them become one
LEAST = 8  # blocks in the window before a cut is looked for, so that their variance is known
DELTA = 1e-6  # the confidence of a cut; at most one false alarm in a million events was measured (benchmarks.alarms)


def stability_index(reference: Reals, seen: Reals, bins: int = BINS) -> float:
    """Compute the population stability index of two samples: sum of (q - p) ln(q / p) over bins.

    p, q: the shares of the reference and of the newer sample in bins between quantiles of the reference; half an event
    more counts in each bin. By convention values below 0.1 are stable and those above 0.25 a shift (Siddiqi 2006).
    """
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    counts = (np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1) for x in (reference, seen))
    p, q = ((count + 0.5) / (count + 0.5).sum() for count in counts)
    return float(((q - p) * np.log(q / p)).sum())


@dataclass
class Adwin:
    """A window of the latest values whose mean has not changed (Bifet and Gavalda 2007, ADWIN2).

    Wherever the means of an older and a newer part of the window differ by more than chance allows, the oldest values
    are dropped. Values enter in blocks of CLOCK, and older blocks are joined in pairs, so that n values take O(log n)
    memory. With m = 1 / (1 / n0 + 1 / n1), the width w of the values' range and the variance v, chance allows
    sqrt(2 v L / m) + 2 w L / (3 m), where L = ln(2 ln(n) / delta). v is the larger of two pooled variances of both
    parts: of the values, and CLOCK times that of the blocks' means. The second one is larger where neighbours are
    alike, as the events of a visit are (batch means, Law 2015, section 9.5.3), and the original lacks it.
    """

    width: float = 1.0
    delta: float = DELTA
    levels: list[list[tuple[float, float, float]]] = field(default_factory=list)
    """For each size CLOCK * 2^level, the newest last: the sums of x, of x^2, and of (sum of CLOCK)^2 / CLOCK."""

    def add(self, values: Reals) -> list[int]:
        """Add values [n]; return after how many of them the window was cut. A last part below CLOCK is left out."""
        cuts = []
        for start in range(0, len(values) - CLOCK + 1, CLOCK):
            block = values[start : start + CLOCK]
            total = float(block.sum())
            self._insert((total, float((block**2).sum()), total**2 / CLOCK))
            if self._cut():
                cuts.append(start + CLOCK)
        return cuts

    def _insert(self, block: tuple[float, float, float]) -> None:
        for level in self.levels:
            level.append(block)
            if len(level) <= MOST:
                return
            one, other = level[:2]
            del level[:2]
            block = one[0] + other[0], one[1] + other[1], one[2] + other[2]
        self.levels.append([block])

    def _cut(self) -> bool:
        """Drop the oldest blocks while two parts of the window differ; return whether one was dropped."""
        found = False
        while self._differs():
            while not self.levels[-1]:
                self.levels.pop()
            del self.levels[-1][0]
            found = True
        return found

    def _differs(self) -> bool:
        blocks = [(CLOCK << k, *one) for k in range(len(self.levels) - 1, -1, -1) for one in self.levels[k]]
        count, total, squares, means = np.array(blocks).T
        n, blocks_held = count.sum(), count.sum() / CLOCK
        if blocks_held < LEAST:
            return False
        n0, sum0 = count.cumsum()[:-1], total.cumsum()[:-1]
        n1, sum1 = n - n0, total.sum() - sum0
        explained = sum0**2 / n0 + sum1**2 / n1
        variance = np.maximum((squares.sum() - explained) / n, (means.sum() - explained) / (blocks_held - 2))
        chance = math.log(2 * math.log(n) / self.delta) * (1 / n0 + 1 / n1)
        allowed = np.sqrt(2 * np.maximum(variance, 0.0) * chance) + 2 / 3 * self.width * chance
        return bool((np.abs(sum0 / n0 - sum1 / n1) > allowed).any())
