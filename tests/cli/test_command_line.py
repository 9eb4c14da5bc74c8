"""What the command line says: help, hints, exit codes, and errors before anything is written."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from darlr import __version__
from darlr.cli.dispatch import dispatch
from darlr.cli.main import main
from darlr.experiments.runs import read_config
from darlr.options import RunConfig

Refused = Callable[..., str]


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["data"],
        ["data", "prepare"],
        ["data", "prepare", "table"],
        ["data", "info"],
        ["fit"],
        ["train"],
        ["evaluate"],
        ["compare"],
        ["recommend"],
    ],
    ids=" ".join,
)
def test_help_is_readable_in_80_columns(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "--help" in said
    assert [line for line in said.splitlines() if len(line) > 80 and not line.startswith("usage:")] == []


@pytest.mark.parametrize("columns", [40, 50, 80, 400])
@pytest.mark.parametrize("colour", [False, True], ids=["plain", "in colour"])
def test_the_overview_looks_as_tyro_would_print_it(
    columns: int, colour: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(sys.stdout), "encoding", "utf-8")  # as that of a terminal that can draw boxes is spelt
    monkeypatch.setattr(sys.stdout, "isatty", lambda: colour)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        dispatch(["--help"])
    expected = seen(capsys.readouterr().out)
    for option in ("--help", "-h"):
        with suppress(SystemExit):
            assert main([option]) == 0
        assert seen(capsys.readouterr().out) == expected
    assert {style for line in expected for _, style in line} == ({"", "1", "2", "2;37", "91"} if colour else {""})


def test_a_terminal_of_one_column_gets_help_too() -> None:
    """Tyro never ends there."""
    command, narrow = [sys.executable, "-m", "darlr", "--help"], {**os.environ, "COLUMNS": "1"}
    told = subprocess.run(command, check=True, env=narrow, capture_output=True, timeout=30).stdout
    assert b"train" in told


def seen(text: str) -> list[list[tuple[str, str]]]:
    """What a terminal shows: per line its characters, each with its style."""
    lines = []
    for line in text.splitlines():
        style, shown = "", []
        for code, character in re.findall(r"\033\[([\d;]*)m|(.)", line):
            if character:
                shown.append((character, "" if character == " " else style))
            else:
                style = ";".join(sorted(code.split(";"), key=int)) if code.strip("0") else ""
        lines.append(shown)
    return lines


def test_training_options_are_short_and_say_their_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    text = "Number of epochs. Each ends with a checkpoint and a line of metrics. 0 keeps the untrained policy."
    assert f"--epochs INT {text} (default: 20)" in said
    for option in ("--method", "--session.turns", "--selector.picks", "--model.members", "--split.held-out"):
        assert f" {option} " in said
    assert "--train." not in said


def test_help_and_version_need_no_pytorch() -> None:
    code = (
        "import sys; from darlr.cli.main import main; main(['--version'])\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: print({'torch', 'numpy', 'polars'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[0] == f"darlr {__version__}"
    assert answer.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["train", "--out", "x", "--epoch", "3"], "--epochs INT"),
        (["train", "--out", "x", "--selector.pick", "3"], "--selector.picks INT"),
        (["fit", "--out", "x", "--member", "3"], "--members INT"),
        (["recommend", "x", "--usr", "3"], "--user STR"),
        (["trian"], "train"),
        (["train", "--out", "x", "--epochs", "many"], "--epochs"),
        (["train", "--out", "x", "--method", "dalr"], "darlr"),
        (["train"], "--out FOLDER"),
        (["recommend", "x"], "--user"),
    ],
    ids=" ".join,
)
def test_bad_usage_exits_with_2_and_a_hint(command: list[str], hint: str, refused: Refused) -> None:
    assert hint in refused(*command, code=2)
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model.members 0", "option --model.members: must be at least 1"),
        ("--split.held-out 2", "option --split.held-out: must be above 0 and below 1"),
        ("--epochs=-1", "option --epochs: must not be negative"),
        ("--sessions 0", "option --sessions: must be at least 1"),
        ("--threads 0", "option --threads: must be at least 1"),
        ("--seed -1", "option --seed: must be from 0 to 4294967295"),
        ("--reward.lambda-u nan", "option --reward.lambda-u: must not be negative, not nan"),
        ("--model.bias-decay inf", "option --model.bias-decay: must be a finite number"),
        ("--selector.picks 24", "option --selector.picks: 24 reference users of a user need more than the 24 users"),
        ("--selector.picks 0", "option --selector.picks: must be at least 1"),
        ("--recommender.a2c.gamma 2", "option --recommender.a2c.gamma: must be from 0 to 1"),
        ("--selector.a2c.minibatch 0", "option --selector.a2c.minibatch: must be at least 1"),
        ("--recommender.a2c.learning-rate 0", "option --recommender.a2c.learning-rate: must be positive"),
        ("--recommender.belief 1", "option --recommender.belief: needs recommender.prior above 0"),
        ("--device cuda:63", "option --device: cuda:63 is asked for"),
        ("--device gpu", "option --device: no such device as 'gpu'"),
        ("--device meta", "option --device: 'meta' is not supported"),
        ("--world nowhere", "no world model here; make one with `darlr fit --out"),
        ("--data sinthetic", "perhaps you meant 'synthetic'"),
        ("--data .", "not a prepared data set"),
        ("--session.exit distance --synthetic.users 1", "option --synthetic.users: must be at least 2, not 1"),
    ],
)
def test_options_that_cannot_work_are_named_before_anything_is_written(
    tmp_path: Path, tiny: list[str], refused: Refused, options: str, message: str
) -> None:
    code = 2 if message.startswith("option") and "asked for" not in message else 1  # a GPU is the machine's matter
    assert message in refused("train", "--out", tmp_path / "run", *tiny, *options.split(), code=code)
    assert not (tmp_path / "run").exists()


def test_a_belief_alone_goes_with_the_prior_of_its_method(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--method", "darlr+", "--recommender.belief", "0.5", "--dry-run"]
    assert main(["train", "--out", str(tmp_path / "run"), *tiny, *options]) == 0
    assert "--recommender.belief 0.5" in capsys.readouterr().out


def test_options_are_named_as_they_were_written(tmp_path: Path, refused: Refused) -> None:
    out = ("--out", tmp_path / "out")
    assert "option --members: must be" in refused("fit", *out, "--members", "0", code=2)
    assert "option --learning-rate: must be" in refused("fit", *out, "--learning_rate=0", code=2)
    assert "option --users: must be" in refused("data", "prepare", "synthetic", *out, "--users", "0", code=2)
    said = refused("train", *out, "--model.epochs", "-2", "--epochs", "1", code=2)
    assert "option --model.epochs: must not" in said


def test_options_that_nothing_reads_are_named(tmp_path: Path, refused: Refused) -> None:
    nowhere = ("--out", tmp_path / "out", "--data", tmp_path / "nowhere")
    selector = ("--selector.picks", "4", "--selector.a2c.gamma", "0.8", "--reward.lambda-e", "0.2", "--reward.lambda-u")
    said = refused("train", *nowhere, "--method", "mopo", *selector, "0.3", "--synthetic.users", "9")
    named = "--selector.picks, --selector.a2c.gamma, --reward.lambda-e: no effect with --method mopo; leave them out"
    assert f"warning: {named}" in said
    assert f"warning: --synthetic.users: no effect with --data {tmp_path / 'nowhere'}; leave them out" in said
    assert "warning: --synthetic.users: no effect" in refused("fit", *nowhere, "--synthetic.users", "9")
    likely = ("--selector.objective", "likelihood", "--selector.lambda-s", "3")
    said = refused("train", *nowhere, *likely)
    assert "--selector.lambda-s: no effect with --selector.objective likelihood; leave" in said
    few = ("--synthetic.users", "9", "--synthetic.items", "8", "--synthetic.categories", "2")
    few += ("--synthetic.events-per-user", "4", "--out", tmp_path / "grid", "--seeds", "0", "--methods")
    named = "--selector.objective, --selector.lambda-s: no effect with --method"
    assert f"{named}s mbpo,ips; leave them out" in refused("compare", *few, "mbpo,ips,trivial", *likely, code=2)
    assert "no effect" not in refused("compare", *few, "mbpo,darlr", *likely[:2], code=2)
    for method in ("darlr", "dorl"):
        said = refused("train", *nowhere, "--method", method, *selector[-3:], "0.3")
        assert "no effect" not in said


@pytest.mark.parametrize(
    "command",
    [
        "train --out {}",
        "train --out run --world {}",
        "fit --out {}",
        "evaluate {}",
        "evaluate run --out {}",
        "recommend {} --user 1",
        "export run --out {}",
        "compare --out {}",
        "compare --out out --cells {}",
        "data prepare coat --raw {} --out out",
        "data prepare synthetic --out {}",
        "data check {}",
    ],
)
def test_an_address_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(*command.format("s3://bucket/shop").split())
    assert "darlr: s3://bucket/shop: is an address, and only files and folders of this machine" in said
    assert not list(tmp_path.iterdir())


def test_folders_that_hold_something_else(tmp_path: Path, tiny: list[str], trained: Path, refused: Refused) -> None:
    (tmp_path / "thesis.txt").touch()
    assert "not empty and no run" in refused("train", "--out", tmp_path, *tiny)
    assert "not empty and no world model" in refused("fit", "--out", tmp_path)
    assert "is a file" in refused("fit", "--out", tmp_path / "thesis.txt")
    assert "exists and is not a prepared data set" in refused("data", "prepare", "synthetic", "--out", tmp_path)
    assert "no run here" in refused("evaluate", tmp_path)
    assert "no trained policy here" in refused("recommend", tmp_path, "--user", "0")
    assert "no world model here" in refused("train", "--out", tmp_path / "run", "--world", tmp_path, *tiny)
    assert "(checksum, split differ)" in refused(
        "train", "--out", tmp_path / "run", "--world", trained / "world", "--split.seed", "3", "--synthetic.users", "30"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_tensorboard_that_is_missing(
    tmp_path: Path, tiny: list[str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = refused("train", "--out", tmp_path / "run", *tiny, "--tensorboard")
    assert "option --tensorboard: not installed; run pip install 'darlr[tensorboard]'" in said
    assert not (tmp_path / "run").exists()


def test_fit_then_train_on_it(
    tmp_path: Path, tiny: list[str], refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    world = ["--synthetic.users", "24", "--synthetic.items", "16", "--synthetic.categories", "4"]
    world += ["--synthetic.events-per-user", "8"]
    fit = ["fit", "--out", str(tmp_path / "world"), *world, "--members", "2", "--hidden", "8", "--epochs", "1"]
    assert main(fit) == 0
    train = [
        "train",
        "--out",
        str(tmp_path / "run"),
        *tiny,
        "--model.members",
        "3",
        "--epochs",
        "1",
        "--world",
        str(tmp_path / "world"),
    ]
    assert main(train) == 0
    said = capsys.readouterr().err
    assert "so these options are ignored: model.members (it has 2)" in said
    stored = read_config(tmp_path / "run", RunConfig)
    assert (stored.world_model.members, stored.train.seed) == (2, 0)
    assert json.loads((tmp_path / "run" / "provenance.json").read_text("utf-8"))[0]["seed"] == 0
    assert main(["train", "--out", str(tmp_path / "run"), "--resume"]) == 0
    assert "ignored" not in capsys.readouterr().err
    assert not (tmp_path / "run" / "world").exists()
    assert main([*fit, "--seed", "5"]) == 0  # another world model in the same folder
    assert "input world was" in refused("train", "--out", tmp_path / "run", "--resume")
    assert "run: its world model is not the one that it was trained with" in refused("evaluate", tmp_path / "run")
    assert main(fit) == 0  # the same world model again
    assert main(["evaluate", str(tmp_path / "run"), "--only", "learned", "--no-pictures"]) == 0
