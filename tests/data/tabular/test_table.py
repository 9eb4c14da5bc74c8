import gzip
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darlr.data.sources import prepare
from darlr.data.spelling import NO_ID, plain
from darlr.data.store import checksum, load, load_report
from darlr.data.tabular.read_table import read_events, read_table
from darlr.errors import ConfigError, DataError
from darlr.options import TableConfig

LOG = """uid,sku,r,ts,p
ann,x ,1,2024-01-01T00:00:00,0.5
bob,y,2.5,2024-01-02T00:00:00,1
,y,2,2024-01-02T00:00:00,1
bob,y,2.5,2024-01-02T00:00:00,1
bob,w,0,2023-01-02T00:00:00,.1
"""
ITEMS = "sku,cat,price,tags\nx,c1|c2,1.5,a\nz,c2,,\n"
USERS = "uid,sex\nann,m\ncleo,f\n"


@pytest.fixture
def files(tmp_path):
    """The three files above, and the options that name them."""
    for name, text in (("log", LOG), ("items", ITEMS), ("users", USERS)):
        (tmp_path / f"{name}.csv").write_text(text)
    return TableConfig(
        log=tmp_path / "log.csv",
        user="uid",
        item="sku",
        reward="r",
        timestamp="ts",
        propensity="p",
        items=tmp_path / "items.csv",
        users=tmp_path / "users.csv",
        category="cat",
    )


@pytest.mark.parametrize(
    "limits", [(0, float("inf")), (float("nan"), 1), (-1e300, 1), (0, 2e12), (2, 1), (2**24, 2**24 + 0.5)]
)
def test_reward_ranges_that_are_none(limits, tmp_path):
    with pytest.raises(ConfigError, match=r"^option reward-range: "):
        TableConfig(tmp_path, reward_range=limits)


def test_a_reward_range_far_from_the_rewards_is_noted(files):
    for limits, noted in (((0, 1e9), True), ((0, 5), False)):
        notes = read_table(replace(files, reward_range=limits))[1].notes
        assert any("option reward-range: 0 to 1e+09 is far wider" in note for note in notes) == noted


def test_everything_at_once(files, tmp_path):
    report = prepare(files, tmp_path / "out")
    log = load(tmp_path / "out")
    assert checksum(log) == checksum(read_table(files)[0])
    assert load_report(tmp_path / "out") == report
    assert (log.user_ids, log.item_ids) == (("ann", "bob"), ("w", "x", "y", "z"))
    assert log.user.tolist() == [0, 1, 1]
    assert log.item.tolist() == [1, 2, 0]
    assert log.reward.tolist() == [1.0, 2.5, 0.0]
    assert np.diff(log.timestamp).tolist() == [86_400_000_000, -365 * 86_400_000_000]
    assert log.propensity.tolist() == pytest.approx([0.5, 1.0, 0.1])
    assert log.reward_range == (0.0, 2.5)
    assert log.category_codes().tolist() == [[-1, -1], [0, 1], [-1, -1], [1, -1]]
    kinds = {c.name: c.kind for c in log.item_features}
    assert kinds == {"cat": "multi", "price": "numeric", "tags": "categorical"}
    assert log.user_features[0].values.tolist() == [1, -1]
    assert log.exit == "category"
    assert [(d.reason, d.count) for d in report.dropped] == [
        ("no user id", 1),
        ("exact repeat of an earlier row", 1),
        ("rows of users.csv: users without events", 1),
    ]
    assert report.dropped[0].example.endswith("log.csv, row 4")
    assert (report.rows_read, report.rows_kept) == (5, 3)


@pytest.mark.parametrize("kind", ["tsv", "csv.gz", "parquet", "bom", "crlf", "quoted"])
def test_the_same_data_in_another_format(kind, tmp_path):
    text = "user,item,reward\n1,10,0.5\n2,11,1\n1,11,0\n"
    path = tmp_path / "log.csv"
    if kind == "tsv":
        path = tmp_path / "log.tsv"
        path.write_text(text.replace(",", "\t"))
    elif kind == "csv.gz":
        path = tmp_path / "log.csv.gz"
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "parquet":
        path = tmp_path / "log.parquet"
        pl.DataFrame({"user": [1.0, 2, 1], "item": [10, 11, 11], "reward": [0.5, 1, 0]}).write_parquet(path)
    elif kind == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    elif kind == "crlf":
        path.write_bytes(text.replace("\n", "\r\n").encode())
    else:
        path.write_text('"user",extra,"item", reward \n"1","a\nb","10"," 0.5"\n2,,11,1\n1,,11,0\n')
    log, report = read_table(TableConfig(log=path))
    assert (log.user_ids, log.item_ids) == ((1, 2), (10, 11))
    assert (log.user.tolist(), log.item.tolist(), log.reward.tolist()) == ([0, 1, 0], [0, 1, 1], [0.5, 1, 0])
    assert (log.name, report.rows_kept) == ("log", 3)


def test_ids_stay_text_unless_all_are_plain_numbers(tmp_path):
    (tmp_path / "log.csv").write_text("user,item,reward\n007,1,1\n7,2,0\n")
    log, _ = read_table(TableConfig(log=tmp_path / "log.csv"))
    assert (log.user_ids, log.item_ids) == (("007", "7"), (1, 2))


def test_a_single_reward_gets_a_range_from_zero(tmp_path):
    (tmp_path / "log.csv").write_text("user,item,reward\na,1,1\nb,2,1\n")
    assert read_table(TableConfig(log=tmp_path / "log.csv"))[0].reward_range == (0.0, 1.0)


@pytest.mark.parametrize(("times", "expected"), [("7 -3", [7, -3]), ("1.5 2", [1_500_000, 2_000_000])])
def test_times(times, expected, tmp_path):
    first, second = times.split()
    (tmp_path / "log.csv").write_text(f"user,item,reward,t\na,1,1,{first}\nb,2,0,{second}\n")
    assert read_table(TableConfig(log=tmp_path / "log.csv", timestamp="t"))[0].timestamp.tolist() == expected


def test_parquet_lists_are_multi_valued_and_names_are_left_out(tmp_path):
    n = 25
    events = {"user": ["a", "b"] * n, "item": [*range(n), *range(n)], "reward": [0.0, 1.0] * n}
    pl.DataFrame(events).write_parquet(tmp_path / "log.parquet")
    pl.DataFrame(
        {"item": range(n), "tags": [["t", "t", "s"], []] + [["s"]] * (n - 2), "title": [f"film {k}" for k in range(n)]}
    ).write_parquet(tmp_path / "items.parquet")
    log, report = read_table(TableConfig(log=tmp_path / "log.parquet", items=tmp_path / "items.parquet"))
    assert [(c.name, c.kind) for c in log.item_features] == [("tags", "multi")]
    assert log.item_features[0].values[:3].tolist() == [[1, 0], [-1, -1], [0, -1]]
    assert any("'title' left out: it names the row" in note for note in report.notes)


H = "user,item,reward\n"
BAD = {
    "empty": ("", {}, "log.csv: the file is empty"),
    "only a header": (H, {}, "log.csv: the file has no rows"),
    "missing column": (
        H + "a,1,1\n",
        {"user": "usr"},
        "no column 'usr'; perhaps you meant 'user'; columns: user, item",
    ),
    "another case": (H + "a,1,1\n", {"item": "ITEM"}, "no column 'ITEM'; perhaps you meant 'item'"),
    "doubled header": ("user,item,reward,user\na,1,1,b\n", {}, "row 1, column 'user': occurs twice.*columns 1 and 4"),
    "text for a reward": (H + "a,1,1\nb,2,good\n", {}, "log.csv, row 3, column 'reward': 'good' is not a number"),
    "decimal comma": (H + 'a,1,1\nb,2,"1,5"\n', {}, "row 3, column 'reward': '1,5' is not a number"),
    "no reward": (H + "a,1,\nb,2,1\n", {}, "row 2, column 'reward': the reward is missing"),
    "NaN": (H + "a,1,1\nb,2,NaN\n", {}, "row 3, column 'reward': 'NaN' is not a finite number"),
    "infinite": (
        H + "a,1,1\nb,2,1e300\n",
        {},
        r"row 3, column 'reward': reward 1e\+300 must be from -1e\+12 to 1e\+12",
    ),
    "one user": (H + "a,1,1\na,2,0\n", {}, "column 'user': all rows belong to one user \\('a'\\)"),
    "no ids": (H + "a,,1\n,2,0\n", {}, "no row has both a user and an item id"),
    "colliding ids": (
        H + "a,1,1\nb,1,1\n a,2,0\n",
        {},
        "row 4, column 'user': ids ' a' and 'a' \\(.*log.csv, row 2\\) differ only",
    ),
    "latin-1": ((H + "a,1,1\nJosé,2,0\n").encode("latin1"), {}, "line 3: is not UTF-8 after 'Jos'"),
    "latin-1 header": ("usér,item,reward\na,1,1\n".encode("latin1"), {}, "line 1: is not UTF-8 after 'us'"),
    "UTF-16": ((H + "a,1,1\n").encode("utf-16"), {}, "line 1: is not UTF-8"),
    "too wide": (H + "a,1,1\nb,2,0,9\n", {}, "row 3: 4 values where the header names 3 columns"),
    "open quote": (H + 'a,1,1\nb,2,"0\n', {}, "log.csv, line 3: .*quot"),
    "outside the range": (H + "a,1,1\n,1,9\nb,2,7\n", {"reward_range": (0.0, 5.0)}, "row 4, column 'reward': reward 7"),
    "propensity 0": ("user,item,reward,p\na,1,1,0\nb,2,0,1\n", {"propensity": "p"}, "row 2, column 'p': propensity 0"),
    "odd flag": (
        "user,item,reward,p\na,1,1,0\nb,2,0,2\n",
        {"random": "p"},
        "row 3, column 'p': '2' is neither 1 nor 0",
    ),
    "no flag": (
        "user,item,reward,p\na,1,1,\nb,2,0,1\n",
        {"random": "p"},
        "row 2, column 'p': an empty cell is neither",
    ),
    "odd time": (
        "user,item,reward,t\na,1,1,5\nb,2,0,noon\n",
        {"timestamp": "t"},
        "row 3, column 't': 'noon' is not a time",
    ),
    "odd date": (
        "user,item,reward,t\na,1,1,2024-01-01\nb,2,0,x\n",
        {"timestamp": "t"},
        "row 3, column 't': 'x' is not",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_file_row_and_column(case, tmp_path):
    content, options, message = BAD[case]
    (tmp_path / "log.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        prepare(TableConfig(log=tmp_path / "log.csv", **options), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize("cells", [("True", "false", "TRUE"), ("1", "0", "1"), ("1.0", " 0", "true")])
def test_events_whose_item_was_shown_at_random_are_marked_by_numbers_or_words(cells, tmp_path):
    rows = "".join(f"{user},1,{place},{cell}\n" for place, (user, cell) in enumerate(zip("abc", cells, strict=True)))
    (tmp_path / "log.csv").write_text("user,item,reward,p\n" + rows)
    prepare(TableConfig(log=tmp_path / "log.csv", random="p"), tmp_path / "out")
    log = load(tmp_path / "out")
    assert log.random.tolist() == [True, False, True]
    assert "shown at random: 2 events" in log.describe()
    frame = log.frame().rename({"random": "is_rand"})
    assert read_events(frame, random="is_rand").random.tolist() == [True, False, True]


ITEM_ERRORS = {
    "twice": ("item,c\n1,x\n2,y\n1,z\n", {}, "items.csv, row 4, column 'item': id '1' occurs before, in row 2"),
    "other ids": ("item,c\n3.0,x\n", {}, "lists none of the log's ids \\(the log has '1', this table '3'\\)"),
    "no category": ("item,colour\n1,x\n", {"category": "color"}, "no column 'color'; perhaps you meant 'colour'"),
    "empty category": ("item,c\n1,\n", {"category": "c"}, "column 'c': the category has no values"),
    "infinite": ("item,c\n1,3\n2,inf\n", {}, "items.csv, row 3, column 'c': inf is not a finite number"),
}


@pytest.mark.parametrize("case", ITEM_ERRORS)
def test_a_bad_items_file(case, tmp_path):
    content, options, message = ITEM_ERRORS[case]
    (tmp_path / "log.csv").write_text(H + "a,1,1\nb,2,0\n")
    (tmp_path / "items.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(TableConfig(log=tmp_path / "log.csv", items=tmp_path / "items.csv", **options))


def test_files_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "log.xlsx").write_text("x")
    (tmp_path / "log.parquet").write_text("no Parquet")
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(b"user,item,reward\n" * 99)[:30])
    for path, message in (
        (tmp_path / "empty", "the folder holds no file of a known kind"),
        (tmp_path / "no*.csv", "the pattern finds no file"),
        (tmp_path / "none.csv", "file not found"),
        (tmp_path / "log.xlsx", "unknown kind of file; known: .csv, .tsv"),
        (tmp_path / "log.parquet", "is not a readable Parquet file"),
        (tmp_path / "log.csv.gz", "is not a whole gzip file"),
    ):
        with pytest.raises(DataError, match=message):
            read_table(TableConfig(log=path))


def test_bad_options(files):
    with pytest.raises(ConfigError, match="column 'uid' is named twice"):
        read_table(replace(files, item="uid"))
    with pytest.raises(ConfigError, match="option multi: no file has a feature 'tag'; perhaps you meant 'tags'"):
        read_table(replace(files, multi=("tag",)))
    with pytest.raises(ConfigError, match="option category: needs the features of items"):
        read_table(replace(files, items=None))


word = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=4)
word = word.filter(lambda w: plain(w) and plain(w) not in NO_ID)
event = st.tuples(st.sampled_from("pqr") | word, word, st.floats(-1e6, 1e6, width=32))


@settings(max_examples=15)
@given(events=st.lists(event, min_size=2, max_size=12).filter(lambda e: len({plain(u) for u, _, _ in e}) > 1))
def test_any_ids_survive_csv_and_parquet(events, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    frame = pl.DataFrame(events, schema=["user", "item", "reward"], orient="row")
    frame.write_csv(folder / "log.csv")
    frame.write_parquet(folder / "log.parquet")
    first, second = (read_table(TableConfig(log=folder / f"log.{kind}"))[0] for kind in ("csv", "parquet"))
    assert checksum(first) == checksum(second)
    found = [
        (str(first.user_ids[u]), str(first.item_ids[i]), float(r))
        for u, i, r in zip(first.user, first.item, first.reward, strict=True)
    ]
    assert found == [(plain(u), plain(i), r) for u, i, r in events]
