"""The digits of the numbers of a table distinguish its rows."""

import pytest

from darlr.evaluation.numbers import style


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([67.2, 88.1], ["67.20", "88.10"]),
        ([5.0, 5.0], ["5.00", "5.00"]),
        ([0.0, 0.0], ["0.00", "0.00"]),
        ([0.1041, 0.1009], ["0.1041", "0.1009"]),  # click rates
        ([3.12e-4, 1e-5], ["3.12e-04", "1.00e-05"]),
        ([1.234e9, 1.2e9], ["1.234e+09", "1.200e+09"]),
        ([12345.6, 13000.0], ["12346", "13000"]),
        ([1000.0001, 1000.0002], ["1000.000100", "1000.000200"]),
        ([30.0, 30.0 + 1e-14], ["30.00", "30.00"]),  # the last bits are no difference
        ([2.0, None, float("nan")], ["2.00"]),
    ],
)
def test_rows_are_distinguished(values, shown):
    form = style(values)
    assert [format(value, form) for value in values[: len(shown)]] == shown


def test_a_mean_of_a_turn_keeps_three_digits():
    assert style([2.1, 2.9], least=3) == ".3f"
