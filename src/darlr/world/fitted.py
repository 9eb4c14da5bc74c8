"""A fitted world model: its tables, its members, and its files on disk."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darlr.errors import RunError
from darlr.io.files import atomic_write_text
from darlr.io.folders import recover, replacing_folder
from darlr.io.tensors import read_both, write_both
from darlr.options import WorldModelConfig
from darlr.world.answers import Answers
from darlr.world.estimates import Dense, Estimate
from darlr.world.factored import Factored, PairModel
from darlr.world.fold_in import FoldIn
from darlr.world.kind import Scale, WorldModel, part
from darlr.world.kinds import KINDS
from darlr.world.low_rank import LowRank
from darlr.world.models.deepfm import LOG_VARIANCE_RANGE

SCHEMA = 4
FILES = ("model.safetensors", "model.json")
TABLES = ("users", "items", "user_vectors", "item_vectors")
CHUNK_CELLS = 50_000  # the cells that every member predicts at once
REMEDY = "run `darlr fit` again, or delete the folder of a run's own world model and train again"


@dataclass(frozen=True)
class FittedWorldModel:
    """The model of a whole log, and the tables of the log's scope.

    users: int64 [Us] and items: int64 [Is], the log codes of the scope. reward: r0, float32 [Us, Is], the mean of the
    members' clipped means. risk: P_U, float32 [Us, Is], the largest of the members' variances, in squared reward units.
    user_vectors: float32 [Us, d] and item_vectors: [Is, d], of unit mean square over the whole log. metrics: the best
    epoch, the held-out loss and RMSE, and the history of the fit, as JSON values. home: the folder that holds it.
    """

    model: WorldModel
    config: WorldModelConfig
    scale: Scale
    users: Tensor
    items: Tensor
    reward: Estimate
    risk: Estimate
    user_vectors: Tensor
    item_vectors: Tensor
    metrics: dict[str, Any]
    home: Path | None = None

    @property
    def trained(self) -> bool:
        """Whether the model differs from a random start."""
        fresh = KINDS[self.config.kind].random_start and not self.metrics.get("warm")
        return not fresh or self.metrics["best_epoch"] > 0

    @property
    def answers(self) -> Answers:
        """What held-out events say of the belief about a new user."""
        return Answers(**self.metrics.get("answers", {}))

    @property
    def reward_range(self) -> tuple[float, float]:
        """The smallest and the largest reward that can be predicted."""
        return self.scale.low, self.scale.high

    def predict_members(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """The clipped mean and the variance of each member's reward, [K, Us, Is] of `dtype` each, computed anew."""
        shape = (self.model.members, len(self.users), len(self.items))
        reward, variance = torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype)
        for rows, mean, log_variance in predict(self.model, self.users, self.items):
            reward[:, rows] = self.scale.reward(mean).to(dtype)
            variance[:, rows] = self.scale.variance(log_variance).to(dtype)
        return reward, variance

    def save(self, folder: Path, beside: Mapping[str, str] | None = None) -> None:
        """Replace `folder` by one with model.safetensors and model.json, and the files of text in `beside`, by name.

        Raises RunError where it cannot be written; an earlier folder is then unchanged.
        """
        tensors = {name: getattr(self, name) for name in TABLES}
        about: dict[str, Any] = {"config": asdict(self.config), "scale": asdict(self.scale), "metrics": self.metrics}
        if isinstance(self.reward, LowRank):
            fold = self.reward.fold
            tensors |= {"theta": self.reward.theta, "mean": fold.mean, "factors": fold.factors}
            about["low_rank"] = {"noise": fold.noise, "error": self.reward.error}
        else:
            tensors |= {"reward": self.reward.whole(), "risk": self.risk.whole()}
        tensors |= {f"model.{name}": value for name, value in self.model.state_dict().items()}
        with replacing_folder(folder) as draft:
            write_both(draft / FILES[0], draft / FILES[1], tensors, {"schema": SCHEMA, **about})
            for name, text in (beside or {}).items():
                atomic_write_text(draft / name, text)


def load(folder: Path) -> FittedWorldModel:
    """Read what `FittedWorldModel.save` wrote; RunError where it is missing, damaged or of another schema."""
    folder = Path(folder)
    recover(folder)
    try:
        tensors, metadata = read_both(folder / FILES[0], folder / FILES[1], REMEDY, "world model", SCHEMA)
        config = WorldModelConfig(**{**metadata["config"], "hidden": tuple(metadata["config"]["hidden"])})
        model = KINDS[config.kind].load(part(tensors, "model."), config)
        scale = Scale(**metadata["scale"])
        users, items, of_users, of_items = (tensors[name] for name in TABLES)
        estimates = _estimates(model, scale, tensors, metadata.get("low_rank"))
        sides = users, items, *estimates, of_users, of_items
        return FittedWorldModel(model, config, scale, *sides, metadata["metrics"], folder)
    except FileNotFoundError as error:
        raise RunError(f"{folder}: no world model ({error.filename} is missing); make one with `darlr fit`") from error
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{folder}: damaged world model ({error!r}); {REMEDY}") from error


def _estimates(
    model: WorldModel, scale: Scale, tensors: Mapping[str, Tensor], low_rank: Mapping[str, float] | None
) -> tuple[Estimate, Estimate]:
    """r0 and P_U; ValueError unless all tensors have the same numbers of users and items, and finite values."""
    users, items = tensors["users"], tensors["items"]
    sides = len(users), len(items)
    shapes: dict[str, tuple[int, ...]] = {"user_vectors": sides[:1], "item_vectors": sides[1:]}
    if low_rank is None:
        shapes |= {"reward": sides, "risk": sides}
    else:
        shapes |= {"theta": sides[:1], "mean": sides[1:], "factors": sides[1:]}
    for name, shape in shapes.items():
        if tensors[name].shape[: len(shape)] != shape:
            raise ValueError(f"{name} is of shape {tuple(tensors[name].shape)}, not {shape}")
        if not bool(tensors[name].isfinite().all()):
            raise ValueError(f"{name} has a NaN or infinite value")
    if low_rank is None:
        return Dense(tensors["reward"]), Dense(tensors["risk"])
    fold = FoldIn(tensors["mean"], tensors["factors"], low_rank["noise"], (scale.low, scale.high))
    assert isinstance(model, PairModel)
    return LowRank(fold, tensors["theta"], low_rank["error"]), risk_of(model, scale, users, items)


def risk_of(model: PairModel, scale: Scale, users: Tensor, items: Tensor) -> Factored:
    """P_U as the model predicts it at each call."""
    limit = float(scale.variance(torch.tensor(LOG_VARIANCE_RANGE[1])))
    return Factored(model, scale, users, items, "risk", limit)


def predict(model: WorldModel, users: Tensor, items: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """The places of successive chunks of `users`, their mean and their log-variance, [K, u, Is] each, standardised."""
    start, of = 0, model.over(items)
    for chunk in torch.split(users, max(1, CHUNK_CELLS // max(1, len(items)))):
        yield slice(start, start + len(chunk)), *of(chunk)
        start += len(chunk)
