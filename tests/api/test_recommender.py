"""The recommender of the library: fitted in memory, in a folder, interrupted, resumed, saved and loaded."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import darlr
from darlr.cli.main import main
from darlr.data.log import InteractionLog
from darlr.data.sets.synthetic import generate
from darlr.errors import ConfigError, DarlrWarning, DataError, RunError
from darlr.evaluation.truth import whole
from darlr.options import SyntheticConfig

OPTIONS = {"steps": 160, "sessions": 8, "model": {"epochs": 1, "members": 2}, "session": {"turns": 10}}


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    return generate(SyntheticConfig(users=20, items=16, categories=8, events_per_user=8)).log


@pytest.fixture(scope="module")
def fitted(log: InteractionLog) -> darlr.Recommender:
    return darlr.Recommender("darlr", **OPTIONS).fit(log, epochs=2, progress=False)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def same(one: darlr.Recommender, other: darlr.Recommender) -> bool:
    first, second = (model.run.recommender.state_dict() for model in (one, other))
    equal = all(torch.equal(first[name], second[name]) for name in first)
    rows = [[row["reward"] for row in model.run.rows] for model in (one, other)]
    return equal and rows[0] == rows[1] and one.run.epoch == other.run.epoch


def test_a_folder_changes_no_number(log: InteractionLog, fitted: darlr.Recommender, tmp_path: Path):
    into = darlr.Recommender("darlr", **OPTIONS).fit(log, epochs=2, folder=tmp_path / "run", progress=False)
    assert same(into, fitted)
    assert same(darlr.load(tmp_path / "run"), fitted)


def test_an_interrupted_fit_goes_on_to_the_same_numbers(log: InteractionLog, fitted: darlr.Recommender):
    model = darlr.Recommender("darlr", **OPTIONS)

    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"after epoch 1 of 2.*resume=True"):
        model.fit(log, epochs=2, progress=False, callbacks=[stop])
    assert model.run.epochs == 1
    assert same(model.fit(log, epochs=2, progress=False, resume=True), fitted)


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError])
def test_a_fit_into_a_folder_that_stops_leaves_what_was_learned(
    log: InteractionLog, fitted: darlr.Recommender, tmp_path: Path, error: type[BaseException]
):
    def stop(row):
        raise error

    model = darlr.Recommender("darlr", **OPTIONS)
    message = r"after epoch 1 of 2.*fit\(\.\.\., folder='.*run', resume=True\)" if error is KeyboardInterrupt else None
    with pytest.raises(error, match=message):
        model.fit(log, epochs=2, folder=tmp_path / "run", progress=False, callbacks=stop)
    assert model.run.epochs == 1
    assert same(model.fit(log, epochs=2, folder=tmp_path / "run", resume=True, progress=False), fitted)


def test_a_fit_may_be_interrupted_twice_in_one_epoch(
    log: InteractionLog, fitted: darlr.Recommender, monkeypatch: pytest.MonkeyPatch
):
    model = darlr.Recommender("darlr", **OPTIONS).fit(log, epochs=1, progress=False)
    with monkeypatch.context() as patched:
        patched.setattr("darlr.agents.train.refuse_divergence", interrupt)  # at the end of an epoch, before it is kept
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt, match="after epoch 1 of 2"):
                model.fit(log, epochs=2, progress=False, resume=True)
    assert same(model.fit(log, epochs=2, progress=False, resume=True), fitted)


def test_saved_moved_and_loaded_it_is_the_same(fitted: darlr.Recommender, tmp_path: Path):
    fitted.save(tmp_path / "shop")
    (tmp_path / "shop").rename(tmp_path / "moved")
    model = darlr.load(tmp_path / "moved")
    assert same(model, fitted)
    model.save(tmp_path / "again")
    assert same(darlr.load(tmp_path / "again"), fitted)


def test_the_command_line_goes_on_with_a_saved_and_moved_run(log: InteractionLog, tmp_path: Path):
    model = darlr.Recommender("mbpo", **OPTIONS).fit(log, epochs=1, progress=False)
    model.save(tmp_path / "shop")
    (tmp_path / "shop").rename(tmp_path / "moved")
    assert main(["train", "--out", str(tmp_path / "moved"), "--resume", "--epochs", "2", "--no-watch"]) == 0
    whole = darlr.Recommender("mbpo", **OPTIONS).fit(log, epochs=2, progress=False)
    assert same(darlr.load(tmp_path / "moved"), whole)


def test_a_folder_that_holds_something_else_is_refused(fitted: darlr.Recommender, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="exists and is no run"):
        fitted.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_callbacks_see_every_epoch(log: InteractionLog):
    rows: list[int] = []
    darlr.Recommender("mbpo", **OPTIONS).fit(
        log, epochs=2, progress=False, callbacks=[lambda row: rows.append(row["epoch"])]
    )
    assert rows == [1, 2]


def test_fitting_leaves_the_programs_own_settings(log: InteractionLog):
    torch.manual_seed(7)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        darlr.Recommender("mbpo", threads=2, **{**OPTIONS, "steps": 80}).fit(log, epochs=1, progress=False)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(before[2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "no option is called epoch; perhaps you meant 'epochs'"),
        ({"selector": {"pick": 3}}, r"no option is called selector\.pick; perhaps you meant 'selector\.picks'"),
        ({"selector__picks": 0}, r"option selector\.picks: must be at least 1"),
        ({"selector": 3}, r"option selector: is a group of options; give a mapping.*, not 3"),
        ({"epochs": "many"}, "option epochs must be int, not 'many'"),
        ({"data": "coat"}, r"option data: pass the data set to fit, as in fit\('coat'\)"),
    ],
)
def test_options_are_refused_by_their_name(options: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        darlr.Recommender("darlr", **options)


def test_before_it_has_learned_it_says_so():
    model = darlr.Recommender("roler")
    assert repr(model) == "Recommender('roler'), which has not learned yet"
    with pytest.raises(RunError, match=r"call fit\(log\) first"):
        _ = model.run
    with pytest.raises(RunError, match="no fit in memory to resume"):
        model.fit("synthetic", resume=True, progress=False)


def test_another_log_or_other_options_are_not_resumed(log: InteractionLog):
    model = darlr.Recommender("mbpo", **OPTIONS).fit(log, epochs=1, progress=False)
    other = generate(SyntheticConfig(users=20, items=16, categories=8, events_per_user=8, seed=1)).log
    with pytest.raises(RunError, match="cannot resume on another log"):
        model.fit(other, epochs=2, resume=True, progress=False)


def test_importing_is_quick_and_loads_nothing_heavy():
    code = (
        "import time; begun = time.perf_counter(); import darlr, sys; took = time.perf_counter() - begun\n"
        "print(took, sorted({'torch', 'numpy', 'polars', 'tyro', 'rich'} & set(sys.modules)), repr(darlr.NEW))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert float(answer[0]) < 0.5  # 0.1 s on an idle machine
    assert answer[1:] == ["[]", "darlr.NEW"]
    assert set(darlr.__all__) <= set(dir(darlr))
    with pytest.raises(AttributeError, match="no attribute 'Recomender'"):
        _ = darlr.Recomender


def test_an_error_of_a_callback_leaves_what_was_learned(log: InteractionLog, fitted: darlr.Recommender):
    def give_up(row):
        raise LookupError("enough")

    model = darlr.Recommender("darlr", **OPTIONS)
    with pytest.raises(LookupError, match="enough"):
        model.fit(log, epochs=2, progress=False, callbacks=give_up)
    assert model.run.epochs == 1
    assert len(model.recommend(darlr.NEW, n=3)) == 3
    assert same(model.fit(log, epochs=2, progress=False, resume=True), fitted)


def test_a_copy_and_a_pickle_answer_alike(fitted: darlr.Recommender, tmp_path: Path):
    users = [*fitted.run.logs.known.user_ids[:3], darlr.NEW]
    answer = fitted.recommend(users, n=4)
    for other in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert other.recommend(users, n=4).equals(answer)
        other.save(tmp_path / "copy")
        assert same(darlr.load(tmp_path / "copy"), fitted)


def test_a_method_is_a_name():
    with pytest.raises(ConfigError, match="option method: must be the name of a method, not 3"):
        darlr.Recommender(3)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_options():
    model = darlr.Recommender("darlr", seed=np.int64(3), reward={"lambda_u": np.float32(0.5)}, selector={})
    assert model.asked == darlr.Recommender("darlr", seed=3, reward__lambda_u=0.5).asked


@pytest.mark.parametrize("log", [None, pl.DataFrame({"user": [1], "item": [1]})])
def test_what_is_no_log_is_refused(log: object):
    with pytest.raises(ConfigError, match=r"option log: must be a log, such as darlr\.read_events"):
        darlr.Recommender("darlr").fit(log)  # type: ignore[arg-type]


def test_an_address_is_no_folder_to_save_into(
    fitted: darlr.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="s3://bucket/shop"):
        fitted.save("s3://bucket/shop")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_evaluated_is_named(log: InteractionLog, fitted: darlr.Recommender):
    for given, message in (
        ({"models": "shop"}, "option models: must be recommenders, not str"),
        ({"test": log.frame()}, "option test: must be a log"),
        ({"only": "simple"}, "option only: must be 'all' or 'learned', not 'simple'"),
        ({"users": "fresh"}, "option users: must be 'known', 'new' or 'both', not 'fresh'"),
    ):
        with pytest.raises(ConfigError, match=message):
            darlr.evaluate(**{"models": fitted, "progress": False, **given})
    with pytest.raises(RunError, match=r"no user was hidden .* hidden, such as 0.2 \(option split.hidden\)$"):
        darlr.evaluate(fitted, users="new", progress=False)
    unread = darlr.Recommender("mbpo", selector={"objective": "likelihood"}, device="tpu")
    said = "^option selector.objective: no effect with option method mbpo; leave"
    with pytest.warns(DarlrWarning, match=said), pytest.raises(ConfigError):
        unread.fit(log)
    larger = generate(SyntheticConfig(users=21, items=16, categories=8, events_per_user=8))
    with pytest.raises(DataError, match="not of the log that the recommender learned from, which has 20 users"):
        darlr.evaluate(fitted, truth=whole(torch.from_numpy(larger.reward)), progress=False)


def test_runs_in_memory_are_named_in_messages(log: InteractionLog, fitted: darlr.Recommender):
    other = darlr.Recommender("darlr", **{**OPTIONS, "steps": 400}).fit(log, epochs=0, progress=False)
    with pytest.raises(RunError, match=r"DARLR, DARLR: both are DARLR but differ in .*the option label"):
        darlr.evaluate([fitted, other], truth=None, progress=False)


def test_an_explanation_reads_histories_as_a_recommendation_does(fitted: darlr.Recommender):
    item = fitted.run.logs.known.item_ids[2]
    plain = fitted.explain(3, item)
    with pytest.warns(DarlrWarning, match="items that the log does not hold were left out: 'nowhere'"):
        assert str(fitted.explain(3, item, history=[("nowhere", 1.0)])) == str(plain)
    assert str(fitted.explain(3, item, history=None)) == str(plain)
    assert plain == plain


def test_a_served_policy_has_the_slates_of_training(log: InteractionLog):
    small = {"slate": 10, "slate_random": 2, "prior": 1.0}
    model = darlr.Recommender("mbpo", **OPTIONS, recommender=small).fit(log, epochs=1, progress=False)
    trained, served = model.run.recommender.slates, model.policy.policy
    while not hasattr(served, "recommender"):
        served = served.policy
    users = torch.arange(20)
    assert torch.equal(served.recommender.slates.of(users).items, trained.of(users).items)
    items = trained.of(users).columns(torch.from_numpy(log.item[log.user == 3])[None].expand(20, -1))
    assert (items[3] >= 0).sum() >= len(np.unique(model.run.logs.fitted.item[model.run.logs.fitted.user == 3]))


def test_a_slate_that_a_session_would_use_up_is_refused():
    with pytest.raises(ConfigError, match=r"recommender\.slate: must be 0 or at least session\.turns \(10\), not 9"):
        darlr.Recommender("mbpo", **OPTIONS, recommender={"slate": 9})
