"""Times as files write them: none guessed, none cut off, none in two units; only what is certain is read."""

import datetime as dt
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darlr.data.tabular.read_table import read_table
from darlr.errors import DataError
from darlr.options import TableConfig

UTC = dt.UTC
DAY = int(dt.datetime(2024, 3, 1, tzinfo=UTC).timestamp())


def read(folder, *files, **options):
    """Times and report of files that hold these cells, lists as CSV and series as Parquet; each event is another's."""
    for k, cells in enumerate(files):
        ids = [f"u{k}x{n}" for n in range(len(cells))]
        if isinstance(cells, pl.Series):
            frame = pl.DataFrame({"user": ids, "item": ids, "reward": [1.0] * len(ids), "t": cells})
            frame.write_parquet(folder / f"log{k}.parquet")
        else:
            lines = [f'{who},{who},1,"{cell}"' for who, cell in zip(ids, cells, strict=True)]
            (folder / f"log{k}.csv").write_text("\n".join(["user,item,reward,t", *lines]), encoding="utf-8")
    log, report = read_table(TableConfig(folder, timestamp="t", **options))
    return log.timestamp.tolist(), report


def micro(*moment, offset=0.0):
    """Millionths of a second since 1970, of a time with an offset in hours."""
    return round((dt.datetime(*moment, tzinfo=UTC).timestamp() - 3600 * offset) * 1e6)


NOON = micro(2024, 3, 1, 12)
SAME = {
    "ISO": (["2024-03-01T12:00:00"], [NOON]),
    "a space": (["2024-03-01 12:00:00", "2024-03-01 12:00:00.5"], [NOON, NOON + 500_000]),
    "zones": (
        ["2024-03-01T12:00:00Z", "2024-03-01T14:00:00+02:00", "2024-03-01 12:00:00 UTC", "2024-03-01T06:30:00-0530"],
        [NOON] * 4,
    ),
    "offsets": (["2024-03-01 14:00:00+02:00", "2024-03-01 10:00:00-02:00"], [NOON] * 2),
    "as Postgres writes": (["2024-03-01 12:00:00+00", "2024-03-01 14:00:00.25+02"], [NOON, NOON + 250_000]),
    "as BigQuery writes": (["2024-03-01 12:00:00 UTC", "2024-03-01 12:00:00.125 UTC"], [NOON, NOON + 125_000]),
    "as Python writes": (["2024-03-01T12:00:00", "2024-03-01T12:00:00.000001"], [NOON, NOON + 1]),
    "days, and minutes": (
        ["2024-03-01", "2024/03/01 12:00", "2024-03-01T12:00:00,5"],
        [DAY * 10**6, NOON, NOON + 500_000],
    ),
    "far away": (["9999-12-31", "0001-01-01"], [micro(9999, 12, 31), micro(1, 1, 1)]),
    "nanoseconds": (
        ["2024-03-01T00:00:00.000000100Z", "2024-03-01T00:00:00.000000900Z", "2024-03-01T00:00:00Z"],
        [DAY * 10**9 + 100, DAY * 10**9 + 900, DAY * 10**9],
    ),
    "microseconds with a point": (["1700000000000000.0", "1700000000000001.0"], [17 * 10**14, 17 * 10**14 + 1]),
    "seconds with nine decimals": (
        ["1700000000.123456789", "1700000000.123456788"],
        [1_700_000_000_123_456_789, 1_700_000_000_123_456_788],
    ),
    "scientific": (["1.7e9", "1700000000.5"], [1_700_000_000_000_000, 1_700_000_000_500_000]),
    "negative": (["-5", "+7"], [-5, 7]),
    "negative fractions": (["-.5", "-1.25", "3."], [-500_000, -1_250_000, 3_000_000]),
    "dates as numbers": (["20240301", "20240229"], [20240301, 20240229]),
}


@pytest.mark.parametrize("case", SAME)
def test_times_in_text(case, tmp_path):
    cells, expected = SAME[case]
    found, report = read(tmp_path, [*cells, *cells])
    assert found == expected * 2
    assert [note for note in report.notes if "zone" not in note] == []


DATES = [dt.datetime(2024, 3, 1, 12), dt.datetime(2024, 3, 1, 12, 0, 0, 5)]
TYPED = {
    "dates": (pl.Series([dt.date(2024, 3, 1), dt.date(1969, 12, 31)]), [DAY * 10**6, -86_400 * 10**6]),
    "milliseconds": (pl.Series(DATES, dtype=pl.Datetime("ms")), [NOON, NOON]),
    "microseconds": (pl.Series(DATES, dtype=pl.Datetime("us")), [NOON, NOON + 5]),
    "nanoseconds, none of them": (pl.Series(DATES, dtype=pl.Datetime("ns")), [NOON, NOON + 5]),
    "nanoseconds": (pl.Series([7, 8], dtype=pl.Int64).cast(pl.Datetime("ns")), [7, 8]),
    "a zone": (pl.Series(DATES).dt.replace_time_zone("Europe/Berlin"), [NOON - 3600 * 10**6, NOON - 3600 * 10**6 + 5]),
    "floats": (pl.Series([1.5, 2.0]), [1_500_000, 2_000_000]),
    "whole floats": (pl.Series([1.7e12, 1.8e12]), [1_700_000_000_000, 1_800_000_000_000]),
    "fine floats": (pl.Series([1e-9, 2e-9]), [1, 2]),
    "decimals": (pl.Series(["1.5", "2.25"]).cast(pl.Decimal(38, 2)), [1_500_000, 2_250_000]),
    "categories": (pl.Series(["2024-03-01T12:00:00Z"] * 2).cast(pl.Categorical), [NOON, NOON]),
}


@pytest.mark.parametrize("case", TYPED)
def test_times_of_a_type(case, tmp_path):
    cells, expected = TYPED[case]
    found, report = read(tmp_path, cells)
    assert found == expected
    assert report.notes == ()


REFUSED = {
    "day or month": (
        [["03/04/2024"]],
        r"log0.csv, row 2, column 't': '03/04/2024' is not a time; .* which number is the",
    ),
    "points": ([["1.2.2024"]], "which number is the day"),
    "a 12-hour clock": ([["2024-03-01 01:30:00 PM"]], "without AM and PM"),
    "the name of a zone": ([["2024-03-01 01:30:00 CET"]], r"ISO 8601, such as .*; write .* the zone as an offset"),
    "words": ([["yesterday", "today"]], r"row 2, .* 'yesterday' is not a time; read are numbers, and dates"),
    "no such day": ([["2024-02-28", "2024-02-30"]], "row 3, .*'2024-02-30' is not a day of the calendar"),
    "later another form": ([["2024-03-01", "03/04/2024"]], "row 3, .*'03/04/2024' is not a time; "),
    "a number among dates": ([["2024-03-01", "20240301"]], "'20240301' is not a time like the others, which are dates"),
    "NULL": ([["2024-03-01", "NULL"]], "row 3, column 't': the timestamp is missing"),
    "NaN first": ([["nan", "5"]], "row 2, column 't': the timestamp is missing"),
    "days beside seconds": (
        [["20240301", "1709164800"]],
        "row 3, .*1709164800 looks like seconds, the time in .*row 2 like dates such as 20240301; use one unit",
    ),
    "days beside days with a clock": ([["20240301"], ["20240301123000"]], "looks like dates such as 20240301123000"),
    "days beside milliseconds": ([["1709164800000", "20240301123000"]], "looks like dates such as 20240301123000"),
    "seconds with a fraction beside milliseconds": ([["1700000000.5"], ["1700000000000"]], "looks like milliseconds"),
    "too large for a fraction": (
        [pl.Series([2.0**52, 2.0**51 + 0.5])],
        "row 2, .*'?2251799813685248.5'? is too large for a time with a fraction",
    ),
    "too large": ([["1e19", "5"]], "'1e19' is too large for a time"),
    "too large beside fractions": (
        [["9000000000000000"], ["0.5"]],
        "is too large beside times with fractions of 1/1,000,000",
    ),
    "nanoseconds in the year 9999": (
        [["9999-12-31T00:00:00", "2024-03-01T00:00:00.000000001"]],
        "row 2, .*'9999-12-31T00:00:00' is too far from 1970 to be kept in nanoseconds",
    ),
    "the same in two files": (
        [["9999-12-31"], ["2024-03-01T00:00:00.000000001"]],
        "log0.csv, row 2.*is too large beside",
    ),
    "a clock without a day": ([pl.Series([dt.time(1), dt.time(2)])], "times must be numbers or dates, not Time"),
    "infinite": ([pl.Series([1.0, float("inf")])], "row 2, .*inf is too large for a time"),
    "an unsigned number": ([pl.Series([5, 2**64 - 1], dtype=pl.UInt64)], "row 2, .*18446744073709551615 is too large"),
    "a date type beyond any calendar": (
        [pl.Series([5, 2**62], dtype=pl.Int64).cast(pl.Datetime("ms"))],
        "row 2, column 't': the time, 4611686018427387904 ms from 1970, is beyond any calendar",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_times_that_are_refused(case, tmp_path):
    files, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        read(tmp_path, *files)


def test_zones_in_some_files_only(tmp_path):
    found, report = read(tmp_path, ["2024-03-01T12:00:00"], ["2024-03-01T14:00:00+02:00"])
    assert found == [NOON, NOON]
    (note,) = report.notes
    assert note == (
        f"column 't': some times have a zone and others, as in {tmp_path / 'log0.csv'}, have none; "
        "those without are taken as UTC"
    )
    (tmp_path / "log1.csv").unlink()
    assert "zone" in read(tmp_path, ["2024-03-01", "2024-03-01T14:00:00Z"])[1].notes[0]
    assert "zone" in read(tmp_path, pl.Series(DATES), pl.Series(DATES).dt.replace_time_zone("UTC"))[1].notes[0]


def test_numbers_unlike_the_others_are_noted(tmp_path):
    _, report = read(tmp_path, ["1700000000", "1700000001", "45352", "0"])
    (note,) = report.notes
    assert "2 times are no seconds since 1970 as the others seem to be, as 45352 in" in note
    assert note.endswith("row 4")
    assert read(tmp_path, ["0", "20240301", "20240399"])[1].notes == ()  # seconds since a start of their own


def test_what_is_cut_off_is_noted(tmp_path):
    assert "decimals of times are cut off after 9" in read(tmp_path, ["0.1234567891", "0.5"])[1].notes[0]
    assert "times beyond 2^53" in read(tmp_path, ["1e17", "1.1e17"])[1].notes[0]


def test_dropped_rows_need_no_time(tmp_path):
    (tmp_path / "log.csv").write_text("user,item,reward,t\n,x,1,noon\na,x,1,5.25\nb,x,1,6\n")
    log, _ = read_table(TableConfig(tmp_path, timestamp="t"))
    assert log.timestamp.tolist() == [5_250_000, 6_000_000]


FORMS = ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%d %H:%M:%S.%f+00:00", "%Y/%m/%d %H:%M:%S.%f UTC", "%Y-%m-%dT%H:%M:%S+0000")
moments = st.lists(st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1)), min_size=2, max_size=6)


@settings(max_examples=20)
@given(moments=moments, form=st.sampled_from(FORMS), other=st.sampled_from(FORMS))
def test_any_moment_in_any_form(moments, form, other, tmp_path_factory):
    cells = [moment.strftime(other if k else form) for k, moment in enumerate(moments)]
    epoch, one = dt.datetime(1970, 1, 1), dt.timedelta(microseconds=1)
    shown = [
        moment if "%f" in (other if k else form) else moment.replace(microsecond=0) for k, moment in enumerate(moments)
    ]
    assert read(tmp_path_factory.mktemp("any"), cells)[0] == [(moment - epoch) // one for moment in shown]


@settings(max_examples=20)
@given(numbers=st.lists(st.decimals(-(10**8), 10**8, places=9), min_size=2, max_size=6))
def test_any_number_keeps_its_order_and_distance(numbers, tmp_path_factory):
    found, _ = read(tmp_path_factory.mktemp("any"), [f"{number:f}" for number in numbers])
    exact = [Fraction(number) for number in numbers]
    assert any(found == [number * scale for number in exact] for scale in (1, 10**6, 10**9))
