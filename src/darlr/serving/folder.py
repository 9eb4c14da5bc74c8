"""A policy folder: `policy.json` and `policy.safetensors`, without the data set and the world model.

For a learned policy it holds the weights of the networks, the item vectors, each user's p_u, and the tables of the
prior, the belief and the exit rule where the options ask for them; for a list or a table the scores. It also holds the
ids, the unit of rewards, the logged items of each user, and `darlr.serving.newcomers` for cold-start users.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darlr.agents.policy import RecommenderPolicy
from darlr.agents.recommender import Recommender
from darlr.agents.slates import Slates
from darlr.data.log import InteractionLog
from darlr.data.unit import WIDTH, Unit
from darlr.errors import RunError
from darlr.io.files import digest
from darlr.io.folders import recover, replacing_folder
from darlr.io.tensors import read_both, write_both
from darlr.options import RecommenderConfig, TrainConfig
from darlr.options.json import from_json, to_json
from darlr.policies.fixed import FixedList, Staying, UserGreedy
from darlr.serving import policy_checks as checks
from darlr.serving.dynamics import read_dynamics, write_dynamics
from darlr.serving.ids import Ids
from darlr.serving.newcomers import Build, read_believed, read_feedback, read_newcomers, write_newcomers
from darlr.serving.policy import TrainedPolicy
from darlr.simulation.exits import CategoryExit
from darlr.simulation.policy import Policy
from darlr.world.estimates import Dense, Estimate
from darlr.world.fold_in import FoldIn
from darlr.world.logged import Certainty, Histories, histories
from darlr.world.low_rank import LowRank
from darlr.world.models.implicit import ImplicitModel
from darlr.world.tables import World

WEIGHTS, METADATA = "policy.safetensors", "policy.json"
SCHEMA = 9
REMEDY = "restore it, or finish the run again to write it anew"


Content = tuple[dict[str, Tensor], dict[str, Any]]  # of a policy folder: its tensors and its metadata


def export(
    recommender: Recommender,
    world: World,
    log: InteractionLog,
    config: TrainConfig,
    folder: Path,
    closed_form: ImplicitModel | None = None,
) -> None:
    """Replace a policy folder by that of a recommender; see `content`. Raises RunError where it cannot be written."""
    _write(content(recommender, world, log, config, closed_form), folder)


def content(
    recommender: Recommender,
    world: World,
    log: InteractionLog,
    config: TrainConfig,
    closed_form: ImplicitModel | None = None,
) -> Content:
    """What a policy folder holds of a recommender.

    world: the tables it was trained on. log: the events of the scope's users on its items, in scope codes. closed_form:
    the world model, where it estimates new users itself.
    """
    tensors = {f"weights.{name}": value for name, value in recommender.state_dict().items()}
    tensors |= {"items": recommender.items} | ({} if _follows(recommender, world) else {"users": recommender.users})
    slates, estimate = recommender.slates, recommender.estimate
    if slates is not None:
        estimate = slates.estimate
    if isinstance(estimate, LowRank):
        tensors["theta"] = estimate.theta
    elif estimate is not None:
        tensors["reward"] = estimate.whole()
    if config.recommender.belief:
        tensors["preference"] = recommender.features
    certainty = recommender.certainty
    if certainty is not None:
        tensors["certainty"] = certainty.noise
    if world.histories is not None and (slates is not None or certainty is not None):
        tensors |= _held("trained", world.histories)  # those of training, where the log may hold more
    if recommender.leaving is not None:
        tensors["bits"] = recommender.bits
    known, dynamics = write_dynamics(world.dynamics)
    tensors |= known | ({} if recommender.risk is None else {"risk": recommender.risk.whole()})
    metadata = {
        "recommender": to_json(config.recommender),
        "reward_range": [recommender.low, recommender.high],
        "leaving": recommender.leaving,
        "slate": None if slates is None else [slates.best, slates.random, slates.seed],
        "dynamics": dynamics,
    }
    return _complete(tensors, metadata, world, log, estimate, closed_form)


def export_table(table: Tensor, leaving: CategoryExit | None, world: World, log: InteractionLog, folder: Path) -> None:
    """Replace a policy folder by that of fixed scores, float32 [U, I], or [1, I] for a list that all users share.

    leaving: the exit rule that the policy avoids, if any. world: the tables for cold-start users. log: as in `export`.
    """
    tensors = {"table": table.float()} | ({} if leaving is None else {"bits": leaving.bits})
    metadata = {"leaving": None if leaving is None else [leaving.window, leaving.threshold]}
    estimate = Dense(tensors["table"]) if len(table) == world.n_users else None
    _write(_complete(tensors, metadata, world, log, estimate), folder)


def _write(found: Content, folder: Path) -> None:
    with replacing_folder(folder) as draft:
        write_both(draft / WEIGHTS, draft / METADATA, *found)


def _complete(
    tensors: dict[str, Tensor],
    metadata: dict[str, Any],
    world: World,
    log: InteractionLog,
    estimate: Estimate | None,
    closed_form: ImplicitModel | None = None,
) -> Content:
    """The content with what every policy folder holds."""
    newcomers, about = write_newcomers(world, estimate, closed_form)
    tensors |= newcomers | _held("logged", histories(log))
    parts = ("start", "items")
    shared = "trained.start" in tensors and all(
        torch.equal(tensors[f"trained.{part}"], tensors[f"logged.{part}"]) for part in parts
    )
    if shared:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("trained.")}
    metadata = {
        "schema": SCHEMA,
        "data": log.name,
        "unit": [log.unit.low, log.unit.high, log.unit.least],
        "logged_range": list(log.reward_range if log.unit.identity else log.unit.bounds),
        "user_ids": list(log.user_ids),
        "item_ids": list(log.item_ids),
        "newcomers": about,
        "logged_is_trained": shared,
        **metadata,
    }
    return tensors, metadata


def served(found: Content) -> TrainedPolicy:
    """The policy of this content, without a folder, of version 0."""
    tensors, metadata = found
    return _policy(json.loads(json.dumps(metadata, allow_nan=False)), tensors, "a policy in memory", "0" * 16)


def _follows(recommender: Recommender, world: World) -> bool:
    """Whether each user's p_u follows from the coordinates of the estimate that the policy starts from."""
    start = recommender.estimate if recommender.slates is None else recommender.slates.estimate
    if world.feedback is None or world.feedback.strength is None or not isinstance(start, LowRank):
        return False
    return torch.equal(world.feedback.along(start.theta), recommender.users)


def _held(name: str, held: Histories) -> dict[str, Tensor]:
    items = torch.zeros(len(held.items), dtype=torch.int32)  # an empty array would become a tensor of stride 0
    return {f"{name}.start": held.start, f"{name}.items": items.copy_(held.items)}


def read_policy(folder: Path) -> TrainedPolicy:
    """The policy in a folder, or in the run folder that holds it.

    Raises RunError where there is none, or it is damaged, contradicts itself, or is of another version. The folder may
    come from anywhere: it holds no code, and nothing is built that is larger than its files.
    """
    for place in (folder, folder / "policy"):
        recover(place)
    run, folder = folder, folder if (folder / METADATA).exists() else folder / "policy"
    try:
        before = version_of(folder)
        tensors, metadata = read_both(folder / WEIGHTS, folder / METADATA, REMEDY, "policy", SCHEMA)
        if version_of(folder) != before:
            raise RunError(f"{folder}: the policy was replaced while it was read; read it again")
        return _policy(metadata, tensors, str(folder / METADATA), before)
    except FileNotFoundError as error:
        raise RunError(
            f"{run}: no trained policy here; if it is an unfinished run, finish it with "
            f"`darlr train --out {run} --resume`"
        ) from error
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise RunError(f"{folder}: damaged policy ({str(error) or type(error).__name__:.300}); {REMEDY}") from error


def version_of(folder: Path) -> str:
    """The version of a policy: 16 hexadecimal digits of SHA-256 over its files, which equal files share.

    Raises FileNotFoundError where a file is missing.
    """
    for path in (folder / METADATA, folder / WEIGHTS):
        if path.exists() and not path.is_file():  # reading a pipe would not end
            raise RunError(f"{path}: damaged policy (no plain file); {REMEDY}")
    parts = (digest(folder / name) for name in (METADATA, WEIGHTS))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _policy(metadata: dict[str, Any], tensors: dict[str, Tensor], source: str, version: str) -> TrainedPolicy:
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    checks.check_tensors(arrays)
    rule = checks.check_leaving(metadata["leaving"])
    leaving = None if rule is None else CategoryExit(tensors["bits"], *rule)
    users, items = (checks.check_ids(metadata[f"{side}_ids"], side) for side in ("user", "item"))
    feedback = read_feedback(tensors, metadata["newcomers"]["feedback"])
    if "theta" in tensors and "users" not in tensors and feedback is not None:
        tensors["users"] = feedback.along(tensors["theta"])
    if metadata["logged_is_trained"]:
        tensors |= {f"trained.{part}": tensors[f"logged.{part}"] for part in ("start", "items")}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    checks.check_shapes(arrays, metadata["newcomers"]["feedback"], len(users), len(items))
    low, high, least = metadata["unit"]
    bounds = checks.check_range(metadata["logged_range"])
    unit = Unit(*checks.check_range((low, high)), checks.check_range((least, least + WIDTH))[0], bounds)
    believed = None
    if "table" in tensors:
        policy, build = _table(tensors["table"], leaving)
    else:
        policy, build = _networks(metadata, tensors, leaving, source)
        believed = read_believed(tensors, metadata, leaving)
    logged = Histories(tensors["logged.start"], tensors["logged.items"])
    whole = metadata.get("slate") is None
    newcomers = read_newcomers(tensors, metadata["newcomers"], feedback, build, believed, whole=whole)
    return TrainedPolicy(Ids(users), Ids(items), unit, version, policy, logged, newcomers)


def _table(table: Tensor, leaving: CategoryExit | None) -> tuple[Policy, Build]:
    """The policy of fixed scores, and how it is built for cold-start users."""

    def build(count: int, vectors: Tensor | None, rows: Estimate | None) -> Policy:
        policy = FixedList(table[0]) if len(table) == 1 or rows is None else UserGreedy(rows.whole())
        return policy if leaving is None else Staying(policy, leaving)

    return build(len(table), None, None if len(table) == 1 else Dense(table)), build


def _networks(
    metadata: dict[str, Any], tensors: dict[str, Tensor], leaving: CategoryExit | None, source: str
) -> tuple[Policy, Build]:
    """The learned policy, and how it is built for cold-start users, with their p_u and their prior."""
    checks.check_sizes(metadata["recommender"], tensors)
    config = from_json(RecommenderConfig, metadata["recommender"], source)
    weights = {n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")}
    reward_range = checks.check_range(metadata["reward_range"])

    slate = None if metadata["slate"] is None else [int(one) for one in metadata["slate"]]

    def parts(
        start: Estimate | None, held: Histories | None = None, alike: bool = True
    ) -> tuple[Estimate | None, Slates | None]:
        """What the prior reads, and the slates of the users whose estimates these are."""
        prior = start if config.prior else None
        if slate is None or start is None:
            return prior, None
        return prior, Slates(start, slate[0], slate[1], held, slate[2], alike, remember=False)

    start: Estimate | None = Dense(tensors["reward"]) if "reward" in tensors else None
    if "theta" in tensors:
        about = metadata["newcomers"]
        fold = FoldIn(tensors["fold.mean"], tensors["fold.factors"], about["noise"], checks.check_range(about["range"]))
        start = LowRank(fold, tensors["theta"])
    held = Histories(tensors["trained.start"], tensors["trained.items"]) if "trained.start" in tensors else None
    prior, slates = parts(start, held, alike=False)
    more = prior, leaving, tensors.get("preference")
    certainty = None
    if "certainty" in tensors:
        if held is None:
            raise ValueError("certainty without the logged items that give it")
        certainty = Certainty(checks.check_variances(tensors["certainty"], "certainty"), held)
    with torch.device("meta"):  # weights without memory, which those of the file replace
        dynamics = read_dynamics(tensors, metadata["dynamics"])
        risk = Dense(tensors["risk"]) if "risk" in tensors else None
        known = Recommender(
            config, tensors["items"], tensors["users"], reward_range, *more, None, slates, dynamics, risk, certainty
        )
    checks.check_weights(known, weights)
    known.load_state_dict(weights, assign=True)
    known.eval()

    def build(count: int, vectors: Tensor | None, rows: Estimate | None) -> RecommenderPolicy:
        users = vectors if vectors is not None else torch.zeros(count, tensors["users"].shape[1], dtype=torch.float32)
        return RecommenderPolicy(known.with_users(users, *parts(rows)))

    with torch.inference_mode():
        return RecommenderPolicy(known, known.tokens()), build
