"""Blender renders of takes, with truth channels. All code that imports `bpy` is here.

One scene is kept for many takes: rebuilding it for each picture would cost ten times as much.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import OpenEXR
from mathutils import Matrix, Vector

from handseg.io.files import save_image
from handseg.synthetic.rendered.blender.materials import linear, make_material, make_skin
from handseg.synthetic.rendered.scene import Mesh, View
from handseg.synthetic.rendered.take import CHANNELS, Item, Take

_DRAWN = "drawn: "
_PASSES = [CHANNELS[start : start + 3] for start in range(0, len(CHANNELS), 3)]


@dataclass(frozen=True, eq=False)
class Rendered:
    """A picture of size S as it leaves the renderer.

    Attributes:
        color: (S, S, 3) float32, linear, premultiplied by `alpha`. alpha: (S, S) float32 0..1.
        channels: (S, S) float32 0..1 by name in `CHANNELS`.
        depth: (S, S) float32, metres along the camera's axis.
    """

    color: np.ndarray
    alpha: np.ndarray
    channels: dict[str, np.ndarray]
    depth: np.ndarray


class Stage:
    """A Blender scene that shows one take at a time.

    Args:
        samples: rays per pixel.
        threads: number of threads for Cycles; 0 for all cores.
    """

    def __init__(self, samples: int = 6, threads: int = 0) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self._scene = bpy.context.scene
        self._images: dict[str, Any] = {}
        self._drawn = 0
        self._prepare(samples, threads)
        self._scratch = tempfile.TemporaryDirectory(prefix="handseg-")

    def _prepare(self, samples: int, threads: int) -> None:
        render, cycles = self._scene.render, self._scene.cycles
        render.engine = "CYCLES"
        render.use_persistent_data = True
        render.film_transparent = True
        if threads:
            render.threads_mode, render.threads = "FIXED", threads
        render.image_settings.media_type = "MULTI_LAYER_IMAGE"
        render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
        render.image_settings.color_depth = "16"
        render.image_settings.exr_codec = "NONE"
        cycles.device = "CPU"
        cycles.samples = samples
        cycles.use_adaptive_sampling = False
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 1
        cycles.transmission_bounces, cycles.transparent_max_bounces = 4, 12
        cycles.use_light_tree = (
            False  # A handful of lamps: choosing among them costs more than it saves.
        )
        cycles.caustics_reflective = cycles.caustics_refractive = False
        # Accurate prefilters cost as much as the picture and show no difference at this size.
        cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
        cycles.denoising_prefilter, cycles.denoising_quality = "FAST", "BALANCED"
        layer = self._scene.view_layers[0]
        layer.use_pass_z = True
        for number in range(len(_PASSES)):
            aov = layer.aovs.add()
            aov.name, aov.type = f"truth{number}", "COLOR"
        self._camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        self._camera.data.sensor_fit = "HORIZONTAL"
        self._camera.data.clip_start, self._camera.data.clip_end = 0.02, 50.0
        self._scene.collection.objects.link(self._camera)
        self._scene.camera = self._camera
        world = bpy.data.worlds.new("world")
        world.use_nodes = True
        self._scene.world = world
        self._sky = world.node_tree.nodes["Background"]
        self._lamps: list[Any] = []
        self._objects: list[Any] = []

    def set(self, take: Take) -> None:
        """Replace what is on the stage with the items of `take`."""
        for thing in self._objects:
            mesh = thing.data
            bpy.data.objects.remove(thing)
            bpy.data.meshes.remove(mesh)
        for material in list(bpy.data.materials):
            bpy.data.materials.remove(material)
        for name in [name for name in self._images if name.startswith(_DRAWN)]:
            bpy.data.images.remove(self._images.pop(name))
            Path(name.removeprefix(_DRAWN)).unlink()
        self._objects = [self._add(number, item) for number, item in enumerate(take.items)]

    def _add(self, number: int, item: Item) -> Any:
        mesh = _to_blender(item.part.mesh)
        count = len(item.part.mesh.vertices)
        for index, names in enumerate(_PASSES):
            values = np.full((count, 3), -1.0, np.float32)
            for column, name in enumerate(names):
                if name in item.labels:
                    values[:, column] = item.labels[name]
            _attribute(mesh, f"truth{index}", values)
        image = self._image(item.part.material.texture)
        if item.skin is None:
            material = make_material(item.part.material, image, len(_PASSES))
        else:
            for name in ("nail", "redness", "mark"):
                _attribute(mesh, name, getattr(item.skin, name))
            material = make_skin(item.part.material, item.skin, image, len(_PASSES))
        mesh.materials.append(material)
        thing = bpy.data.objects.new(f"item{number}", mesh)
        self._scene.collection.objects.link(thing)
        return thing

    def _image(self, texture: Path | np.ndarray | None) -> Any:
        if texture is None:
            return None
        if isinstance(texture, Path):
            name = str(texture)
            if name not in self._images:
                self._images[name] = bpy.data.images.load(str(texture.resolve()))
            return self._images[name]
        # Each texture gets a file with a unique name: Cycles keeps data between pictures and tells
        # images without a file apart by their memory address, which may be reused.
        self._drawn += 1
        path = Path(self._scratch.name) / f"drawn{self._drawn}.png"
        save_image(texture, path)
        self._images[f"{_DRAWN}{path}"] = image = bpy.data.images.load(str(path))
        return image

    def render(self, view: View, size: int) -> Rendered:
        """Render what is on the stage, `size` px wide and high."""
        self._look(view)
        render = self._scene.render
        render.resolution_x = render.resolution_y = size
        path = Path(self._scratch.name) / "picture.exr"
        render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        with OpenEXR.File(str(path), separate_channels=True) as file:
            found = {
                name.partition(".")[2]: channel.pixels
                for part in file.parts
                for name, channel in part.channels.items()
            }
        path.unlink()
        return _split(found)

    def _look(self, view: View) -> None:
        camera = view.camera
        # Blender's camera looks along its own -z with y up.
        axes = np.stack([camera.rotation[0], -camera.rotation[1], -camera.rotation[2]], 1)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = axes, camera.position
        self._camera.matrix_world = Matrix(pose.tolist())
        self._camera.data.lens = camera.focal * self._camera.data.sensor_width
        self._sky.inputs["Color"].default_value = (*linear(view.surroundings.color), 1)
        self._sky.inputs["Strength"].default_value = view.surroundings.strength
        while len(self._lamps) < len(view.lamps):
            lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "AREA"))
            self._scene.collection.objects.link(lamp)
            self._lamps.append(lamp)
        for number, lamp in enumerate(self._lamps):
            lamp.hide_render = number >= len(view.lamps)
            if lamp.hide_render:
                continue
            given = view.lamps[number]
            lamp.location = given.position
            way = Vector(given.target) - Vector(given.position)
            lamp.rotation_euler = way.to_track_quat("-Z", "Y").to_euler()
            lamp.data.energy, lamp.data.size = given.power, given.size
            lamp.data.color = linear(given.color)


def _split(found: dict[str, np.ndarray]) -> Rendered:
    def pick(layer: str, letters: str) -> np.ndarray:
        return np.stack([found[f"{layer}.{letter}"] for letter in letters], 2).astype(np.float32)

    color = pick("Combined", "RGBA")
    channels: dict[str, np.ndarray] = {}
    for number, names in enumerate(_PASSES):
        channels.update(zip(names, np.moveaxis(pick(f"truth{number}", "RGB"), 2, 0), strict=True))
    return Rendered(color[..., :3], color[..., 3], channels, pick("Depth", "Z")[..., 0])


def _to_blender(mesh: Mesh) -> Any:
    made = bpy.data.meshes.new("mesh")
    count = len(mesh.faces)
    made.vertices.add(len(mesh.vertices))
    made.vertices.foreach_set("co", np.ascontiguousarray(mesh.vertices, np.float32).ravel())
    made.loops.add(3 * count)
    made.loops.foreach_set("vertex_index", np.ascontiguousarray(mesh.faces, np.int32).ravel())
    made.polygons.add(count)
    made.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    made.polygons.foreach_set("use_smooth", np.full(count, mesh.smooth))
    if mesh.uv is not None:
        layer = made.uv_layers.new(name="uv")
        layer.data.foreach_set("uv", np.ascontiguousarray(mesh.uv, np.float32).ravel())
    made.update(calc_edges=True)
    return made


def _attribute(mesh: Any, name: str, values: np.ndarray) -> None:
    kind = "FLOAT_VECTOR" if values.ndim == 2 else "FLOAT"
    data = mesh.attributes.new(name, kind, "POINT").data
    data.foreach_set("vector" if values.ndim == 2 else "value", values.astype(np.float32).ravel())
