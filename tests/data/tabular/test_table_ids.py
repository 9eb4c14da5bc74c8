"""One id, however it is spelled: in a log's files, in features, and where a word says that there is none."""

from decimal import Decimal

import polars as pl
import pytest

from darlr.data.tabular.read_table import read_table
from darlr.errors import DataError
from darlr.options import TableConfig

H = "user,item,reward\n"
NFC, NFD = "Jos\u00e9", "Jose\u0301"


def read(folder, *texts, **options):
    """The log of these CSV files, and what was said of it."""
    for k, text in enumerate(texts):
        (folder / f"log{k}.csv").write_text(text, encoding="utf-8")
    for side in ("users", "items"):
        if side in options:
            (folder / f"{side}.txt.csv").write_text(options[side], encoding="utf-8")
            options[side] = folder / f"{side}.txt.csv"
    return read_table(TableConfig(tuple(sorted(folder.glob("log*.csv"))), **options))


def frame(folder, **columns):
    """The same of a Parquet file."""
    pl.DataFrame({"user": ["a", "b"], "item": [1, 2], "reward": [0.0, 1.0]} | columns).write_parquet(
        folder / "log.parquet"
    )
    return read_table(TableConfig(folder / "log.parquet"))


SAME = {
    "a point and zeros": (["1,x,1", "2,x,1", "1.0,y,1", "2.00,y,1"], (1, 2), [0, 1, 0, 1], "'1.0' as '1', '2.00' as"),
    "Unicode": ([f"{NFC},x,1", "b,x,1", f"{NFD},y,1"], (NFC, "b"), [0, 1, 0], r"'Jose\u0301' as 'José'"),
    "Unicode, one way": ([f"{NFD},x,1", "b,x,1"], (NFC, "b"), [0, 1], r"'Jose\u0301' as 'José'"),
    "zero width": (["a,x,1", "b,x,1", "a\u200b,y,1", "\ufeffb,y,1"], ("a", "b"), [0, 1, 0, 1], r"'a\u200b' as 'a'"),
}


@pytest.mark.parametrize("case", SAME)
def test_one_id_in_several_spellings(case, tmp_path):
    rows, ids, codes, said = SAME[case]
    half = len(rows) // 2
    log, report = read(tmp_path, H + "\n".join(rows[:half]), H + "\n".join(rows[half:]))
    order = sorted(range(len(ids)), key=lambda k: ids[k])
    assert log.user_ids == tuple(ids[k] for k in order)
    assert [log.user_ids[code] for code in log.user] == [ids[code] for code in codes]
    (note,) = report.notes
    assert note.startswith("column 'user': ")
    assert said in note


def test_repeats_are_seen_through_spellings(tmp_path):
    _, report = read(tmp_path, "user,item,reward,t\n1,x,1,9\n1.0,x,1,9\n2,x,1,9\n", timestamp="t")
    assert [(d.reason, d.count) for d in report.dropped] == [("exact repeat of an earlier row", 1)]


@pytest.mark.parametrize(
    ("rows", "pair"),
    [
        (["1,x,1", "1.0,x,1", "b,x,1"], "'1' and '1.0'"),  # not all are whole numbers: a version, perhaps
        (["a b,x,1", "a\u00a0b,x,1"], r"'a b' and 'a\xa0b'"),
        (["ab,x,1", "a\u200bb,x,1"], r"'ab' and 'a\u200bb'"),
        (["7a,x,1", "\uff17a,x,1"], "'7a' and '\uff17a'"),
        (["+49151,x,1", "49151,x,1"], "'+49151' and '49151'"),
    ],
)
def test_what_may_be_one_id_is_kept_apart_and_shown(rows, pair, tmp_path):
    log, report = read(tmp_path, H + "\n".join(rows))
    assert len(log.user_ids) == len(rows)
    (note,) = report.notes
    assert "column 'user': 1 ids are another one's but for" in note
    assert pair in note


@pytest.mark.parametrize("word", ["NULL", "null", "nan", "NaN", "None", "\\N", "<NA>", "NaT", "#N/A"])
def test_a_word_for_nothing_is_no_id(word, tmp_path):
    log, report = read(
        tmp_path, H + f"{word},1,1\nb,2,0\n {word} ,2,0\na,1,1\na,{word},1\n,1,1\n", items=f"item,c\n1,x\n{word},y\n"
    )
    assert (log.user_ids, log.item_ids) == (("a", "b"), (1, 2))
    assert [(d.reason, d.count) for d in report.dropped] == [
        ("no user id", 1),
        (f"no user id, but {word!r}", 2),
        (f"no item id, but {word!r}", 1),
        ("rows of items.txt.csv without an id", 1),
    ]
    assert report.rows_kept == 2


def test_where_only_words_are_left_the_error_names_them(tmp_path):
    with pytest.raises(DataError, match=r"one user \('b'\).*; dropped 1: no user id, but 'NULL'"):
        read(tmp_path, H + "NULL,1,1\nb,2,0\n")
    with pytest.raises(DataError, match="both a user and an item id; dropped 2: no user id, but 'NULL', 'nan'"):
        read(tmp_path, H + "NULL,1,1\nnan,2,0\n")


def test_words_that_may_say_nothing_are_kept_and_noted(tmp_path):
    log, report = read(tmp_path, H + "NA,1,1\nb,2,0\n")
    assert log.user_ids == ("NA", "b")
    assert "1 ids may say that there is none; they are kept" in report.notes[0]


def test_missing_ids_of_a_fractional_type(tmp_path):
    log, report = frame(tmp_path, user=[1.0, float("nan"), 2.0], item=[1, 2, 3], reward=[0.0, 1.0, 1.0])
    assert log.user_ids == (1, 2)
    assert [(d.reason, d.count) for d in report.dropped] == [("no user id, but 'NaN'", 1)]


@pytest.mark.parametrize(
    ("dtype", "number", "lossy"),
    [(pl.Float64, 2**53 - 1, False), (pl.Float64, 2**53, True), (pl.Float32, 2**24, True), (pl.Int64, 2**53, False)],
)
def test_whole_numbers_that_a_fractional_type_cannot_hold(dtype, number, lossy, tmp_path):
    log, report = frame(tmp_path, user=pl.Series([number, 1], dtype=dtype))
    assert log.user_ids == (1, number)
    assert sum("1 ids are beyond what their fractional type holds exactly" in note for note in report.notes) == lossy


def test_digits_that_were_lost_before(tmp_path):
    _, report = read(tmp_path, H + "9007199254740992.0,1,1\n2,1,1\n")
    assert any("beyond what their fractional type holds exactly" in note for note in report.notes)
    _, report = read(tmp_path, H + "1.23457E+12,1,1\nb,1,1\n")
    assert any("1 ids look like numbers that a spreadsheet shortened" in note for note in report.notes)


def test_decimals_are_whole_numbers_or_refused(tmp_path):
    log, _ = frame(
        tmp_path, user=[Decimal("12345678901234567890"), Decimal(7)], item=[Decimal("1.00"), Decimal("2.00")]
    )
    assert (log.user_ids, log.item_ids) == (("12345678901234567890", "7"), (1, 2))
    with pytest.raises(DataError, match=r"row 2, column 'item': '2\.50' is not a whole number"):
        frame(tmp_path, item=[Decimal("1.00"), Decimal("2.50")])
    with pytest.raises(DataError, match=r"not Binary; write the column as text, in polars: pl.col\('item'\).cast"):
        frame(tmp_path, item=[b"1", b"2"])


def test_features_find_their_ids(tmp_path):
    log, report = read(
        tmp_path,
        H + f"{NFC},1,1\nb,2,0\n",
        users=f"user,g\n{NFD},x\nb\u200b,y\n",
        items="item,c\n1.0,x\n2.0,y\n3.0,z\n",
    )
    assert log.item_ids == (1, 2, 3)
    assert [column.values.tolist() for column in (*log.user_features, *log.item_features)] == [[0, 1], [0, 1, 2]]
    assert not any("lacks" in note for note in report.notes)
    with pytest.raises(DataError, match="row 3, column 'item': id '1' occurs before, in row 2"):
        read(tmp_path, H + "a,1,1\nb,2,0\n", items="item,c\n1,x\n1.0,y\n")


def test_ids_of_a_feature_file_that_are_almost_those_of_the_log(tmp_path):
    _, report = read(tmp_path, H + "ann,1,1\nb,2,0\n", users="user,g\nAnn,x\nb,y\n")
    assert any("column 'user': 1 ids are another one's but for case" in note for note in report.notes)


def test_words_for_nothing_are_no_values_of_features(tmp_path):
    items = f"item,price,mood,tags\n1,1.5,None,a|NULL\n2,None,\\N,b\n3,nan,{NFC},a\n4,NULL,{NFD},<NA>\n"
    log, report = read(tmp_path, H + "a,1,1\nb,2,0\na,3,1\nb,4,1\n", items=items)
    price, mood, tags = log.item_features
    assert [column.kind for column in log.item_features] == ["numeric", "categorical", "multi"]
    assert [value if value == value else None for value in price.values.tolist()] == [1.5, None, None, None]
    assert (mood.vocabulary, mood.values.tolist()) == ((NFC, "None"), [1, -1, 0, 0])
    assert (tags.vocabulary, tags.values.tolist()) == (("a", "b"), [[0], [1], [0], [-1]])
    assert any("column 'price': 2 cells say 'NULL', 'nan': missing" in note for note in report.notes)


def test_headers_are_found_however_they_are_spelled(tmp_path):
    header, typed = "Ka\u0308ufer,\u200bWare\u00a0,\ufeffreward\n", {"user": "K\u00e4ufer", "item": "Ware"}
    log, _ = read(tmp_path, header + "a,1,1\nb,2,0\n", **typed)
    assert log.user_ids == ("a", "b")
    pl.DataFrame({"K\u00e4ufer": ["a", "b"], " Ware": [1, 2], "reward": [0.0, 1]}).write_parquet(tmp_path / "p.parquet")
    log, _ = read_table(TableConfig(tmp_path / "p.parquet", user="Ka\u0308ufer ", item="Ware"))
    assert log.user_ids == ("a", "b")
    with pytest.raises(DataError, match="column 'reward': occurs twice"):
        read(tmp_path, "user,item,reward,reward\u200b\na,1,1,1\n")


def test_backslashes_before_quotation_marks(tmp_path):
    with pytest.raises(DataError, match=r"log0.csv, line 3: .*escaped by a backslash"):
        read(tmp_path, H + 'a,1,1\n"b\\"x",1,1\n')
    _, report = read(tmp_path, H + 'a,1,1\n"b\\"x\\"",1,1\n')
    assert "1 lines with a backslash before a quotation mark" in report.notes[0]
