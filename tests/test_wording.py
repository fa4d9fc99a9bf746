"""Numbers and lists as messages and tables write them."""

import math

import pytest

from xpmlp.common.wording import brief, counted, quoted


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.12734, "0.1273"), (0.0, "0.0000"), (-9999.0, "-9999.0000"), (42e9, "4.2e+10"), (math.nan, "nan")],
)
def test_losses_have_four_decimals_until_they_are_large(value, written):
    assert brief(value) == written


def test_things_are_counted_in_the_singular_where_there_is_one():
    assert [counted(n, "layer") for n in (0, 1, 2, 12_000)] == ["0 layers", "1 layer", "2 layers", "12,000 layers"]


def test_the_first_ten_of_a_list_are_quoted_and_the_others_counted():
    assert quoted(["a", "b"]) == "'a', 'b'"
    assert quoted(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert quoted(range(1_011)).endswith("8, 9 and 1,001 more")
