"""A factor model that another library has fitted, such as implicit's ALS or BPR, myfm or Surprise, as a world model."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from darlr.data.log import InteractionLog
from darlr.data.scope import scope_of
from darlr.errors import DataError, RunError
from darlr.io.files import read_json
from darlr.io.folders import recover, replacing_folder
from darlr.io.tensors import read_both, write_both
from darlr.options import WorldModelConfig
from darlr.world.fit import Fit
from darlr.world.fitted import FILES, REMEDY
from darlr.world.implicit import resolve
from darlr.world.kind import Scale
from darlr.world.models.given import GivenFactors
from darlr.world.models.trainer import NegativeSampler

SCHEMA = "factors of another library, 1"
ARRAYS = ("user_factors", "item_factors", "user_bias", "item_bias")
EVENTS = 1 << 18  # events that are predicted at once


@dataclass(frozen=True, eq=False, repr=False)
class WorldModel:
    """prediction(u, i) = mean + user_bias[u] + item_bias[i] + user_factors[u] . item_factors[i].

    user_factors: float32 [U, d]. item_factors: [I, d]. user_bias: [U]. item_bias: [I]. user_ids, item_ids: the id of
    each row, as text. calibrate: see `from_factors`.
    """

    user_factors: Tensor
    item_factors: Tensor
    user_bias: Tensor
    item_bias: Tensor
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    mean: float = 0.0
    calibrate: bool = False

    @classmethod
    def from_factors(
        cls,
        user_factors: ArrayLike,
        item_factors: ArrayLike,
        *,
        user_ids: Iterable[object],
        item_ids: Iterable[object],
        user_bias: ArrayLike | None = None,
        item_bias: ArrayLike | None = None,
        mean: float = 0.0,
        calibrate: bool = False,
    ) -> Self:
        """A world model of factors [U, d] and [I, d], biases [U] and [I], and a mean; a bias left out is 0.

        user_ids, item_ids: the id of each row, as the log spells it. Ids that the log does not hold are left out.

        Predictions must be in the unit of the log's rewards, such as stars, or 0 to 1 for a log of clicks. calibrate:
        they are in another unit, such as BPR's scores. A line then leads from predictions to rewards, fitted by least
        squares to the training events; for a log of positives also to as many sampled unlogged items as the option
        model.negatives says, of reward 0.

        The model has no ensemble. P_U is one number, the mean squared error on the training events, which new users'
        estimates need; methods that P_U would penalise (mopo, dorl, darlr with reward.penalty static) are refused.
        Raises DataError, which names the array, where arrays and ids do not fit each other or numbers are not finite.
        """
        users, items = _factors("user_factors", user_factors), _factors("item_factors", item_factors)
        if users.shape[1] != items.shape[1]:
            raise DataError(
                f"user_factors and item_factors: {tuple(users.shape)} and {tuple(items.shape)} have another number of "
                "columns; pass the factors of one model, one row for each user or item"
            )
        biases = _bias("user_bias", user_bias, users), _bias("item_bias", item_bias, items)
        if not np.isscalar(mean) or isinstance(mean, str | complex) or not np.isfinite(mean):
            raise DataError(f"mean: {mean} is no finite number; pass the model's global mean, or leave it out")
        ids = _ids("user_ids", user_ids, users), _ids("item_ids", item_ids, items)
        return cls(users, items, *biases, *ids, float(mean), calibrate)

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder that the option `world` takes, as in `darlr train --world FOLDER`.

        A world model in it is replaced. Raises RunError where it holds something else or cannot be written.
        """
        place = Path(folder)
        if place.is_file() or (place.is_dir() and any(place.iterdir()) and not (place / FILES[1]).exists()):
            raise RunError(f"{place}: exists and is no world model; choose another folder")
        about = {"schema": SCHEMA, "mean": self.mean, "calibrate": self.calibrate}
        ids = {"user_ids": self.user_ids, "item_ids": self.item_ids}
        with replacing_folder(place) as draft:
            tensors = {name: getattr(self, name) for name in ARRAYS}
            write_both(draft / FILES[0], draft / FILES[1], tensors, {**about, **ids})

    def bound(self, log: InteractionLog, config: WorldModelConfig) -> Fit:
        """The model of a log, its ids matched with those of the scope, and its predictions in the unit of learning.

        log: the training events. config: its `estimates`, `negatives` and `seed` count. Raises DataError for a missing
        id, and where predictions fall as rewards rise.
        """
        scope, unit = scope_of(log), log.unit
        columns = (self.user_factors, self.user_bias[:, None]), (self.item_factors, self.item_bias[:, None] + self.mean)
        left = self._matched("user", torch.cat([columns[0][0], columns[0][1], torch.ones_like(columns[0][1])], 1), log)
        right = self._matched("item", torch.cat([columns[1][0], torch.ones_like(columns[1][1]), columns[1][1]], 1), log)
        slope, offset = 1.0, 0.0
        if not unit.identity:
            slope, offset = 1 / unit.scale, unit.least - unit.low / unit.scale
        if self.calibrate:
            slope, offset = _line(left, right, log, config)
        right = right * slope
        right[:, -1] += offset
        low, high = log.reward_range
        scale = Scale(0.0, 1.0, min(low, unit.zero) if log.implicit else low, high)
        misses = _predicted(left, right, log.user, log.item).clamp(scale.low, scale.high) - torch.from_numpy(log.reward)
        noise = misses.square().mean().clamp(min=1e-6)
        found = {"slope": slope, "offset": offset, "train_rmse": float(noise.sqrt()) * unit.scale}
        rest: dict[str, Any] = {"best_epoch": 0, "held_out_loss": None, "held_out_rmse": None, "history": []}
        resolved = resolve(WorldModelConfig("given", 1, left.shape[1] - 2, estimates=config.estimates), log)
        model = GivenFactors(left=left, right=right, noise=noise[None])
        return Fit(model, resolved, scale, {"train_rows": len(log), **rest, **found}, scope)

    def _matched(self, side: str, rows: Tensor, log: InteractionLog) -> Tensor:
        """The rows in the order of the log's codes; 0 for ids outside the scope that have none."""
        scope, known, ids = scope_of(log), getattr(self, f"{side}_ids"), getattr(log, f"{side}_ids")
        place = {name: row for row, name in enumerate(known)}
        at = np.array([place.get(str(name), -1) for name in ids], dtype=np.int64)
        wanted = getattr(scope, f"{side}s")
        missing = wanted[at[wanted] < 0]
        if len(missing):
            raise DataError(
                f"{side}_ids: {len(missing):,} of the {len(wanted):,} {side}s of {log.name} have no factors, first "
                f"{ids[missing[0]]!r}; the factors are of {len(known):,} {side}s, first {known[0]!r}. Fit the model to "
                f"all {side}s of the log, pass the ids as the log spells them, or leave these {side}s out of the log"
            )
        found: Tensor = rows[torch.from_numpy(at.clip(0))] * torch.from_numpy(at >= 0)[:, None]
        return found


def read_given(folder: Path) -> WorldModel | None:
    """What `WorldModel.save` wrote; None where the folder holds no such model. RunError where it is damaged."""
    recover(folder)
    if not (folder / FILES[1]).is_file():
        return None
    about = read_json(folder / FILES[1], REMEDY)
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        return None
    try:
        tensors, about = read_both(folder / FILES[0], folder / FILES[1], REMEDY, "world model", SCHEMA)
        given: dict[str, Any] = {name: about[name] for name in ("user_ids", "item_ids", "mean", "calibrate")}
        return WorldModel.from_factors(**(given | {name: tensors[name] for name in ARRAYS}))
    except (FileNotFoundError, KeyError, TypeError, ValueError, DataError) as error:
        raise RunError(f"{folder}: damaged world model ({error!r}); save it again with WorldModel.save") from error


def _factors(name: str, given: ArrayLike) -> Tensor:
    array = _numbers(name, given)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{name}: is of shape {array.shape}; pass a matrix with one row of factors for each id")
    return torch.from_numpy(array)


def _bias(name: str, given: ArrayLike | None, factors: Tensor) -> Tensor:
    if given is None:
        return torch.zeros(len(factors))
    array = _numbers(name, given)
    if array.shape != (len(factors),):
        wanted = f"{name.split('_', maxsplit=1)[0]}_factors has {len(factors):,} rows"
        raise DataError(f"{name}: is of shape {array.shape}, and {wanted}; pass one number for each row")
    return torch.from_numpy(array)


def _numbers(name: str, given: ArrayLike) -> NDArray[np.float32]:
    given = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    try:
        if np.iscomplexobj(given):
            raise TypeError("its numbers are complex")
        with np.errstate(over="ignore"):  # refused below
            array = np.array(given, dtype=np.float32)  # a copy, as the caller may train on
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: is no array of numbers ({error})") from error
    if not np.isfinite(array).all():
        where = tuple(int(place) for place in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{name}: has a NaN or infinite value, first at {where}; train the model again")
    return array


def _ids(name: str, given: Iterable[object], factors: Tensor) -> tuple[str, ...]:
    ids = tuple(str(one) for one in given)
    if len(ids) != len(factors):
        side = name.split("_", maxsplit=1)[0]
        raise DataError(f"{name}: {len(ids):,} ids, and {side}_factors has {len(factors):,} rows; pass one id a row")
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise DataError(f"{name}: {twice!r} occurs twice; pass one row of factors for each id")
    return ids


def _predicted(left: Tensor, right: Tensor, user: NDArray[np.int64], item: NDArray[np.int64]) -> Tensor:
    pairs = zip(*(torch.split(torch.from_numpy(codes), EVENTS) for codes in (user, item)), strict=True)
    return torch.cat([(left[u] * right[i]).sum(1) for u, i in pairs])


def _line(left: Tensor, right: Tensor, log: InteractionLog, config: WorldModelConfig) -> tuple[float, float]:
    """Slope and offset of the least-squares line from predictions to learned rewards."""
    predicted, reward = _predicted(left, right, log.user, log.item), torch.from_numpy(log.reward)
    if log.implicit:
        user = torch.from_numpy(log.user).repeat(config.negatives)
        item, allowed = NegativeSampler(log).draw(user, torch.Generator().manual_seed(config.seed))
        others = _predicted(left, right, user[allowed].numpy(), item[allowed].numpy())
        predicted = torch.cat([predicted, others])
        reward = torch.cat([reward, torch.full_like(others, log.unit.zero)])
    x, y = predicted.double(), reward.double()
    slope = float(((x - x.mean()) * (y - y.mean())).mean() / x.var(correction=0).clamp(min=1e-300))
    if not slope > 0:
        raise DataError(
            f"{log.name}: the predictions of the factors do not rise with the rewards (slope {slope:.3g}); pass the "
            "factors of a model of this log, with the ids in the order of their rows"
        )
    return slope, float(y.mean() - slope * x.mean())
