"""Names of coins, diameters and cards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handseg.measure import coins, parse_scale


@pytest.mark.parametrize(
    ("name", "diameter"),
    [
        ("2 euro", 25.75),
        ("US quarter", 24.26),
        ("UK 2p", 25.9),
        ("5 franc", 31.45),
        ("1 lira", 26.15),
        ("Canadian 2 dollar", 28.0),
        ("Australian 1 dollar", 25.0),
        ("500 yen", 26.5),
        ("10 rupee", 27.0),
    ],
)
def test_a_coin_of_each_currency(name: str, diameter: float) -> None:
    assert parse_scale(name) == (diameter,)
    assert coins()[name] == diameter


@given(st.sampled_from(sorted(coins())), st.booleans(), st.integers(1, 3))
def test_case_spaces_and_plural_do_not_matter(name: str, upper: bool, spaces: int) -> None:
    written = f" {name.replace(' ', ' ' * spaces)} "
    assert parse_scale(written.upper() if upper else written) == (coins()[name],)


def test_a_plural_and_an_accent() -> None:
    assert parse_scale("20 cents") == parse_scale("20 cent")
    assert parse_scale("50 kuruş") == (23.85,)


@pytest.mark.parametrize("text", ["23.25mm", "23,25 mm", "23.25 MM", 23.25])
def test_a_diameter(text: str | float) -> None:
    assert parse_scale(text) == (23.25,)


def test_two_coins_and_a_card() -> None:
    assert parse_scale(["2 euro", "23.25mm"]) == (25.75, 23.25)
    assert parse_scale("Card") == "card"


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ("2 eurp", "did you mean '2 euro'"),
        ("us quartr", "did you mean 'US quarter'"),
        ("xyzzy", "known are 1 cent"),
        ("3mm", "10 to 60 mm, got 3"),
        (float("nan"), "got nan"),
        (["2 euro"] * 3, "one or two coins, got 3"),
        (["card", "2 euro"], "cannot be combined with a coin"),
        ([], "got 0"),
    ],
)
def test_says_what_is_wrong(scale: str | float | list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_scale(scale)


def test_all_are_of_a_coins_size() -> None:
    assert len(coins()) > 40
    assert all(15 < diameter < 35 for diameter in coins().values())
