"""GT is paid by the truth, IPS by a world model of its own weights; both else as any method."""

import json

import torch

from darlr.cli.main import main
from darlr.evaluation.truth import load_truth
from darlr.experiments.finished import open_run
from darlr.experiments.world import paid_world


def train(out, tiny, *more):
    assert main(["train", "--out", str(out), *tiny, "--epochs", "1", "--no-watch", *more]) == 0
    return open_run(out)


def test_gt_is_paid_by_the_truth_and_counts_as_a_reference(tmp_path, tiny):
    run = train(tmp_path / "gt", tiny, "--method", "gt")
    truth = load_truth("synthetic", options=run.config.synthetic).reward
    assert torch.equal(paid_world(run.world, run.logs, run.config).reward.whole(), truth)
    assert not torch.equal(run.world.reward.whole(), truth)  # the world-model row of a table must not be the truth
    assert main(["evaluate", str(tmp_path / "gt"), "--no-pictures", "--only", "learned"]) == 0
    rows = json.loads((tmp_path / "gt" / "table.json").read_text(encoding="utf-8"))["rows"]
    assert {(row["name"].split(",")[0], row["kind"]) for row in rows} == {("GT (true rewards)", "truth")}


def test_other_methods_are_paid_by_the_world_model(trained):
    run = open_run(trained)
    assert paid_world(run.world, run.logs, run.config) is run.world


def test_gt_needs_a_truth(tmp_path, tiny, refused):
    log = tmp_path / "log.csv"
    log.write_text("user,item,reward\n" + "".join(f"{u},{i},{(u + i) % 5}\n" for u in range(6) for i in range(5)))
    assert main(["data", "prepare", "table", "--out", str(tmp_path / "own"), "--log", str(log)]) == 0
    said = refused("train", "--out", tmp_path / "run", *tiny, "--method", "gt", "--data", tmp_path / "own", code=2)
    assert "option --method: gt learns from the truth" in said
    assert not (tmp_path / "run").exists()


def test_ips_fits_its_own_weights_and_refuses_others(tmp_path, tiny, trained, refused):
    run = train(tmp_path / "ips", tiny, "--method", "ips")
    assert run.config.world_model.weighting == "inverse-popularity"
    plain = ("--method", "ips", "--world", trained / "world")
    assert "weighting 'none'" in refused("train", "--out", tmp_path / "no", *tiny, *plain, code=2)
    train(tmp_path / "again", tiny, "--method", "ips", "--world", str(tmp_path / "ips" / "world"))
