"""Clothes, hair, brows and eyes for bodies of any shape in any pose.

Garments are MakeHuman's, tied to its base mesh (see `make_assets`), or shells grown from the skin.
Units are metres; V is the number of body vertices, F of body faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from handseg.synthetic.rendered.people.grown_garments import Field, shell
from handseg.synthetic.rendered.scene import Color, Material, Mesh, Part

ASSETS = Path(__file__).with_name("assets")
Kind = Literal["clothes", "hair", "eyebrows"]
KINDS: tuple[Kind, ...] = ("clothes", "hair", "eyebrows")
ROUGHNESS = {"clothes": 0.85, "hair": 0.6, "eyebrows": 0.7}

_IRIS = ((0.707, 0.705), (0.293, 0.297))
"""Centres of the two irises in an eye texture."""
_EYEBALL = 0.285
"""Radius of an eyeball in an eye texture."""


@dataclass(frozen=True, eq=False)
class BodyShape:
    """One body in one pose.

    Attributes:
        rest_vertices: (V, 3) float32, in the rest pose, metres.
        vertices: (V, 3) float32, posed.
        bone_transforms: (104, 4, 4) float32, rest to posed: bone_pose @ inverse(rest_bone_pose).
    """

    rest_vertices: np.ndarray
    vertices: np.ndarray
    bone_transforms: np.ndarray


class Wardrobe:
    """All garments, hair, brows, eyes and skins.

    Attributes:
        faces: (F, 3) int32, body faces.
        fields: (4, V) float32, see `Field`.
        template: (V, 3) float32, the average body at rest.
    """

    def __init__(self, assets: Path = ASSETS) -> None:
        self.assets = assets
        with np.load(assets / "body.npz") as stored:
            self._body = dict(stored)
        self.faces: np.ndarray = self._body["faces"].astype(np.int32)
        self.fields: np.ndarray = self._body["fields"]
        self.template: np.ndarray = self._body["template"]
        self._garments: dict[str, dict[str, np.ndarray]] = {}

    def names(self, kind: Kind) -> list[str]:
        """Names of all garments of a kind, sorted; female_* and male_* tell who wears them."""
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        return sorted(path.stem for path in (self.assets / kind).glob("*.npz"))

    def skins(self) -> list[str]:
        """Names of all skins, such as old_darkskinned_male_diffuse."""
        return sorted(path.stem for path in (self.assets / "skins").glob("*.jpg"))

    def skin_file(self, name: str) -> Path:
        """Picture of a skin, 2048 px, for the body model's own texture coordinates."""
        return self._file("skins", f"{name}.jpg")

    def eye_names(self) -> list[str]:
        """Names of all eye textures, such as green_eye."""
        return sorted(path.stem for path in (self.assets / "eyes").glob("*.webp"))

    def eye_texture(self, name: str) -> Path:
        """Picture of two eyes, for `eyes`."""
        return self._file("eyes", f"{name}.webp")

    def _file(self, kind: str, name: str) -> Path:
        path = self.assets / kind / name
        if not path.is_file():
            raise ValueError(f"there is no {name} among {kind}")
        return path

    def _garment(self, name: str) -> dict[str, np.ndarray]:
        if name not in self._garments:
            kind = next((kind for kind in KINDS if name in self.names(kind)), None)
            if kind is None:
                raise ValueError(f"no garment, hair or brow is called {name!r}")
            with np.load(self.assets / kind / f"{name}.npz") as stored:
                self._garments[name] = dict(stored) | {"kind": np.array(kind)}
        return self._garments[name]

    def covered(self, name: str) -> np.ndarray:
        """(V,) bool, body vertices hidden under a garment; shrink them or they poke through."""
        count = len(self.template)
        return np.unpackbits(self._garment(name)["covered"], count=count).astype(bool)

    def eye_faces(self) -> np.ndarray:
        """(F,) bool, faces of the eyeballs: leave them out and render `eyes` instead."""
        return self._body["eyes"]

    def dress(self, name: str, body: BodyShape, color: Color = (1.0, 1.0, 1.0)) -> Part:
        """Fit a garment, hair or a pair of brows to a body; `color` tints its texture."""
        garment = self._garment(name)
        controls = np.concatenate([body.rest_vertices, self._helpers(body.rest_vertices)])
        ties, weights = garment["ties"], garment["weights"].astype(np.float32)
        ends = controls[self._body["spans"]]
        spans = np.abs(np.diagonal(ends[:, 0] - ends[:, 1]))
        rest = np.einsum("gk,gkc->gc", weights, controls[ties]) + garment["offsets"] * spans
        positive = np.maximum(weights, 0)
        positive /= positive.sum(1, keepdims=True)
        moves = self._moves(body.bone_transforms)
        posed = np.zeros_like(rest)
        for corner in range(3):
            move = moves[ties[:, corner]]
            moved = np.einsum("gij,gj->gi", move[:, :3, :3], rest) + move[:, :3, 3]
            posed += positive[:, corner, None] * moved
        kind = str(garment["kind"])
        mesh = Mesh(
            posed.astype(np.float32), garment["faces"].astype(np.int32),
            garment["uv"].astype(np.float32),
        )  # fmt: skip
        texture = self._file(kind, f"{name}.webp" if kind == "clothes" else f"{name}.png")
        return Part(mesh, Material(color, texture, roughness=ROUGHNESS[kind]))

    def _helpers(self, rest_vertices: np.ndarray) -> np.ndarray:
        """(H, 3) helper vertices of a body at rest."""
        difference = rest_vertices[self._body["probes"]] - self._body["probe_mean"]
        amounts = self._from_probes @ difference.ravel()
        moved = amounts @ self._helper_modes
        return self._body["helper_mean"] + moved.reshape(-1, 3)

    @cached_property
    def _helper_modes(self) -> np.ndarray:
        modes = self._body["helper_modes"]
        return modes.reshape(len(modes), -1).astype(np.float32)

    @cached_property
    def _from_probes(self) -> np.ndarray:
        modes = self._body["probe_modes"]
        return np.linalg.pinv(modes.reshape(len(modes), -1).T).astype(np.float32)

    def _moves(self, bone_transforms: np.ndarray) -> np.ndarray:
        """(V + H, 4, 4) blended transforms of body and helper vertices."""
        moves = []
        for prefix in ("", "helper_"):
            weights = self._body[f"{prefix}bone_weights"].astype(np.float32)
            weights = weights / weights.sum(1, keepdims=True)
            indices, flat = self._body[f"{prefix}bone_indices"], bone_transforms.reshape(-1, 16)
            blended = np.zeros((len(weights), 16), np.float32)
            for column in range(weights.shape[1]):
                blended += weights[:, column, None] * flat[indices[:, column]]
            moves.append(blended.reshape(-1, 4, 4))
        return np.concatenate(moves)

    def eyes(self, name: str, body: BodyShape) -> Part:
        """Make the eyeballs with irises."""
        faces = self.faces[self.eye_faces()]
        used = np.unique(faces)
        uv = np.zeros((len(self.template), 2), np.float32)
        for left in (False, True):
            ball = used[(self.template[used, 0] > 0) == left]
            places = self.template[ball]
            low, high = places.min(0), places.max(0)
            centre, radius = (low + high)[[0, 2]] / 2, (high - low)[2] / 2
            # The texture shows the eyes from the front.
            uv[ball] = _IRIS[int(left)] + (places[:, [0, 2]] - centre) / radius * _EYEBALL
        mesh = Mesh(body.vertices, faces, np.clip(uv[faces], 0, 1))
        return Part(mesh, Material(texture=self.eye_texture(name), roughness=0.12))

    def top(
        self, sleeves: tuple[float, float] = (1.0, 1.0), hem: float = 0.6, neck: float = 0.0
    ) -> np.ndarray:
        """(V,) field for `shell`: a top.

        Args:
            sleeves: where the left and right sleeves end, on the arm fields; 0.15 or more.
            hem: on the HEIGHT field, 0.57 or more. neck: on the NECK field, -0.2 to 0.6.
        """
        left, right, height, above = self.fields
        # In metres, so that edges are sharp where two cuts meet.
        parts = (0.5 * (sleeves[0] - left), 0.5 * (sleeves[1] - right), height - hem,
                 0.1 * (neck - above))  # fmt: skip
        return np.minimum.reduce(parts)

    def trousers(self, length: float = 0.05, waist: float = 0.65) -> np.ndarray:
        """(V,) field for `shell`: trousers from `waist` down to `length`, on the HEIGHT field."""
        height = self.fields[Field.HEIGHT]
        return np.minimum(height - length, waist - height)

    def glove(self, side: Literal["left", "right"], start: float = 0.9) -> np.ndarray:
        """(V,) field for `shell`: a glove that starts at this value of the arm field."""
        return self.fields[Field.LEFT_ARM if side == "left" else Field.RIGHT_ARM] - start

    def shell(
        self, body: BodyShape, field: np.ndarray, thickness: float = 0.006, *,
        loose: int = 12, folds: float = 0.008, seed: int = 0,
    ) -> Mesh:  # fmt: skip
        """Grow a garment where `field` is at least 0; its relief moves with the body."""
        return shell(
            body.vertices, self.faces, field, thickness,
            loose=loose, folds=folds, seed=seed, places=self.template,
        )  # fmt: skip
