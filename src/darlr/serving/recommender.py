"""A trained policy on its own: one folder, no data set, no world model, no truth.

from darlr.serving.recommender import load_policy

policy = load_policy(Path("runs/demo-coat"))  # a run folder, or a copy of its folder `policy`
for found in policy.recommend(user=42, count=5, history=[(7, 4.0), (12, 2.0)]):  # item, reward; oldest first
    print(found.item, found.probability)
"""

import operator
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

import torch
from torch import Tensor

from darlr.agents.recommender import Recommender, RecommenderPolicy
from darlr.data.log import InteractionLog
from darlr.data.spelling import plain, without_point
from darlr.data.unit import WIDTH, Unit
from darlr.errors import ConfigError, DataError, RunError
from darlr.io.files import drafting
from darlr.io.tensors import read_both, write_both
from darlr.options import RecommenderConfig, TrainConfig
from darlr.options.json import from_json, to_json
from darlr.policies.fixed import FixedList, Staying, UserGreedy
from darlr.serving.history import read_history
from darlr.serving.policy_checks import (
    check_ids,
    check_leaving,
    check_range,
    check_rows,
    check_sizes,
    check_tensors,
    check_weights,
)
from darlr.simulation.exits import CategoryExit
from darlr.simulation.policy import Policy, masked
from darlr.simulation.session import Session, reset

WEIGHTS, FACTS = "policy.safetensors", "policy.json"
SCHEMA = 2


@dataclass(frozen=True)
class Recommendation:
    """One recommended item: its id as in the log, and the policy's probability of showing it next."""

    item: str | int
    probability: float


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy with the ids it speaks in. user_codes, item_codes: id as text -> code.

    unit: how the log's rewards were learned, and the log's own range of them.
    """

    policy: Policy
    user_codes: dict[str, int]
    item_codes: dict[str, int]
    item_ids: Sequence[str | int]
    unit: Unit

    def recommend(
        self, user: str | int, count: SupportsIndex = 10, history: Iterable[tuple[str | int, SupportsFloat]] = ()
    ) -> list[Recommendation]:
        """The best next items for a user, best first; what the session has shown already is left out.

        history: (item id, reward in the log's units), oldest first. Fewer than `count` come back when the
        catalogue has no more. Raises DataError for an unknown user or item, ConfigError for a count below 1 and for a
        reward that is no number or outside the log's range.
        """
        try:
            count = operator.index(count)
        except TypeError:
            raise ConfigError(f"option count: must be a whole number, not {count!r}") from None
        if count < 1:
            raise ConfigError(f"option count: must be at least 1, not {count}")
        session = self._session(user, read_history(history, *self.unit.bounds))
        logits = self.policy.scores(session)
        if not bool(logits.isfinite().all()):
            raise RunError(f"user {user!r}: the policy's scores are no finite numbers; its weights are damaged")
        scores = masked(logits, ~session.seen)
        left = min(count, int((~session.seen).sum()))
        code = scores[0].argsort(descending=True, stable=True)[:left]  # of equals the lowest code, as in evaluation
        if isinstance(self.policy, RecommenderPolicy):
            probability = scores.softmax(-1)[0, code]
        else:  # a list or a table shows its first item, and no other
            probability = torch.eye(1, len(code))[0]
        return [Recommendation(self.item_ids[c], p) for c, p in zip(code.tolist(), probability.tolist(), strict=True)]

    def _session(self, user: str | int, history: Sequence[tuple[str | int, float]]) -> Session:
        codes = [_code(self.item_codes, item, "item") for item, _ in history]
        start = reset(torch.tensor([_code(self.user_codes, user, "user")]), len(self.item_ids), max(1, len(codes)))
        if not codes:
            return start
        items = torch.tensor([codes])
        return Session(
            user=start.user,
            items=items,
            rewards=self.unit.learn(torch.tensor([[reward for _, reward in history]], dtype=torch.float64)),
            turn=torch.tensor([len(codes)]),
            done=start.done,
            n_items=start.n_items,
        )


def _code(codes: dict[str, int], name: str | int, what: str) -> int:
    """The code of an id, as it is or as a log's reader spells it; among whole numbers 1.0 is 1."""
    typed = plain(str(name))
    whole = without_point(typed)
    for spelled in (str(name), typed, *([whole] if whole != typed and _numbers(codes) else [])):
        if spelled in codes:
            return codes[spelled]
    raise DataError(f"{what} {name!r} is not in the log that the policy was trained on")


def _numbers(codes: dict[str, int]) -> bool:
    return all(without_point(name) == name and name.removeprefix("-").isdigit() for name in codes)


def export(recommender: Recommender, log: InteractionLog, config: TrainConfig, folder: Path) -> None:
    """Write a policy folder: weights and tables in safetensors, the rest JSON; whole or not at all."""
    tensors = {f"weights.{name}": value for name, value in recommender.state_dict().items()}
    tensors |= {"items": recommender.items, "users": recommender.users}
    if config.recommender.prior:
        tensors["reward"] = recommender.reward
    if config.recommender.belief:
        tensors["taste"] = recommender.features
    if recommender.leaving is not None:
        tensors["bits"] = recommender.bits
    facts = {
        "recommender": to_json(config.recommender),
        "reward_range": [recommender.low, recommender.high],
        "leaving": recommender.leaving,
    }
    _write(tensors, facts, log, folder)


def export_table(table: Tensor, leaving: CategoryExit | None, log: InteractionLog, folder: Path) -> None:
    """Write a policy folder of fixed scores, float32 [U, I], or [1, I] where everybody has the same.

    leaving: the exit rule that the policy avoids, if any. log: whose ids and unit of rewards the policy speaks in.
    """
    tensors = {"table": table.float()} | ({} if leaving is None else {"bits": leaving.bits})
    _write(tensors, {"leaving": None if leaving is None else [leaving.window, leaving.threshold]}, log, folder)


def _write(tensors: dict[str, Tensor], facts: dict[str, Any], log: InteractionLog, folder: Path) -> None:
    facts = {
        "schema": SCHEMA,
        "data": log.name,
        "unit": [log.unit.low, log.unit.high, log.unit.least],
        "logged_range": list(log.reward_range if log.unit.identity else log.unit.bounds),
        "user_ids": list(log.user_ids),
        "item_ids": list(log.item_ids),
        **facts,
    }
    with drafting(folder) as draft:
        write_both(draft / WEIGHTS, draft / FACTS, tensors, facts)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)


def load_policy(folder: Path) -> TrainedPolicy:
    """A policy from its folder, or from the run folder that holds it.

    Raises RunError when there is none, or it is damaged, contradicts itself, or is of another version. The folder may
    come from anywhere: it holds no code, and nothing is built that is larger than its files.
    """
    run, folder = folder, folder if (folder / FACTS).exists() else folder / "policy"
    try:
        tensors, facts = read_both(folder / WEIGHTS, folder / FACTS, REMEDY, "policy", SCHEMA)
        return _policy(facts, tensors, str(folder / FACTS))
    except FileNotFoundError as error:
        raise RunError(
            f"{run}: no trained policy here; if it is an unfinished run, finish it with "
            f"`darlr train --out {run} --resume`"
        ) from error
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise RunError(f"{folder}: damaged policy ({str(error) or type(error).__name__:.300}); {REMEDY}") from error


REMEDY = "restore it, or finish the run again to write it anew"


def _policy(facts: dict[str, Any], tensors: dict[str, Tensor], source: str) -> TrainedPolicy:
    check_tensors(tensors)
    rule = check_leaving(facts["leaving"])
    leaving = None if rule is None else CategoryExit(tensors["bits"], *rule)
    users, items = ids = [check_ids(facts[f"{side}_ids"], side) for side in ("user", "item")]
    check_rows(tensors, len(users), len(items))
    low, high, least = facts["unit"]
    bounds = check_range(facts["logged_range"])
    unit = Unit(*check_range((low, high)), *check_range((least, least + WIDTH))[:1], bounds)
    policy = _table(tensors["table"], leaving) if "table" in tensors else _networks(facts, tensors, leaving, source)
    user_codes, item_codes = ({str(name): code for code, name in enumerate(names)} for names in ids)
    return TrainedPolicy(policy, user_codes, item_codes, items, unit)


def _table(table: Tensor, leaving: CategoryExit | None) -> Policy:
    policy = FixedList(table[0]) if len(table) == 1 else UserGreedy(table)
    return policy if leaving is None else Staying(policy, leaving)


def _networks(facts: dict[str, Any], tensors: dict[str, Tensor], leaving: CategoryExit | None, source: str) -> Policy:
    check_sizes(facts["recommender"], tensors)
    config = from_json(RecommenderConfig, facts["recommender"], source)
    weights = {n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")}
    tables = tensors.get("reward"), leaving, tensors.get("taste")
    with torch.device("meta"):  # weights without memory: what is in the file takes their place
        recommender = Recommender(
            config, tensors["items"], tensors["users"], check_range(facts["reward_range"]), *tables
        )
    check_weights(recommender, weights)
    recommender.load_state_dict(weights, assign=True)
    return RecommenderPolicy(recommender.eval())
