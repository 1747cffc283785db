"""Models that visitors share: how long they stay, and how threads use them with a workspace."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from driven_page import FILES, LARGE, SMALL, Open, downloads, png, run
from red_hands import draw_photo, red_segmenter
from red_network import red_labeller

from handseg.app.brush import Stroke
from handseg.app.workspace import Model, Photo, PromptedModel, Workspace
from handseg.io.files import encode_image
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

STROKE = Stroke(np.array([[80, 50], [95, 50]], np.float32), radius=4)


def add_photo(workspace: Workspace, key: str, *ellipses: tuple[int, int, int, int]) -> Photo:
    image, _ = draw_photo(*ellipses)
    workspace.photos[key] = photo = Photo(f"{key}.png", encode_image(image, "a.png"))
    return photo


def red_model() -> PromptedModel:
    return PromptedModel(red_segmenter())


def label_model() -> Model:
    return Model(SemanticSegmenter(red_labeller()))


@pytest.mark.parametrize("make", [red_model, label_model], ids=["prompted", "labelling"])
def test_a_photo_does_not_keep_a_model_that_nobody_uses(make: Any) -> None:
    workspace = Workspace(1_000_000)
    photo, kept, gone = add_photo(workspace, "a", LARGE, SMALL), red_model(), make()
    workspace.segment(photo, kept, 4)
    photo.paint(photo.active(4)[0], STROKE)
    workspace.segment(photo, gone, 4)
    segmenter = weakref.ref(gone.segmenter)
    workspace.segment(photo, kept, 4)
    del gone
    gc.collect()
    assert segmenter() is None
    assert kept.is_done(photo, 4)
    assert workspace.segment(photo, kept, 4).mask[50, 90]


def test_the_page_keeps_three_models(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: weakref.WeakSet[HandSegmenter] = weakref.WeakSet()

    def load(*_: Any, **__: Any) -> HandSegmenter:
        loaded.add(segmenter := red_segmenter())
        return segmenter

    monkeypatch.setattr(HandSegmenter, "from_pretrained", load)
    names = ("one", "two", "three", "four", "five")
    page = open_page(png(LARGE, name="a.png"), png(SMALL, name="b.png"), models=names)
    for name in names[1:]:
        page.selectbox(key="model").select(name)
        run(page)
    gc.collect()
    assert len(loaded) == 3
    assert downloads(page)[:-1] == FILES


def test_a_download_and_the_page_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ZIP of all photos is made in a thread, while the visitor may choose another model."""
    workspace, old, new = Workspace(1_000_000), red_model(), red_model()
    first, second = add_photo(workspace, "a", LARGE), add_photo(workspace, "b", LARGE, SMALL)
    inside, let_go, also_inside = threading.Event(), threading.Event(), threading.Event()
    slow, quick = old.segmenter.embed, new.segmenter.embed

    def wait(image: Any) -> Any:
        inside.set()
        assert let_go.wait(60)
        return slow(image)

    def note(image: Any) -> Any:
        also_inside.set()
        return quick(image)

    monkeypatch.setattr(old.segmenter, "embed", wait)
    monkeypatch.setattr(new.segmenter, "embed", note)

    def cut(photo: Photo, model: Model) -> HandSegmentation:
        return workspace.segment(photo, model, 4)

    with ThreadPoolExecutor(3) as threads:
        download = threads.submit(cut, first, old)
        assert inside.wait(60)
        page = threads.submit(cut, second, new)
        removal = threads.submit(workspace.update, {"b": None})
        met = also_inside.wait(0.5)
        let_go.set()
        assert not met
        assert [len(one.result(60)) for one in (download, page)] == [1, 2]
        removal.result(60)
    assert list(workspace.photos) == ["b"]
    assert workspace._open is None or workspace._open[0] is second
