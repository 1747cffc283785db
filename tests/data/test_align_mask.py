from __future__ import annotations

import numpy as np
import pytest

from handseg.data.align_mask import fit, fits, match_turn


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_what_has_no_pixels_fits_nothing(shape: tuple[int, int]) -> None:
    assert not fits(shape, (5, 5))
    assert not fits((5, 5), shape)
    with pytest.raises(ValueError, match="the mask is 5 x 5 px, the photo"):
        fit(np.zeros((5, 5), bool), shape)
    with pytest.raises(ValueError, match="px, the photo 5 x 5"):
        fit(np.zeros(shape, bool), (5, 5))
    color, photo = np.zeros((*shape, 3), np.uint8), np.zeros((5, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="another ratio of width to height"):
        match_turn(color, np.zeros(shape, bool), photo)
