"""Turn 21 landmarks into the points, box and mask that prompt a SAM-family model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from handseg.landmarks.anatomy import (
    BONES,
    JOINTS,
    PALM,
    TIPS,
    WRIST,
    WRIST_END,
    beyond_tips,
    grip,
    hand_size,
    palm_axis,
)
from handseg.prompts.batch import IGNORED, NEGATIVE, POSITIVE
from handseg.runtime.files import write_atomic

RECIPE_FILE = "prompt_recipe.json"
OBJECT_POSITIVES = ("beyond_tips", "grip")
POSITIVES = ("palm", "joints", "tips", *OBJECT_POSITIVES)
NEGATIVES = ("gaps", "wrist", "palm", "joints")
OUTLINE_LIMIT = 0.1
MOST_CUT = 100
"""Maximum extent of a hand, as a multiple of that of its part in the photo. Beyond it, landmarks
are wrong, and in pixels of the region too large to draw."""
FOREARM = 2.5
"""Length of a forearm up to the elbow in hand sizes: an adult's is 25 cm, the palm 10 cm."""


@dataclass(frozen=True)
class HandPrompts:
    """The prompts of one hand in pixels of the photo.

    Attributes:
        points: (P, 2) float32 x, y; P is the same for every hand of a recipe.
        labels: (P,) int64, 1 positive, 0 negative, -10 where there is no point.
        box: (4,) float32 xyxy, or None.
        roi_box: (4,) float32 xyxy, the box that the region of interest surrounds.
        landmarks: (21, 2) float32 x, y, the source of the prompts, or None.
        skeleton: whether the landmarks' bones are drawn as a mask prompt.
        clicks: number of points, at the end, that come from the caller.
    """

    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray | None
    roi_box: np.ndarray
    landmarks: np.ndarray | None = None
    skeleton: bool = False
    clicks: int = 0


@dataclass(frozen=True)
class PromptRecipe:
    """Defines how a hand's landmarks become prompts. Saved as JSON with the weights.

    Training and inference share it: weights work best with the recipe they were trained with.

    Attributes:
        positives: groups of points on the target. On a hand: "palm" (its centre), "joints" (all
            but wrist and tips), "tips". On a held object: "beyond_tips" (a little past each
            fingertip, along its last bone), "grip" (between the tip of the thumb and those of
            index and middle finger).
        negatives: groups of points off the target. Off a hand: "gaps" (between the tips of spread
            neighbouring fingers), "wrist" (on the forearm, past the end of the hand; see
            `WRIST_END`). Off a held object: "palm", "joints". A group can only be in one of the
            two lists.
        box: whether the model gets a box.
        box_reach: margin of the box around the landmarks, in hand sizes (see `hand_size`); the skin
            lies about half a finger's width outside the joints.
        skeleton: whether the bones are drawn as a mask prompt.
        region_margin: margin of the region of interest around the box, on each side, as a fraction
            of the box's longer side.
        forearm: how far past the wrist a bare forearm belongs to the hand, in hand sizes. At 0 the
            mask ends at the wrist. Above 0, box and region include that much of the arm, there is
            no negative point on the forearm, and the model decides where the mask ends.
        outline: how far outside the visible edge the contour runs (negative: inside), in hand
            sizes. Fine-tuning measures it on the training masks, which may be too large or small.
    """

    # For run settings that contain a recipe: unknown keys and wrong types are errors there, too.
    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    positives: tuple[str, ...] = ("palm", "joints", "tips")
    negatives: tuple[str, ...] = ("gaps", "wrist")
    box: bool = True
    box_reach: float = 0.15
    skeleton: bool = False
    region_margin: float = 0.25
    forearm: float = 0.0
    outline: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("positives", POSITIVES), ("negatives", NEGATIVES)):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)) or not all(item in known for item in value):
                raise ValueError(f"{name} must be a list of {', '.join(known)}; got {value!r}")
            object.__setattr__(self, name, tuple(value))
        if both := set(self.positives) & set(self.negatives):
            names = ", ".join(sorted(both))
            raise ValueError(f"positives and negatives must not share groups, got {names} in both")
        for name in ("box", "skeleton"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ValueError(f"{name} must be true or false, got {value!r}")
        for name, low, top in (
            ("box_reach", 0.0, 1.0),
            ("region_margin", 0.0, 2.0),
            ("forearm", 0.0, 20.0),
            ("outline", -OUTLINE_LIMIT, OUTLINE_LIMIT),
        ):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and low <= value <= top):
                raise ValueError(f"{name} must be a number from {low:g} to {top:g}, got {value!r}")
        if not (self.box or self.positives or self.skeleton):
            raise ValueError("a recipe needs a box, positives or a skeleton, got none")

    @property
    def is_for_objects(self) -> bool:
        """Whether the recipe is for held objects instead of hands."""
        return not set(OBJECT_POSITIVES).isdisjoint(self.positives)

    def with_forearm(self, forearm: bool | None) -> PromptRecipe:
        """Copy the recipe with a bare forearm (by default up to the elbow) or without.

        None leaves it unchanged.
        """
        if forearm is None or forearm == (self.forearm > 0):
            return self
        return dataclasses.replace(self, forearm=FOREARM if forearm else 0.0)

    def prompts(self, landmarks: np.ndarray, height: int, width: int) -> HandPrompts:
        """Make prompts for one hand in a photo of `height` x `width` px.

        Args:
            landmarks: (21, 2) x, y in pixels. Points outside the photo are ignored.
            height: of the photo, in pixels.
            width: of the photo, in pixels.

        Raises:
            ValueError: if `landmarks` has another shape, is not finite, or hardly any of the hand
                is in the photo.
        """
        landmarks = np.array(landmarks, np.float32)  # Callers may change theirs.
        if landmarks.shape != (21, 2) or not np.isfinite(landmarks).all():
            raise ValueError(f"landmarks must be (21, 2) finite numbers, got {landmarks.shape}")
        size = hand_size(landmarks)
        reach = self.box_reach * size
        past_wrist = WRIST_END + self.forearm - self.box_reach
        wrist_end = landmarks[WRIST] + palm_axis(landmarks) * past_wrist * size
        around = np.vstack([landmarks, wrist_end])
        roi_box = np.concatenate([around.min(0) - reach, around.max(0) + reach])
        frame = np.array([width - 1, height - 1, width - 1, height - 1], np.float32)
        roi_box = np.clip(roi_box, 0, frame).astype(np.float32)
        sides = roi_box[2:] - roi_box[:2]
        if sides.min() < 1 or np.ptp(landmarks, axis=0).max() > MOST_CUT * sides.max():
            raise ValueError(
                f"landmarks must show a hand in the photo of {width} x {height} px, "
                "got one that is nearly or entirely outside it or smaller than a pixel"
            )

        points, labels = [], []
        for group in self.positives:
            found = _positive_points(landmarks, group)
            points.append(found)
            labels.append(np.full(len(found), POSITIVE, np.int64))
        for group in self.negatives:
            found, there = _negative_points(landmarks, group)
            if group == "wrist" and self.forearm > 0:
                there = np.zeros_like(there)
            points.append(found)
            labels.append(np.where(there, NEGATIVE, IGNORED).astype(np.int64))
        all_points = np.concatenate([*points, np.zeros((0, 2), np.float32)]).astype(np.float32)
        all_labels = np.concatenate([*labels, np.zeros(0, np.int64)])
        outside = ((all_points < 0) | (all_points > frame[:2])).any(1)
        all_labels[outside] = IGNORED
        return HandPrompts(
            all_points,
            all_labels,
            roi_box if self.box else None,
            roi_box,
            landmarks,
            self.skeleton,
        )

    def box_prompts(
        self, box: np.ndarray, wrist: np.ndarray, height: int, width: int
    ) -> HandPrompts:
        """Make prompts for a hand without landmarks.

        Args:
            box: (4,) xyxy px, around the hand up to the wrist; may extend beyond the photo.
            wrist: (2,) unit vector, x, y, from the centre of the box to the wrist.
            height: of the photo, in pixels.
            width: of the photo, in pixels.

        Raises:
            ValueError: if less than one pixel of the box is in the photo.
        """
        low, high = box[:2], box[2:]
        arm = self.forearm * (high - low).max() / 2 * wrist
        around = np.concatenate([np.minimum(low, low + arm), np.maximum(high, high + arm)])
        frame = np.array([width - 1, height - 1, width - 1, height - 1], np.float32)
        around = np.clip(around, 0, frame).astype(np.float32)
        if (around[2:] - around[:2]).min() < 1:
            raise ValueError(
                f"box must show a hand in the photo of {width} x {height} px, got {box.tolist()}"
            )
        none = np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
        return HandPrompts(*none, around, around)

    def to_dict(self) -> dict[str, Any]:
        """Return all settings by name, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PromptRecipe:
        """Create a recipe from the output of `to_dict`; missing keys keep their defaults.

        Raises:
            ValueError: if a key is unknown or a value is invalid.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(
                f"unknown keys in a prompt recipe: {', '.join(sorted(map(str, unknown)))}; "
                f"known are {', '.join(sorted(known))}"
            )
        return cls(**values)

    def save(self, folder: str | Path) -> None:
        """Save the recipe in the existing folder `folder`, for `load`."""
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        with write_atomic(Path(folder) / RECIPE_FILE) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> PromptRecipe:
        """Load a recipe from a .json or .yaml file, or from a folder written by `save`."""
        path = Path(path)
        file = path / RECIPE_FILE if path.is_dir() else path
        if not file.is_file():
            raise ValueError(f"no prompt recipe at {file}")
        import yaml

        # PyYAML reads JSON's 1e-05 as a string.
        parse = json.loads if file.suffix == ".json" else yaml.safe_load
        try:
            values = parse(file.read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"{file} is not a YAML or JSON file: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{file} must hold a mapping of recipe options, got {values!r:.80}")
        return cls.from_dict(values)


def find_recipe(*folders: str | Path | None) -> PromptRecipe:
    """Find the recipe in the first of `folders` that has one, or use the default."""
    for folder in folders:
        if folder is not None and (Path(folder) / RECIPE_FILE).is_file():
            return PromptRecipe.load(folder)
    return PromptRecipe()


def _positive_points(landmarks: np.ndarray, group: str) -> np.ndarray:
    if group == "palm":
        return landmarks[list(PALM)].mean(0, keepdims=True)
    if group == "beyond_tips":
        return beyond_tips(landmarks)
    if group == "grip":
        return grip(landmarks)
    return landmarks[list(JOINTS if group == "joints" else TIPS)]


def _negative_points(landmarks: np.ndarray, group: str) -> tuple[np.ndarray, np.ndarray]:
    """Points off the target, and which of them are safe to use in this pose."""
    if group in ("palm", "joints"):
        points = _positive_points(landmarks, group)
        return points, np.ones(len(points), bool)
    size = hand_size(landmarks)
    if group == "wrist":
        return landmarks[[WRIST]] + palm_axis(landmarks) * 2 * WRIST_END * size, np.array([True])
    one, other = landmarks[list(TIPS[:-1])], landmarks[list(TIPS[1:])]
    middles = (one + other) / 2
    # The tips of touching neighbour fingers are about a fifth of the hand size apart; a midpoint
    # near any bone may lie on the hand.
    apart = np.linalg.norm(one - other, axis=1) > 0.45 * size
    starts, ends = (landmarks[[bone[i] for bone in BONES]] for i in (0, 1))
    clear = np.array([_distance_to_bones(point, starts, ends) for point in middles]) > 0.2 * size
    palm = cv2.convexHull(landmarks[list(PALM)])
    off_palm = [cv2.pointPolygonTest(palm, point.tolist(), False) < 0 for point in middles]
    return middles, apart & clear & off_palm


def _distance_to_bones(point: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> float:
    along = ends - starts
    lengths = np.maximum((along**2).sum(1), 1e-6)
    where = np.clip(((point - starts) * along).sum(1) / lengths, 0, 1)[:, None]
    return float(np.linalg.norm(point - (starts + where * along), axis=1).min())
