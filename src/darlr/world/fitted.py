"""A fitted world model: its tables, its members, and how it is kept on disk."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darlr.data.scope import Scope
from darlr.errors import RunError
from darlr.io.files import atomic_write_text
from darlr.io.folders import recover, replacing_folder
from darlr.io.tensors import read_both, write_both
from darlr.options import WorldModelConfig
from darlr.world.kinds.kind import WorldModel, part
from darlr.world.kinds.registry import KINDS
from darlr.world.models.scale import Scale

SCHEMA = 3
FILES = ("model.safetensors", "model.json")
TABLES = ("users", "items", "reward", "risk", "user_vectors", "item_vectors")
CHUNK_CELLS = 50_000  # cells predicted at once, by every member


@dataclass(frozen=True)
class FittedWorldModel:
    """What a fit leaves behind: the model of the whole log, and tables of its scope, in scope codes.

    users int64 [Us], items int64 [Is]: log codes of the scope; reward: float32 [Us, Is], mean of the members' clipped
    means (r0); risk: float32 [Us, Is], max_k sigma^2 in squared reward units (P_U); user_vectors [Us, d],
    item_vectors [Is, d]: float32, of unit mean square over the whole log.
    metrics: best epoch, held-out loss and RMSE, and the history of the fit; JSON values only.
    """

    model: WorldModel
    config: WorldModelConfig
    scale: Scale
    users: Tensor
    items: Tensor
    reward: Tensor
    risk: Tensor
    user_vectors: Tensor
    item_vectors: Tensor
    metrics: dict[str, Any]

    @property
    def trained(self) -> bool:
        """Whether the fit kept more than a random start, which knows nothing of the log."""
        return not KINDS[self.config.kind].random_start or self.metrics["best_epoch"] > 0

    @property
    def reward_range(self) -> tuple[float, float]:
        """(low, high) of every predicted reward."""
        return self.scale.low, self.scale.high

    def predict_members(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Each member's clipped reward and its variance, [K, Us, Is] of `dtype` each, computed on demand."""
        shape = (self.model.members, len(self.users), len(self.items))
        reward, variance = torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype)
        for rows, mean, log_variance in _predict(self.model, self.users, self.items):
            reward[:, rows] = self.scale.reward(mean).to(dtype)
            variance[:, rows] = self.scale.variance(log_variance).to(dtype)
        return reward, variance

    def save(self, folder: Path, beside: Mapping[str, str] | None = None) -> None:
        """Write model.safetensors and model.json into `folder`, whole or not at all; an earlier folder is replaced.

        beside: more files of text, by name.
        """
        tensors = {name: getattr(self, name) for name in TABLES}
        tensors |= {f"model.{name}": value for name, value in self.model.state_dict().items()}
        metadata = {
            "schema": SCHEMA,
            "config": asdict(self.config),
            "scale": asdict(self.scale),
            "metrics": self.metrics,
        }
        with replacing_folder(folder) as draft:
            write_both(draft / FILES[0], draft / FILES[1], tensors, metadata)
            for name, text in (beside or {}).items():
                atomic_write_text(draft / name, text)


REMEDY = "run `darlr fit` again, or delete the folder of a run's own world model and train again"


def load(folder: Path) -> FittedWorldModel:
    """Read what `FittedWorldModel.save` wrote. Raises RunError when it is missing, damaged or of another schema."""
    folder = Path(folder)
    recover(folder)
    try:
        tensors, metadata = read_both(folder / FILES[0], folder / FILES[1], REMEDY, "world model", SCHEMA)
        config = WorldModelConfig(**{**metadata["config"], "hidden": tuple(metadata["config"]["hidden"])})
        model = KINDS[config.kind].load(part(tensors, "model."), config)
        tables = {name: tensors[name] for name in TABLES}
        _check(tables)
        return FittedWorldModel(model, config, Scale(**metadata["scale"]), **tables, metrics=metadata["metrics"])
    except FileNotFoundError as error:
        raise RunError(f"{folder}: no world model ({error.filename} is missing); make one with `darlr fit`") from error
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{folder}: damaged world model ({error!r}); {REMEDY}") from error


def _check(tables: dict[str, Tensor]) -> None:
    """Raise ValueError unless tables are of one number of users and items, and finite."""
    sides = len(tables["users"]), len(tables["items"])
    for name in ("reward", "risk"):
        if tables[name].shape != sides:
            raise ValueError(f"{name} is of shape {tuple(tables[name].shape)}, not {sides}")
        if not bool(tables[name].isfinite().all()):
            raise ValueError(f"{name} has a NaN or infinite value")
    if (len(tables["user_vectors"]), len(tables["item_vectors"])) != sides:
        raise ValueError("vectors are not as many as users and items")


def finish(
    model: WorldModel,
    config: WorldModelConfig,
    scale: Scale,
    metrics: dict[str, Any],
    scope: Scope,
    report: Callable[[int], None] = lambda _: None,
) -> FittedWorldModel:
    """Compute the scope's tables of a trained model, in chunks of users. report: called with the users done."""
    users, items = torch.from_numpy(scope.users), torch.from_numpy(scope.items)
    reward = torch.empty(len(users), len(items))
    risk = torch.empty(len(users), len(items))
    for rows, mean, log_variance in _predict(model, users, items):
        reward[rows] = scale.reward(mean).mean(0)
        risk[rows] = scale.variance(log_variance.amax(0))
        report(rows.stop)
    vectors = model.vectors(config.embedding, users, items)
    return FittedWorldModel(model, config, scale, users, items, reward, risk, *vectors, metrics)


def _predict(model: WorldModel, users: Tensor, items: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Of successive chunks of `users`: their places, and mean and log-variance [K, u, Is]."""
    start, of = 0, model.over(items)
    for chunk in torch.split(users, max(1, CHUNK_CELLS // max(1, len(items)))):
        yield slice(start, start + len(chunk)), *of(chunk)
        start += len(chunk)
