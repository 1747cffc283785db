"""Draw the docs' picture of the pipeline: landmarks, prompts, logits, alpha and cut-out of a photo.

python benchmarks/pipeline_picture.py docs/pictures/pipeline.jpg
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handseg.app.views import on_checkerboard
from handseg.io.files import save_image
from handseg.io.images import load_image
from handseg.models.region import Region
from handseg.pipeline.predict import batch_prompts
from handseg.results import overlay
from handseg.segmenter import HandSegmenter

PHOTO = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images" / "2_pic00174.jpg"
SIDE, GAP, CAPTION = 300, 8, 44
NONE = np.zeros((0, 2), np.float32), np.zeros(0, np.int64)


def main(output: str) -> None:
    photo = load_image(PHOTO)
    with HandSegmenter.from_pretrained() as segmenter:
        result = segmenter.segment(photo)
        model, recipe = segmenter.model, segmenter.recipe
    landmarks = result.hands[0].landmarks
    assert landmarks is not None
    prompts = recipe.prompts(landmarks, *photo.shape[:2])
    region = Region.around(prompts.roi_box, recipe.region_margin)
    size = model.input_size
    batch = batch_prompts([prompts], [region], size, model.mask_size)
    logits = model.decode(model.encode(region.crop(photo, size)[None]), batch)[0][0]
    shades = np.clip((logits + 6) / 12 * 255, 0, 255).astype(np.uint8)
    shades = cv2.resize(shades, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    told = replace(prompts, landmarks=None)
    bones = replace(prompts, points=NONE[0], labels=NONE[1], box=None)
    panels = {
        "1  landmarks": overlay.prompts(photo, [bones]),
        "2  prompts": overlay.prompts(photo, [told]),
        "3  logits": cv2.applyColorMap(shades, cv2.COLORMAP_VIRIDIS)[..., ::-1],
        "4  alpha": (result.alpha * 255).astype(np.uint8),
        "5  cut-out": on_checkerboard(result.cutout()),
    }
    picture = Image.new("RGB", (len(panels) * (SIDE + GAP) - GAP, SIDE + CAPTION), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(26)
    for index, (caption, panel) in enumerate(panels.items()):
        pixels = np.asarray(panel)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        square = pixels if len(pixels) == SIDE else region.crop(pixels, SIDE)
        picture.paste(Image.fromarray(np.ascontiguousarray(square)), (index * (SIDE + GAP), 0))
        pen.text((index * (SIDE + GAP) + 2, SIDE + 6), caption, "black", font)
    save_image(np.asarray(picture), output)


if __name__ == "__main__":
    main(sys.argv[1])
