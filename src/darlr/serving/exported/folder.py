"""An exported policy folder: `policy.json`, `tables.safetensors` and, for a learned policy, `graph.onnx`.

`policy.json` holds the ids, the options, and the SHA-256 of the other files. Its own hash is the version of the policy.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darlr.data.unit import WIDTH, Unit
from darlr.errors import MachineError, RunError
from darlr.io.arrays import MappedArrays
from darlr.io.files import digest, read_json
from darlr.serving import policy_checks as checks
from darlr.serving.exported.networks import Networks, Settings
from darlr.serving.exported.parts import Certainty, Ends, Fold, Prior, Vectors
from darlr.serving.exported.policy import Believing, ExportedPolicy, Known, New, OfNewcomers, OfUsers, Table
from darlr.serving.ids import Ids

METADATA, TABLES, GRAPH = "policy.json", "tables.safetensors", "graph.onnx"
SCHEMA = "onnx 3"
REMEDY = "export it again"
NUMBERS = ("prior", "belief", "caution", "belief_scale")  # of the networks
Arrays = Mapping[str, Any]


def read_exported(folder: Path, threads: int = 1) -> ExportedPolicy:
    """The policy of a folder. threads: of ONNX Runtime.

    Raises FileNotFoundError where a file is missing, RunError where one is damaged or of another version, and
    MachineError without ONNX Runtime. The folder may come from anywhere: nothing is built that is larger than its
    files, and a graph can do nothing but compute.
    """
    try:
        metadata = read_json(folder / METADATA, REMEDY, schema=None)
        if metadata["schema"] != SCHEMA:
            found = metadata["schema"]
            raise RunError(f"{folder}: a policy of schema {found}, this version of darlr reads {SCHEMA}; {REMEDY}")
        version = hashlib.sha256((folder / METADATA).read_bytes()).hexdigest()[:16]
        tables = MappedArrays(folder / TABLES)
        graph = (folder / GRAPH).read_bytes() if GRAPH in metadata["files"] else None
        for name, wanted in metadata["files"].items():
            if name not in (TABLES, GRAPH) or digest(folder / name) != wanted:
                raise RunError(f"{folder / name}: damaged policy (its checksum does not fit); {REMEDY}")
        return _policy(metadata, tables, graph, version, threads)
    except FileNotFoundError:
        raise
    except (OSError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RunError(f"{folder}: damaged policy ({str(error) or type(error).__name__:.300}); {REMEDY}") from error


def _policy(
    metadata: dict[str, Any], tables: MappedArrays, graph: bytes | None, version: str, threads: int
) -> ExportedPolicy:
    for name, values in tables.items():
        checks.check_tensors({name: values})
        tables.release()
    users, items = (checks.check_ids(metadata[f"{side}_ids"], side) for side in ("user", "item"))
    about = metadata["newcomers"]
    checks.check_shapes(tables, about["feedback"], len(users), len(items))
    low, high, least = metadata["unit"]
    bounds = checks.check_range(metadata["logged_range"])
    unit = Unit(*checks.check_range((low, high)), checks.check_range((least, least + WIDTH))[0], bounds)
    rule = checks.check_leaving(metadata["leaving"])
    leaving = None if rule is None else Ends(tables["bits"], *rule)
    noise = checks.check_number(about["noise"], "noise", positive=True)
    fold = Fold(tables["fold.mean"], tables["fold.factors"], noise, checks.check_range(about["range"]))
    if graph is None:
        table = tables.stored("table")
        assert table is not None, "no table"
        fixed = Table(table, fold, tables.get("carried.mean"), tables.get("carried.weight"), leaving)
        both: tuple[Known, New] = fixed.known, fixed.new
    else:
        both = _networks(metadata, tables, graph, fold, leaving, threads)
    logged = tables["logged.start"], tables["logged.items"]
    return ExportedPolicy(Ids(users), Ids(items), unit, version, *both, fold, *logged)


def _networks(
    metadata: dict[str, Any], tables: MappedArrays, content: bytes, fold: Fold, leaving: Ends | None, threads: int
) -> tuple[Known, New]:
    """The logits of users of the log, and of others."""
    try:
        from darlr.serving.exported.runtime import Graph
    except ModuleNotFoundError as error:
        raise MachineError("this policy needs ONNX Runtime: pip install onnxruntime") from error
    asked = metadata["networks"]
    numbers = {name: checks.check_number(asked[name], name) for name in NUMBERS}
    config = Settings(int(asked["window"]), int(asked["dim"]), bool(asked["feedback"]), **numbers)
    graph = Graph(content, threads)
    n_items = len(metadata["item_ids"])
    sizes = {"items": config.window, "feedback": config.window} | ({"own": config.dim} if config.dim else {})
    sizes |= {"preference": tables["preference"].shape[1]} if config.belief else {}
    fits = {name: (size,) for name, size in sizes.items()} == graph.inputs
    if not fits or (graph.output, graph.width) != ("logits", n_items):
        raise ValueError("its graph does not fit its options")
    reward_range = checks.check_range(metadata["reward_range"])
    certainty = None
    if "certainty" in tables:
        trained = "logged" if metadata["logged_is_trained"] else "trained"
        noise = checks.check_variances(tables["certainty"], "certainty")
        certainty = Certainty(noise, tables[f"{trained}.start"], tables[f"{trained}.items"])
    features = tables["preference"] if config.belief else None
    networks = Networks(graph, config, reward_range, features, leaving, certainty)
    known = OfUsers(
        networks,
        tables.stored("own") if config.dim else None,
        tables.stored("reward"),
        tables.stored("theta"),
        fold,
        tables["centre"] if config.prior else None,
        tables["sharpness"] if config.prior else None,
    )
    if "belief.mean" in tables:
        noise = checks.check_variances(tables["belief.noise"], "belief.noise")
        told = noise * tables["belief.tempering"] if "belief.tempering" in tables else noise
        belief = Prior(tables["belief.mean"], tables["belief.factors"], told)
        return known, Believing(belief, config.prior, config.caution, leaving)
    found = metadata["newcomers"]["feedback"]
    vectors = None
    if found is not None:
        centre, mean, columns = (tables[f"feedback.{name}"] for name in ("centre", "mean", "columns"))
        scale = checks.check_number(found["scale"], "scale", positive=True)
        predicted, by_user = bool(found["predicted"]), bool(found["by_user"])
        vectors = Vectors(predicted, by_user, centre, mean, scale, columns, tables.get("feedback.strength"))
    user = (tables["user.weight"], tables["user.bias"]) if config.dim else None
    return known, OfNewcomers(networks, fold, vectors, user, tables.get("carried.mean"), tables.get("carried.weight"))
