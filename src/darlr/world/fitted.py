"""A fitted world model: its tables, its members, and how it is kept on disk."""

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from darlr.config import WorldModelConfig
from darlr.errors import RunError
from darlr.world.deepfm import DeepFM
from darlr.world.features import Side

SCHEMA = 1
CHUNK_CELLS = 100_000  # cells predicted at once: bounds memory to about K * 128 * 0.4 MB


@dataclass(frozen=True)
class FittedWorldModel:
    """What a fit leaves behind.

    reward: float32 [U, I], ensemble mean in reward units, clipped to reward_range; risk: float32 [U, I],
    max_k sigma^2 in squared reward units; user_vectors [U, d], item_vectors [I, d]: float32, unit mean square.
    centre, scale: the log's mean and standard deviation; metrics: the history of the fit, JSON values only.
    """

    model: DeepFM
    config: WorldModelConfig
    centre: float
    scale: float
    reward_range: tuple[float, float]
    reward: Tensor
    risk: Tensor
    user_vectors: Tensor
    item_vectors: Tensor
    metrics: dict[str, Any]

    def predict_members(self) -> tuple[Tensor, Tensor]:
        """Each member's clipped reward and variance, float32 [K, U, I] each, computed on demand."""
        chunks = list(_chunks(self.model))
        mean = torch.cat([mean for mean, _ in chunks], 1) * self.scale + self.centre
        variance = torch.cat([log_variance for _, log_variance in chunks], 1).exp() * self.scale**2
        return mean.clamp(*self.reward_range), variance

    def save(self, folder: Path) -> None:
        """Write model.safetensors and model.json into a new folder, whole or not at all.

        An existing world model in `folder` is replaced.
        """
        tables = {name: getattr(self, name).contiguous() for name in _TABLES}
        state = {f"model.{name}": value.contiguous() for name, value in self.model.state_dict().items()}
        facts = {
            "schema": SCHEMA,
            "config": asdict(self.config),
            "centre": self.centre,
            "scale": self.scale,
            "reward_range": list(self.reward_range),
            "metrics": self.metrics,
        }
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            save_file(tables | state, draft / "model.safetensors")
            (draft / "model.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            if folder.exists():
                for name in ("model.safetensors", "model.json"):
                    os.replace(draft / name, folder / name)
            else:
                draft.chmod(0o755)
                os.rename(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


_TABLES = ("reward", "risk", "user_vectors", "item_vectors")


def load(folder: Path) -> FittedWorldModel:
    """Read what `FittedWorldModel.save` wrote. Raises RunError when it is missing, damaged or of another schema."""
    folder = Path(folder)
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
    except FileNotFoundError as error:
        raise RunError(f"{folder} holds no world model ({error.filename} is missing); run darlr fit") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"the world model in {folder} is damaged ({error}); run darlr fit again") from error
    if facts.get("schema") != SCHEMA:
        raise RunError(f"the world model in {folder} has schema {facts.get('schema')}, this version reads {SCHEMA}")
    try:
        config = WorldModelConfig(**{**facts["config"], "hidden": tuple(facts["config"]["hidden"])})
        state = {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
        model = DeepFM(_side(state, "user"), _side(state, "item"), config, torch.Generator().manual_seed(0))
        model.load_state_dict(state)
        tables = {name: tensors[name] for name in _TABLES}
        low, high = facts["reward_range"]
        return FittedWorldModel(
            model, config, facts["centre"], facts["scale"], (low, high), **tables, metrics=facts["metrics"]
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"the world model in {folder} is damaged ({error}); run darlr fit again") from error


def _side(state: dict[str, Tensor], name: str) -> Side:
    pool = state[f"{name}.pool"]
    return Side(
        codes=state[f"{name}.codes"],
        weights=state[f"{name}.weights"],
        field=pool.argmax(1),
        n_codes=state[f"{name}.embedding"].shape[1],
        n_fields=pool.shape[1],
    )


def _chunks(model: DeepFM) -> list[tuple[Tensor, Tensor]]:
    users, items = torch.arange(model.user.n_ids), torch.arange(model.item.n_ids)
    size = max(1, CHUNK_CELLS // max(1, len(items)))
    return [model.table(chunk, items) for chunk in users.split(size)]


def finish(  # the tables of a trained model
    model: DeepFM,
    config: WorldModelConfig,
    centre: float,
    scale: float,
    reward_range: tuple[float, float],
    metrics: dict[str, Any],
) -> FittedWorldModel:
    """Compute the tables of a trained model, in chunks of users."""
    users, items = torch.arange(model.user.n_ids), torch.arange(model.item.n_ids)
    reward, risk = torch.empty(len(users), len(items)), torch.empty(len(users), len(items))
    size = max(1, CHUNK_CELLS // max(1, len(items)))
    for chunk in users.split(size):
        mean, log_variance = model.table(chunk, items)
        reward[chunk] = (mean * scale + centre).clamp(*reward_range).mean(0)
        risk[chunk] = log_variance.amax(0).exp() * scale**2
    return FittedWorldModel(
        model,
        config,
        centre,
        scale,
        reward_range,
        reward,
        risk,
        vectors(model.user, users, config.embedding),
        vectors(model.item, items, config.embedding),
        metrics,
    )


@torch.no_grad()
def vectors(side: torch.nn.Module, rows: Tensor, size: int) -> Tensor:
    """One vector a row for all members together, float32 [n, size] of unit mean square.

    The members' bases differ, so their vectors (sum of field embeddings, and the first-order mean) are put side
    by side and reduced to their leading `size` principal directions.
    """
    members = side.embedding.shape[0]  # type: ignore[union-attr, index]
    part = side(rows.expand(members, -1))
    wide = torch.cat([part.vector.permute(1, 0, 2).flatten(1), part.linear[..., 0].T], 1)
    wide = wide - wide.mean(0)
    left, strength, _ = torch.linalg.svd(wide, full_matrices=False)
    reduced = torch.zeros(len(rows), size)
    kept = min(size, left.shape[1])
    reduced[:, :kept] = left[:, :kept] * strength[:kept]
    return reduced / reduced.square().mean().sqrt().clamp(min=1e-12)
