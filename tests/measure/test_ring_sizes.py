"""Ring sizes at points of published tables, and calibrations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handseg.measure import RingFit, fit_rings, read_pairs, ring_size


@pytest.mark.parametrize(
    ("diameter", "eu", "us", "uk", "japan"),
    [
        (13.0, 41, 1.75, "C½", 1),
        (14.05, 44, 3.0, "F½", 4),
        (15.7, 49, 5.0, "J½", 9),
        (16.51, 52, 6.0, "L½", 12),
        (17.32, 54, 7.0, "N½", 14),
        (18.14, 57, 8.0, "P½", 16),
        (19.76, 62, 10.0, "T½", 21),
        (21.39, 67, 12.0, "Y", 26),
    ],
)
def test_points_of_tables(diameter: float, eu: int, us: float, uk: str, japan: int) -> None:
    size = ring_size(diameter)
    assert (size.eu, size.us, size.uk, size.japan) == (eu, us, uk, japan)
    assert size.circumference_mm == pytest.approx(math.pi * diameter)


def test_letters_have_ends() -> None:
    assert ring_size(37.5 / math.pi).uk == "A"
    assert ring_size(68.75 / math.pi).uk == "Z"
    assert ring_size(70.0 / math.pi).uk == "Z+1"


def test_rings_for_small_children_have_no_size_in_some_systems() -> None:
    size = ring_size(10.0)
    assert (size.eu, size.us, size.uk, size.japan) == (31, None, None, None)
    size = ring_size(11.6)
    assert (size.us, size.uk, size.japan) == (0.0, None, None)
    size = ring_size(12.0)
    assert (size.us, size.uk, size.japan) == (0.5, "A", None)


@given(st.floats(8, 34), st.floats(0.0, 1.0))
def test_sizes_grow_with_the_ring(diameter: float, more: float) -> None:
    one, other = ring_size(diameter), ring_size(diameter + more)
    assert one.eu <= other.eu
    for system, smallest in (("us", 0), ("japan", 1)):
        sizes = [getattr(size, system) for size in (one, other)]
        assert smallest <= (sizes[0] or smallest) <= (sizes[1] or smallest)
        assert sizes[0] is None or sizes[1] is not None


@pytest.mark.parametrize("diameter", [7.9, 35.1, float("nan")])
def test_refuses_what_is_no_ring(diameter: float) -> None:
    with pytest.raises(ValueError, match="8 to 35 mm"):
        ring_size(diameter)


def test_loose_is_half_a_us_size_more() -> None:
    relation = RingFit()
    fitted, loose = (relation.diameter(18.0, fit) for fit in ("fitted", "loose"))
    assert fitted == pytest.approx(18.0 * 3.11 / math.pi)
    assert ring_size(loose).us - ring_size(fitted).us == pytest.approx(0.5)
    with pytest.raises(ValueError, match="fitted or loose, got 'tight'"):
        relation.diameter(18.0, "tight")


class TestCalibration:
    @given(st.floats(0.7, 1.2), st.floats(-2, 2))
    def test_finds_the_line(self, slope: float, shift: float) -> None:
        found = fit_rings([(width, slope * width + shift) for width in (15.0, 17.5, 19.0, 21.0)])
        assert found.slope == pytest.approx(slope)
        assert found.shift == pytest.approx(shift, abs=1e-6)
        assert found.deviation == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize(
        ("pairs", "said"),
        [
            ([(16, 16), (18, 18)], "at least 3 pairs, got 2"),
            ([(16, 16), (18, 18), (20, 200)], "inner diameter must be 8 to 35 mm, got 200"),
            ([(16, 20), (18, 18), (20, 16)], "grow by -1.00 mm"),
            ([(18, 17), (18.1, 18), (18.2, 19)], "differ by at least 1.0 mm"),
            ([(15, 15), (17, 17), (19, 22), (21, 21)], "19, 22 is"),
        ],
    )
    def test_refuses_what_cannot_be(self, pairs: list[tuple[float, float]], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            fit_rings(pairs)

    def test_reads_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "pairs.csv"
        file.write_text("width_mm,diameter_mm\n16.2, 16.0\n\n# mine\n18.0,17.9\n")
        assert read_pairs(file) == [(16.2, 16.0), (18.0, 17.9)]
        file.write_text("# mine\nwidth_mm,diameter_mm\n16.2,16.0\n")
        assert read_pairs(file) == [(16.2, 16.0)]
        for first in ("16.2,1O.0", "16.2,,16.0", "16.2"):
            file.write_text(f"{first}\n18.0,17.9\n")
            with pytest.raises(ValueError, match="line 1: expected"):
                read_pairs(file)
        file.write_text("16.2,16.0\n18.0;17.9\n")
        with pytest.raises(ValueError, match=r"pairs.csv, line 2: expected .* got '18.0;17.9'"):
            read_pairs(file)
        for content in (b"\xff\xfe\x00\xd8", b"1" * 200_000):
            file.write_bytes(content)
            with pytest.raises(ValueError, match="not a text file"):
                read_pairs(file)
