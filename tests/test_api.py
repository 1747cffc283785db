from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from own_process import output_of
from stub_stages import StubModel, disc, iou
from tiny_models import save_tiny_model

import handseg
from handseg import api
from handseg.models import bundled
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter


class TestModule:
    def test_import_takes_nothing_heavy(self) -> None:
        code = (
            "import sys, handseg; dir(handseg); "
            "heavy = {'torch', 'transformers', 'mediapipe', 'cv2', 'numpy', 'PIL', 'peft'}; "
            "print(sorted(heavy & set(sys.modules)))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "[]"

    def test_every_name_is_there(self) -> None:
        for name in handseg.__all__:
            assert getattr(handseg, name) is not None
            assert name in dir(handseg)
        assert handseg.HandSegmenter is HandSegmenter

    def test_no_name_takes_torch(self) -> None:
        code = (
            "import sys, handseg; [getattr(handseg, name) for name in handseg.__all__]; "
            "print(sorted({'torch', 'transformers', 'mediapipe', 'peft'} & set(sys.modules)))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "[]"

    def test_unknown_name(self) -> None:
        with pytest.raises(AttributeError, match="module 'handseg' has no attribute 'segmnt'"):
            _ = handseg.segmnt

    def test_segment_makes_one_segmenter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[HandSegmenter] = []

        def from_pretrained() -> HandSegmenter:
            made.append(HandSegmenter(StubModel()))
            return made[-1]

        monkeypatch.setattr(api.HandSegmenter, "from_pretrained", from_pretrained)
        api.default_segmenter.cache_clear()
        try:
            photo, mask = disc(200, 200, (90, 110), 40)
            for _ in range(2):
                (hand,) = handseg.segment(photo, boxes=[50, 70, 130, 150])
                assert iou(hand.mask, mask) > 0.95
            assert len(made) == 1
            with pytest.raises(ValueError, match="boxes"):
                handseg.segment(photo, boxes=[1])
        finally:
            api.default_segmenter.cache_clear()

    def test_lite_is_the_bundled_model(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_tiny_model("edgetam", tmp_path)
        PromptRecipe(box_reach=0.4).save(tmp_path)
        monkeypatch.setattr(bundled, "LITE_FOLDER", tmp_path)
        assert HandSegmenter.from_pretrained(device="cpu").recipe.box_reach == 0.4
        named = HandSegmenter.from_pretrained("handseg-lite", device="cpu")
        assert named.recipe.box_reach == 0.4


@pytest.mark.parametrize("attempt", range(3))
def test_threads_whose_first_call_is_at_the_same_time(attempt: int, photo_folder: Path) -> None:
    code = """
import sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from handseg import segment
paths = sorted(Path(sys.argv[1]).glob("*.jpg"))
with ThreadPoolExecutor(4) as pool:
    print([len(found) for found in pool.map(segment, paths[:4])])
"""
    assert output_of(code, photo_folder / "images") == "[1, 1, 1, 1]"
