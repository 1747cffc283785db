"""The page of `handseg app`: drop photos, get the hands, correct what is wrong.

Streamlit reruns this script at every interaction; lasting state is in the session's `Workspace`.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import streamlit as st

from handseg.app import correcting, measuring, panels
from handseg.app.launch import PageSettings
from handseg.app.sidebar import Options, show_sidebar
from handseg.app.workspace import Photo, PromptedModel, Workspace
from handseg.errors import reason
from handseg.io.files import IMAGE_SUFFIXES

EXAMPLES = {
    "Open hand": "open_hand.jpg",
    "Two hands": "two_hands.jpg",
    "Dark room": "dark_room.jpg",
}
HERE = Path(__file__).parent


class ExampleFile:
    """A bundled photo, in the form that `Workspace.update` takes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def getvalue(self) -> bytes:
        return self.path.read_bytes()


def main() -> None:
    st.set_page_config("handseg", str(HERE / "icon.png"), layout="wide")
    settings = PageSettings.from_environment()
    st.title("handseg")
    st.markdown("Cut the hand out of a photo, with a contour clean enough to measure on.")
    workspace = _workspace(settings)
    # First, as Streamlit forgets files that a run does not show, and without a model it ends early.
    workspace.update(_files(settings))
    options = show_sidebar(settings)
    if not workspace.photos:
        return
    _segment_all(workspace, options)
    _show_summary(workspace, options)
    prompted = isinstance(options.model, PromptedModel)
    shown = {
        key: photo
        for key, photo in workspace.photos.items()
        if not photo.error or (prompted and photo.history)
    }
    if not shown:
        return
    key = _choose(shown)
    if shown[key].error:
        correcting.offer_undo(key, shown[key])
    else:
        _show_photo(workspace, key, shown[key], options, settings)
    good = [photo for photo in shown.values() if not photo.error]
    if len(good) > 1:
        panels.offer_all(workspace, good, options)


def _show_photo(
    workspace: Workspace, key: str, photo: Photo, options: Options, settings: PageSettings
) -> None:
    panels.show_result(workspace, key, photo, options)
    if isinstance(options.model, PromptedModel):
        correcting.show_correction(workspace, key, photo, options.model, options.max_hands)
        measuring.show_measuring(workspace, key, photo, options)
    panels.show_truth(workspace, key, photo, options, settings)


def _workspace(settings: PageSettings) -> Workspace:
    if "workspace" not in st.session_state:
        st.session_state.workspace = Workspace(settings.max_megapixels * 1_000_000)
    return st.session_state.workspace


def _files(settings: PageSettings) -> dict[str, Any]:
    """Return the visitor's files, by an id that stays the same between runs of the script."""
    uploads = st.file_uploader(
        "Photos",
        type=_suffixes(),
        accept_multiple_files=True,
        max_upload_size=settings.max_megabytes,
        key="photos",
        help=f"At most {settings.max_photos} photos of {settings.max_megabytes} MB each. They stay "
        "in this server's memory for as long as the page is open, and nobody else sees them.",
    )
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    example = left.pills("Or try an example", list(EXAMPLES), key="example")
    files: dict[str, Any] = {file.file_id: file for file in uploads}
    if right.toggle("Use the camera", key="use_camera"):
        shot = st.camera_input("Take a photo", key="camera")
        if shot is not None:
            files[shot.file_id] = shot
    if example is not None:
        files[f"example-{EXAMPLES[example]}"] = ExampleFile(HERE / "examples" / EXAMPLES[example])
    if len(files) > settings.max_photos:
        st.warning(f"{len(files)} photos, of which the first {settings.max_photos} are taken.")
    return dict(list(files.items())[: settings.max_photos])


def _suffixes() -> list[str]:
    """Return accepted suffixes; phones convert HEIC to JPEG for pages that do not accept HEIC."""
    known = {suffix[1:] for suffix in IMAGE_SUFFIXES}
    return sorted(known if find_spec("pillow_heif") else known - {"heic", "heif"})


def _segment_all(workspace: Workspace, options: Options) -> None:
    """Segment new and changed photos; a bad file does not stop the others."""
    for photo in workspace.photos.values():
        if photo.size is not None:  # It could be read: only the model or a correction failed.
            photo.error = ""
    todo = [photo for photo in workspace.photos.values() if not options.is_done(photo)]
    if not todo:
        return
    bar = st.progress(0.0) if len(todo) > 1 else None
    for number, photo in enumerate(todo):
        if bar is not None:
            bar.progress(number / len(todo), f"{photo.name} ({number + 1} of {len(todo)})")
        try:
            with st.spinner(f"Looking for hands in {photo.name}"):
                workspace.segment(photo, options.model, options.max_hands)
        except Exception as error:  # Unexpected errors too: the next photo may work.
            photo.error = reason(error)
    if bar is not None:
        bar.empty()


def _show_summary(workspace: Workspace, options: Options) -> None:
    photos = workspace.photos.values()
    for photo in photos:
        if photo.error:
            what = "used" if photo.size is None else "cut out"
            st.error(f"**{photo.name}** cannot be {what}: {photo.error}", icon=":material/error:")
    if len(photos) > 1:
        failed = sum(bool(photo.error) for photo in photos)
        empty = [
            photo.name
            for photo in photos
            if not photo.error and not options.model.count(photo, options.max_hands)
        ]
        parts = [f"{len(photos)} photos: {len(photos) - failed - len(empty)} with hands"]
        if empty:
            more = ", ..." if len(empty) > 3 else ""
            parts.append(f"{len(empty)} without ({', '.join(empty[:3])}{more})")
        parts += [f"{failed} failed"] * bool(failed)
        st.caption(", ".join(parts))


def _choose(photos: dict[str, Photo]) -> str:
    if len(photos) == 1:
        return next(iter(photos))
    # The browser knows the photos by their labels, which must be unique and stay the same.
    labels, seen = dict[str, str](), Counter[str]()
    for key, photo in photos.items():
        seen[photo.name] += 1
        labels[key] = f"{photo.name} ({seen[photo.name]})" if seen[photo.name] > 1 else photo.name
    chosen = st.selectbox(
        "Photo to look at", list(photos), format_func=labels.__getitem__, key="chosen"
    )
    return chosen or next(iter(photos))


main()
