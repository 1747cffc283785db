"""Type checking of programs that use handseg."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[1]

GOOD = """
import numpy as np
import handseg

def cut(path: str, boxes: np.ndarray) -> handseg.HandSegmentation:
    options: handseg.SegmentOptions = {"max_hands": 2, "holes": "fill"}
    segmenter: handseg.Segmenter = handseg.load_segmenter("runs/mine", device="cpu")
    with segmenter:
        segmenter.segment_batch([path], forearm=True)
        segmenter.segment(path, boxes=boxes, points=[[[1, 2]]], labels=((1,),))
        segmenter.embed(path).segment(landmarks=np.zeros((21, 2)))
    measured: handseg.HandMeasurement = handseg.HandSegmenter.from_pretrained().measure(
        path, scale=["2 euro", 24.25], max_hands=1
    )
    measured["ring"].width_range
    hands: handseg.Segmenter = handseg.HandSegmenter.from_pretrained()
    whole: handseg.Segmenter = handseg.SemanticSegmenter.from_pretrained("runs/unet")
    for one in (hands, whole):
        one.segment(path, **options)
    return handseg.segment(path, **options)
"""

BAD = """
import handseg

handseg.segment("a.jpg", hole="fill")
handseg.segment("a.jpg", holes="all")
handseg.segment("a.jpg", max_hands="2")
handseg.HandSegmenter.from_pretrained().segment_batch(["a.jpg"], boxes=[0, 0, 1, 1])
handseg.segment("a.jpg").cutouts()
"""


# What `--strict` adds for the program alone. The option itself would apply to handseg, too, and a
# cache from `mypy` in this repository could not be used, which saves most of the time.
STRICT = """\
# mypy: disallow-untyped-defs, disallow-untyped-calls, disallow-any-generics
# mypy: disallow-subclassing-any, warn-return-any, strict-equality, extra-checks
"""


def check(source: str, folder: Path) -> list[str]:
    """Return mypy's errors in `source`, without their positions."""
    file = folder / "example.py"
    file.write_text(STRICT + source)
    output, problems, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(file)])
    assert not problems
    # Errors in handseg itself are ignored here.
    return [line for line in output.splitlines() if f"{file.name}:" in line and ": error:" in line]


@pytest.mark.slow
def test_a_type_checker_knows_options_and_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    monkeypatch.chdir(ROOT)  # For its cache.
    assert check(GOOD, tmp_path) == []
    errors = check(BAD, tmp_path)
    expected = [
        'Unexpected keyword argument "hole"',
        'Argument "holes" to "segment" has incompatible type',
        'Argument "max_hands" to "segment" has incompatible type',
        'Unexpected keyword argument "boxes"',
        '"HandSegmentation" has no attribute "cutouts"',
    ]
    assert len(errors) == len(expected), errors
    for error, message in zip(errors, expected, strict=True):
        assert message in error
