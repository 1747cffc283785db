"""Blender materials: one kind for objects, one for skin; both write the truth channels."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from handseg.synthetic.rendered.develop import decoded
from handseg.synthetic.rendered.scene import Material
from handseg.synthetic.rendered.take import SkinLook


class _Nodes:
    """A material under construction."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self._tree = self.material.node_tree
        self.shader = self._tree.nodes["Principled BSDF"]

    def new(self, kind: str, **settings: Any) -> Any:
        node = self._tree.nodes.new(f"ShaderNode{kind}")
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def link(self, source: Any, target: Any) -> None:
        self._tree.links.new(source, target)

    def mix(self, factor: Any, one: Any, other: Any, blend: str = "MIX") -> Any:
        """Mix two colours; each argument is a socket or a value. Returns a socket."""
        node = self.new("Mix", data_type="RGBA", blend_type=blend)
        for number, value in ((0, factor), (6, one), (7, other)):
            self.put(node.inputs[number], value)
        return node.outputs[2]

    def math(self, operation: str, one: Any, other: Any = 0.0) -> Any:
        node = self.new("Math", operation=operation)
        for number, value in enumerate((one, other)):
            self.put(node.inputs[number], value)
        return node.outputs[0]

    def put(self, socket: Any, value: Any) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.link(value, socket)
        else:
            socket.default_value = value

    def attribute(self, name: str, output: str = "Fac") -> Any:
        return self.new("Attribute", attribute_name=name).outputs[output]

    def truth(self, count: int) -> None:
        """Write `count` truth passes: 1 where the interpolated label is above 0, else 0."""
        for number in range(count):
            steep = self.new("VectorMath", operation="SCALE")
            self.link(self.attribute(f"truth{number}", "Vector"), steep.inputs[0])
            steep.inputs["Scale"].default_value = 1e6
            low = self.new("VectorMath", operation="MAXIMUM")
            self.link(steep.outputs[0], low.inputs[0])
            low.inputs[1].default_value = (0, 0, 0)
            high = self.new("VectorMath", operation="MINIMUM")
            self.link(low.outputs[0], high.inputs[0])
            high.inputs[1].default_value = (1, 1, 1)
            output = self.new("OutputAOV", aov_name=f"truth{number}")
            self.link(high.outputs[0], output.inputs["Color"])

    def bump(self, height: float, scale: float) -> None:
        noise = self.new("TexNoise")
        noise.inputs["Scale"].default_value = 1.0 / scale
        place = self.new("TexCoord")
        self.link(place.outputs["Object"], noise.inputs["Vector"])
        node = self.new("Bump")
        node.inputs["Strength"].default_value = 1.0
        node.inputs["Distance"].default_value = height
        self.link(noise.outputs[0], node.inputs["Height"])
        self.link(node.outputs[0], self.shader.inputs["Normal"])


def linear(color: tuple[float, ...]) -> list[float]:
    """Convert sRGB 0..1 to linear light, as Blender expects it."""
    return [float(value) for value in decoded(np.array(color))]


def make_material(given: Material, image: Any, passes: int) -> Any:
    """Make the Blender material of an object; `image` is its loaded texture or None."""
    nodes = _Nodes("thing")
    inputs = nodes.shader.inputs
    inputs["Roughness"].default_value = given.roughness
    inputs["Metallic"].default_value = given.metallic
    inputs["Transmission Weight"].default_value = given.transmission
    color = (*linear(given.color), 1.0)
    if image is None:
        inputs["Base Color"].default_value = color
    else:
        texture = nodes.new("TexImage", image=image)
        tinted = nodes.mix(1.0, texture.outputs["Color"], color, "MULTIPLY")
        nodes.link(tinted, inputs["Base Color"])
        if image.channels == 4 and image.depth in (32, 64, 128):
            nodes.link(texture.outputs["Alpha"], inputs["Alpha"])
    if given.bump:
        nodes.bump(given.bump, given.bump_scale)
    nodes.truth(passes)
    return nodes.material


def make_skin(given: Material, look: SkinLook, image: Any, passes: int) -> Any:
    """Make the Blender material of a body."""
    nodes = _Nodes("skin")
    inputs = nodes.shader.inputs
    texture = nodes.new("TexImage", image=image)
    color = nodes.mix(1.0, texture.outputs["Color"], (*look.tint, 1.0), "MULTIPLY")
    red = nodes.mix(1.0, color, (1.08, 0.72, 0.68, 1.0), "MULTIPLY")
    color = nodes.mix(nodes.attribute("redness"), color, red)
    if look.mark.any():
        wave = nodes.new("TexVoronoi", feature="DISTANCE_TO_EDGE")
        wave.inputs["Scale"].default_value = 90.0
        place = nodes.new("TexCoord")
        nodes.link(place.outputs["UV"], wave.inputs["Vector"])
        line = nodes.math("LESS_THAN", wave.outputs["Distance"], 0.09)
        drawn = nodes.math("MULTIPLY", line, nodes.attribute("mark"))
        color = nodes.mix(drawn, color, (*linear(look.mark_color), 1.0))
    *nail_color, strength = look.nail_color
    on_nail = nodes.math("GREATER_THAN", nodes.attribute("nail"), 0.0)
    color = nodes.mix(
        nodes.math("MULTIPLY", on_nail, strength), color, (*linear(tuple(nail_color)), 1.0)
    )
    nodes.link(color, inputs["Base Color"])
    shine = nodes.math("MULTIPLY", on_nail, -0.6 * given.roughness)
    nodes.link(nodes.math("ADD", shine, given.roughness), inputs["Roughness"])
    inputs["Specular IOR Level"].default_value = look.specular
    nodes.bump(given.bump, given.bump_scale)
    nodes.truth(passes)
    return nodes.material
