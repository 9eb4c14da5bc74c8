"""A fitted world model: its tables, its members, and how it is kept on disk."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from darlr.config import WorldModelConfig
from darlr.errors import RunError
from darlr.files import atomic_write_bytes, atomic_write_text
from darlr.world.deepfm import DeepFM, SideTable
from darlr.world.features import Side

SCHEMA = 1
FILES = ("model.safetensors", "model.json")
TABLES = ("reward", "risk", "user_vectors", "item_vectors")
CHUNK_CELLS = 50_000  # cells predicted at once, by every member


@dataclass(frozen=True)
class Scale:
    """Reward units: centre and spread are the log's mean and standard deviation; low, high bound a prediction."""

    centre: float
    spread: float
    low: float
    high: float

    def standardise(self, reward: Tensor) -> Tensor:
        """Rewards in units of the log's standard deviation, around its mean."""
        return (reward - self.centre) / self.spread

    def reward(self, mean: Tensor) -> Tensor:
        """Predicted means in reward units, clipped to the range."""
        return (mean * self.spread + self.centre).clamp(self.low, self.high)

    def variance(self, log_variance: Tensor) -> Tensor:
        """Variances in squared reward units."""
        return log_variance.exp() * self.spread**2


@dataclass(frozen=True)
class FittedWorldModel:
    """What a fit leaves behind.

    reward: float32 [U, I], mean of the members' clipped means (r0); risk: float32 [U, I], max_k sigma^2 in squared
    reward units (P_U); user_vectors [U, d], item_vectors [I, d]: float32 of unit mean square.
    metrics: best epoch, held-out loss and RMSE, and the history of the fit; JSON values only.
    """

    model: DeepFM
    config: WorldModelConfig
    scale: Scale
    reward: Tensor
    risk: Tensor
    user_vectors: Tensor
    item_vectors: Tensor
    metrics: dict[str, Any]

    @property
    def reward_range(self) -> tuple[float, float]:
        """(low, high) of every predicted reward."""
        return self.scale.low, self.scale.high

    def predict_members(self) -> tuple[Tensor, Tensor]:
        """Each member's clipped reward and its variance, float32 [K, U, I] each, computed on demand."""
        mean, log_variance = zip(*_predict(self.model), strict=True)
        return self.scale.reward(torch.cat(mean, 1)), self.scale.variance(torch.cat(log_variance, 1))

    def save(self, folder: Path) -> None:
        """Write model.safetensors and model.json into `folder`; a new folder appears whole or not at all."""
        folder = Path(folder).resolve()
        tensors = {name: getattr(self, name) for name in TABLES}
        tensors |= {f"model.{name}": value for name, value in self.model.state_dict().items()}
        facts = {
            "schema": SCHEMA,
            "config": asdict(self.config),
            "scale": asdict(self.scale),
            "metrics": self.metrics,
        }
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f".{folder.name}.draft")  # one name: a killed writer's draft is found again
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            contents = to_bytes({name: value.contiguous() for name, value in tensors.items()})
            atomic_write_bytes(draft / FILES[0], contents)  # unlike save_file, readable as the umask says
            atomic_write_text(draft / FILES[1], json.dumps(facts, indent=1, allow_nan=False) + "\n")
            if folder.exists():
                for name in FILES:
                    os.replace(draft / name, folder / name)
            else:
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def load(folder: Path) -> FittedWorldModel:
    """Read what `FittedWorldModel.save` wrote. Raises RunError when it is missing, damaged or of another schema."""
    folder = Path(folder)
    try:
        facts = json.loads((folder / FILES[1]).read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA:
            raise RunError(f"{folder}: world model of schema {facts['schema']}, this version reads {SCHEMA}; refit")
        tensors = load_file(folder / FILES[0])
        config = WorldModelConfig(**{**facts["config"], "hidden": tuple(facts["config"]["hidden"])})
        state = {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
        model = DeepFM(_side(state, "user"), _side(state, "item"), config, torch.Generator())
        model.load_state_dict(state)
        tables = {name: tensors[name] for name in TABLES}
        return FittedWorldModel(model, config, Scale(**facts["scale"]), **tables, metrics=facts["metrics"])
    except FileNotFoundError as error:
        raise RunError(f"{folder}: no world model ({error.filename} is missing); make one with `darlr fit`") from error
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise RunError(f"{folder}: damaged world model ({error}); run `darlr fit` again") from error


def finish(model: DeepFM, config: WorldModelConfig, scale: Scale, metrics: dict[str, Any]) -> FittedWorldModel:
    """Compute the tables of a trained model, in chunks of users."""
    reward, risk = [], []
    for mean, log_variance in _predict(model):
        reward.append(scale.reward(mean).mean(0))
        risk.append(scale.variance(log_variance.amax(0)))
    users, items = vectors(model.user, config.embedding), vectors(model.item, config.embedding)
    return FittedWorldModel(model, config, scale, torch.cat(reward), torch.cat(risk), users, items, metrics)


@torch.no_grad()
def vectors(side: SideTable, size: int) -> Tensor:
    """One vector for each user or item, all members together, float32 [n, size] of unit mean square.

    The members' bases differ, so their vectors (the sum of the field embeddings, and the first-order mean) are
    put side by side and reduced to the leading `size` principal directions.
    """
    part = side(torch.arange(side.n_ids).expand(side.embedding.shape[0], -1))
    wide = torch.cat([part.vector.transpose(0, 1).flatten(1), part.linear[..., 0].T], 1)
    left, strength, _ = torch.linalg.svd(wide - wide.mean(0), full_matrices=False)
    reduced = (left * strength)[:, :size]
    reduced = torch.nn.functional.pad(reduced, (0, size - reduced.shape[1]))
    return (reduced / reduced.square().mean().sqrt().clamp(min=1e-12)).contiguous()


def _predict(model: DeepFM) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean and log-variance [K, u, I] of successive chunks of users."""
    users, items = torch.arange(model.user.n_ids), torch.arange(model.item.n_ids)
    for chunk in torch.split(users, max(1, CHUNK_CELLS // max(1, len(items)))):
        yield model.table(chunk, items)


def _side(state: dict[str, Tensor], name: str) -> Side:
    pool = state[f"{name}.pool"]
    return Side(
        codes=state[f"{name}.codes"],
        weights=state[f"{name}.weights"],
        field=pool.argmax(1),
        n_codes=state[f"{name}.embedding"].shape[1],
        n_fields=pool.shape[1],
    )
