"""From watch ratios to rewards. A normalisation is fitted on the log alone, then holds for the truth as well."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from darlr.data.log import FloatArray, IntArray

MOST = 5.0  # a watch ratio above counts as this much
PERCENTILES = (0.02, 0.98)  # of a video's clipped watch ratios: what becomes 0 and 1
EVENTS = 20  # a video with fewer takes the percentiles of the whole log


@dataclass(frozen=True)
class VideoScale:
    """What becomes reward 0 and 1 of each video, in watch ratios: float32 [I] each, low < high."""

    low: FloatArray
    high: FloatArray

    def rewards(self, item: IntArray, watched: FloatArray) -> FloatArray:
        """Normalised rewards in 0 to 1, float32 [n], of watch ratios of the items."""
        low = self.low[item]
        scaled: FloatArray = np.clip((watched - low) / (self.high[item] - low), 0, 1)
        return scaled


def clipped(watched: FloatArray) -> FloatArray:
    """Watch ratios of at most MOST, float32 [n]; infinite ones, of videos of no duration, become MOST."""
    return np.minimum(watched, np.float32(MOST))


def fit_scale(item: IntArray, watched: NDArray[np.floating], n_items: int) -> VideoScale:
    """The scale of each video by its logged watch ratios, clipped, [L].

    Short videos are watched several times over and long ones in part: between a video's percentiles they compare. A
    video with fewer than EVENTS events, or equal percentiles, takes those of the whole log.
    """
    events = pl.DataFrame({"item": item, "watched": watched})
    low, high = (pl.col("watched").quantile(share, "linear") for share in PERCENTILES)
    ends = [low.alias("low"), high.alias("high")]
    found = events.group_by("item").agg(*ends, pl.len().alias("events"))
    found = found.filter((pl.col("events") >= EVENTS) & (pl.col("low") < pl.col("high")))
    whole = events.select(*ends).row(0)
    lowest, highest = whole if whole[0] < whole[1] else (0.0, MOST)
    scale = VideoScale(np.full(n_items, lowest, np.float32), np.full(n_items, highest, np.float32))
    place = found["item"].to_numpy()
    scale.low[place], scale.high[place] = found["low"].to_numpy(), found["high"].to_numpy()
    return scale
