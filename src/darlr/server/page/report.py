"""What the page shows of evaluations and of training, from the files of run folders alone."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from darlr.data.unit import Unit
from darlr.errors import DarlrError, RunError
from darlr.evaluation.pictures.curves import PANELS
from darlr.evaluation.report import heading
from darlr.experiments.runs import CONFIG, METRICS, PROVENANCE
from darlr.io.files import read_json
from darlr.server.arms import Arm, Arms
from darlr.server.page.messages import Comparison, Curve, Feature, Report, Training, Warned

TABLE, REMEDY = "table.json", "evaluate the run again"
LARGEST, ROWS, POINTS = 32 << 20, 200, 300  # bytes of a file that is read, rows of a table, points of a curve
CURVES = {
    "R_tra": "Reward of a session, on the truth",
    "greedy_return": "Reward of a session, by the world model",
    "Length": "Session length, on the truth",
    **{name: title[0].upper() + title[1:] for name, title in PANELS.items()},
    "selector_reward": "Reward of the selector (Eq. 12)",
    "entropy": "Entropy of the policy",
    "value_error": "Squared error of the critic",
    "held_out_dynamic": "Held-out error of the dynamic reward",
}
SHOWN = ("name", "kind", "sampled", "exit_aware", "mean", "interval", "length", "each", "coverage", "seeds", "users")


def compare(arms: Arms) -> Comparison:
    """The evaluations in the folders of all arms, and what to run for those that have none."""
    reports, missing = [], []
    for arm in arms.arms:
        try:
            found = report_of(arm)
        except RunError as error:
            missing.append(str(error))
            continue
        if found is not None:
            reports.append(found)
    whole = [one for one in reports if {_label(arm) for arm in arms.arms} <= {row["name"] for row in one.rows}]
    named = " ".join(quote(str(arm.folder)) for arm in arms.arms)
    if not reports or (len(arms.arms) > 1 and not whole):
        missing.append(f"The arms are in no common table yet. Make one with: darlr evaluate {named}")
    turns = [_config(arm).get("train", {}).get("session", {}).get("turns") for arm in arms.arms]
    return Comparison(reports=whole[:1] or reports, turns=turns[0], missing=missing)


def report_of(arm: Arm) -> Report | None:
    """The first setting of the evaluation in a run's folder. Raises RunError where its file is damaged."""
    table = _read(arm.folder / TABLE)
    if table is None:
        return None
    try:
        first = table["rows"][0]
        rows = [row for row in table["rows"] if (row["mode"], row["window"]) == (first["mode"], first["window"])]
        return Report(
            arm=arm.name,
            about={
                name: value for name, value in table["about"].items() if isinstance(value, str | int | float | list)
            },
            setting=heading(first["mode"], first["window"]),
            rows=sorted(({name: row[name] for name in SHOWN} for row in rows), key=lambda row: -row["mean"])[:ROWS],
            verdict=table.get("sections", {}).get("Verdict", []),
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{arm.folder / TABLE}: damaged ({type(error).__name__}); {REMEDY}") from error


def training_of(arm: Arm, arms: Arms) -> Training:
    """The curves, the failure signatures and the evaluation of an arm's run, which may lie beside another arm."""
    missing: list[str] = []
    config, rows, report = _config(arm), [], None
    if not config:
        missing.append("The folder holds a policy alone, without the files of its run. Serve the run's folder.")
    try:
        rows = _metrics(arm.folder / METRICS)
        found = [report_of(one) for one in (arm, *arms.arms)]
        report = next(
            (one for one in found if one is not None and _label(arm) in {row["name"] for row in one.rows}), None
        )
    except RunError as error:
        missing.append(str(error))
    if config and not rows:
        missing.append(f"{METRICS} holds no epoch yet.")
    if config and report is None:
        missing.append(f"The run has no evaluation yet. Make one with: darlr evaluate {quote(str(arm.folder))}")
    signatures = [
        Warned(epoch=int(row["epoch"]), signature=str(one["signature"]), message=str(one["message"]))
        for row in rows
        for one in row.get("warnings", ())
    ]
    curves = _curves(rows, arm.policy.unit)
    return Training(
        facts=_facts(arm, config, rows), curves=curves, signatures=signatures, report=report, missing=missing
    )


def _read(path: Path) -> Any:
    """The content of a JSON file; None where there is none. Raises RunError for a damaged or a huge one."""
    try:
        if path.stat().st_size > LARGEST:
            raise RunError(f"{path}: larger than {LARGEST >> 20} MiB; the page does not read it")
        return read_json(path, REMEDY)
    except FileNotFoundError:
        return None


def _config(arm: Arm) -> dict[str, Any]:
    """The options of the run, as stored; empty where there are none."""
    try:
        found = _read(arm.folder / CONFIG)
        return dict(found["config"]) if found else {}
    except (DarlrError, LookupError, TypeError):
        return {}


def _label(arm: Arm) -> str:
    return str(_config(arm).get("label", arm.name))


def _metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of training, as far as they are whole. Raises RunError for a huge file."""
    if not path.is_file():
        return []
    if path.stat().st_size > LARGEST:
        raise RunError(f"{path}: larger than {LARGEST >> 20} MiB; the page does not read it")
    rows = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a run that is being written
        if isinstance(row, dict) and isinstance(row.get("epoch"), int):
            rows.append(row)
    return rows


def _curves(rows: Sequence[Mapping[str, Any]], unit: Unit) -> list[Curve]:
    found = []
    for name, title in CURVES.items():
        known = [(row["epoch"], row[name]) for row in rows if _finite(row.get(name))]
        if not known:
            continue
        step = -(-len(known) // POINTS)
        epochs, values = zip(*known[::-step][::-1], strict=True)  # the last epoch is always among them
        if name == "estimate":
            values = tuple(unit.show(value) for value in values)
        if name == "penalty":
            values = tuple(unit.scale * value for value in values)
        found.append(Curve(name=name, title=title, epochs=list(epochs), values=list(values)))
    return found


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _facts(arm: Arm, config: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Feature]:
    """The head of the run: what was trained, on what, how long."""
    found: dict[str, Any] = {"policy": arm.policy.version}
    if config:
        train = config.get("train", {})
        found |= {"method": config.get("label"), "data": config.get("data"), "seed": train.get("seed")}
    if rows:
        found |= {"epochs": len(rows), "steps": rows[-1].get("steps")}
        found |= {"policy of epoch": rows[-1]["kept"]} if "kept" in rows[-1] else {}
    try:
        starts = _read(arm.folder / PROVENANCE) or []
        last = starts[-1] if starts else {}
        found |= {"trained": last.get("date"), "commit": (last.get("git") or {}).get("commit")}
        found |= {"darlr": (last.get("versions") or {}).get("darlr")}
    except (DarlrError, LookupError, TypeError, AttributeError):
        pass
    return [
        Feature(name=name, value=f"{value:,}" if isinstance(value, int) and name != "seed" else str(value)[:80])
        for name, value in found.items()
        if value is not None
    ]
