"""The settings in the page's sidebar."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import streamlit as st

from handseg.api import load_segmenter
from handseg.app.downloads import Background
from handseg.app.launch import PageSettings
from handseg.app.workspace import Model, Photo, PromptedModel
from handseg.errors import HandsegError, reason
from handseg.io.images import read_image
from handseg.results import EDGES, Edge
from handseg.segmenter import HandSegmenter

OTHER = "Other"


@dataclass(frozen=True)
class Options:
    """The visitor's settings; only changes of `model` and `max_hands` need the model.

    Attributes:
        model: the model that cuts out hands.
        max_hands: most found hands per photo.
        background: background of the cut-outs, None for transparency.
        edge: "soft", "hard" or "matte".
    """

    model: Model
    max_hands: int
    background: Background
    edge: Edge

    def is_done(self, photo: Photo) -> bool:
        """Whether `photo` has nothing left to cut out."""
        return bool(photo.error) or self.model.is_done(photo, self.max_hands)


def show_sidebar(settings: PageSettings) -> Options:
    """Show the settings and load the model; without one, say why and end this run of the page."""
    with st.sidebar:
        st.header("Settings")
        name, adapter = _choose_model(settings)
        max_hands = st.slider("Hands in a photo, at most", 1, 10, 4, key="max_hands")
        background = _choose_background(settings)
        edge = st.radio(
            "Edge",
            EDGES,
            format_func=str.capitalize,
            horizontal=True,
            key="edge",
            help="Soft: pixels that the hand covers in part are transparent in part. "
            "Hard: each pixel is all hand or none. "
            "Matte: as soft as the photo itself is there.",
        )
        st.caption(
            "Photos stay in the memory of the computer that serves this page, are seen in this tab "
            "alone and are gone when it is closed."
        )
    if not name:
        st.stop()
    try:
        with st.spinner(f"Loading {name}"):  # A photo that comes meanwhile ends the run here.
            model = _load_model(name, adapter, settings.recipe, settings.device)
    except Exception as error:  # Unexpected errors too: visitors may name any file.
        st.error(f"The model cannot be loaded: {reason(error)}", icon=":material/error:")
        st.stop()
    return Options(model, max_hands, background, edge or "soft")


def _choose_model(settings: PageSettings) -> tuple[str, str]:
    """Choose the name or folder of the model and of its adapter, "" for none."""
    names = [*settings.models, OTHER] if settings.own_models else list(settings.models)
    name = names[0]
    if len(names) > 1:
        name = st.selectbox("Model", names, key="model") or names[0]
    adapter = settings.adapter
    if name == OTHER:
        name = st.text_input(
            "Folder or hub id",
            key="own_model",
            placeholder="facebook/sam2.1-hiera-small",
            help="Of a SAM-family model of transformers, an original segment-anything .pth, an "
            "adapter that names its model, or a baseline that `handseg finetune` trained. Folders "
            "are those of the computer that serves the page.",
        ).strip()
        adapter = ""
    if settings.own_models:
        adapter = st.text_input(
            "Adapter",
            adapter,
            key=f"adapter-{name}",
            placeholder="runs/mine",
            help="Folder or hub id of a LoRA adapter for this model, as `handseg finetune` "
            "writes it.",
        ).strip()
    if not name:
        st.info("Name a model, or choose one of the list.")
    return name, adapter


def _choose_background(settings: PageSettings) -> Background:
    kind = st.radio(
        "Background", ["Transparent", "Colour", "Picture"], horizontal=True, key="background"
    )
    if kind == "Colour":
        return st.color_picker("Colour", "#ffffff", key="colour")
    if kind == "Picture":
        file = st.file_uploader("Picture for the background", key="picture")
        if file is None:
            st.info("Without a picture the background stays transparent.")
            return None
        try:
            limit = settings.max_megapixels * 1_000_000
            picture = read_image(BytesIO(file.getvalue()), max_pixels=limit)
        except HandsegError as error:
            st.error(f"**{file.name}** cannot be the background: {error}")
            return None
        for text in picture.warnings:
            st.warning(f"**{file.name}**{text}")
        return picture.pixels
    return None


@st.cache_resource(max_entries=3, on_release=lambda model: _close(model), show_spinner=False)
def _load_model(name: str, adapter: str, recipe: str, device: str) -> Model:
    segmenter = load_segmenter(name, adapter or None, device or None, recipe=recipe or None)
    segmenter.warm_up()
    if isinstance(segmenter, HandSegmenter):
        return PromptedModel(segmenter)
    return Model(segmenter)


def _close(model: Model) -> None:
    with model.lock:  # Current users finish first; the next use restarts MediaPipe.
        model.segmenter.close()
