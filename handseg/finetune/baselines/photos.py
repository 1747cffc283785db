"""Whole photos for training a baseline: stretched to a square and augmented."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from handseg.data.schema import PhotoRow
from handseg.finetune.baselines.settings import PhotoAugmentation
from handseg.finetune.sampler import Item
from handseg.models.semantic.config import OBJECT, NetworkConfig
from handseg.models.semantic.model import stretch
from handseg.models.semantic.preprocess import preprocess


class PhotoViews(Dataset[Item]):
    """The views of each photo in turn: view v of a photo is item `photo * views + v`.

    An item holds "image" (S, S, 3) uint8, "target" (classes, S, S) float32 in 0..1 and "known"
    (classes,) bool, which masks the photo has. It depends only on the photo, view and seed.

    Args:
        photos: the photos.
        network: the network whose input they become.
        augmentation: how views differ from the photo; None leaves photos unchanged.
        views: views per photo.
        seed: seed of the augmentation.
    """

    def __init__(
        self,
        photos: Sequence[PhotoRow],
        network: NetworkConfig,
        augmentation: PhotoAugmentation | None = None,
        views: int = 1,
        seed: int = 0,
    ) -> None:
        self.photos, self.network, self.augmentation = photos, network, augmentation
        self.views, self.seed = views, seed

    def __len__(self) -> int:
        return len(self.photos) * self.views

    def __getitem__(self, index: int) -> Item:
        photo, view = divmod(index, self.views)
        image, masks, known = self._load(self.photos[photo])
        if self.augmentation is not None:
            # Samples must neither depend on nor disturb other random draws in this process.
            with torch.random.fork_rng(devices=[]):
                state = np.random.SeedSequence([self.seed, photo, view]).generate_state(1)
                torch.manual_seed(int(state[0]))
                image, masks = vary(image, masks, self.augmentation)
        return {
            "image": torch.from_numpy(preprocess(image, self.network.preprocess)),
            "target": torch.from_numpy(masks),
            "known": torch.tensor(known),
        }

    def _load(self, row: PhotoRow) -> tuple[np.ndarray, np.ndarray, list[bool]]:
        """Return image (S, S, 3), masks (classes, S, S) float32, and which masks are known."""
        image, hand = row.load()
        masks, known = [hand], [True]
        if OBJECT in self.network.classes:
            held = row.load_object_mask()
            known.append(held is not None)
            masks.append(np.zeros_like(hand) if held is None else held)
        side = self.network.image_size
        return (
            stretch(image, side),
            np.stack([stretch(mask.astype(np.float32), side) for mask in masks]),
            known,
        )


def vary(
    image: np.ndarray, masks: np.ndarray, augmentation: PhotoAugmentation
) -> tuple[np.ndarray, np.ndarray]:
    """Randomly move and recolour an image (S, S, 3) uint8 and its masks (classes, S, S).

    Areas from outside the image are black and not a hand. Draws from torch's generator.
    """
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    zoom, tilt = augmentation.zoom, float(np.degrees(np.arctan(augmentation.shear)))
    changes: list[torch.nn.Module] = [v2.RandomHorizontalFlip(augmentation.flip)]
    if augmentation.rotation or augmentation.shift or zoom or tilt:
        changes.append(
            v2.RandomAffine(
                augmentation.rotation,
                translate=(augmentation.shift, augmentation.shift),
                scale=(1 - zoom, 1 + zoom),
                shear=(-tilt, tilt) if tilt else None,
                interpolation=v2.InterpolationMode.BILINEAR,
            )
        )
    changes.append(
        v2.ColorJitter(
            brightness=augmentation.brightness,
            contrast=augmentation.contrast,
            saturation=augmentation.saturation,
            hue=augmentation.hue,
        )
    )
    picture = tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))
    picture, moved = v2.Compose(changes)(picture, tv_tensors.Mask(torch.from_numpy(masks)))
    # Masks use nearest-neighbour interpolation, whatever the images use.
    return picture.permute(1, 2, 0).contiguous().numpy(), moved.numpy()


def class_weights(photos: Iterable[PhotoRow]) -> tuple[float, float]:
    """Return weights of hand and background pixels that balance their frequencies.

    Median of the class frequencies divided by each frequency (Eigen and Fergus, ICCV 2015). A
    class's frequency is its share of the pixels of the photos that show it.

    Raises:
        ValueError: if a class has no pixel, or a photo cannot be read.
    """
    pixels, shown, total = np.zeros(2, int), np.zeros(2, int), 0
    for row in photos:
        mask = row.load()[1]
        hand = np.count_nonzero(mask)
        here = np.array([hand, mask.size - hand])
        pixels, shown, total = pixels + here, shown + mask.size * (here > 0), total + mask.size
    if not pixels.all():
        raise ValueError(f"balance needs pixels of hand and background, got {pixels[0]} of {total}")
    frequencies = pixels / shown
    median = float(np.median(frequencies))
    return median / frequencies[0], median / frequencies[1]
