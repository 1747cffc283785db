"""Scenes: what people do with their hands. To add one, copy a module and list it here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handseg.synthetic.rendered.scenes import (
    bare,
    desk,
    face,
    far,
    hold,
    pair,
    palm,
    reach,
    sign,
)
from handseg.synthetic.rendered.scenes._common import Cast
from handseg.synthetic.rendered.take import Take

SCENES: dict[str, Callable[[np.random.Generator, Cast], Take]] = {
    "face": face.draw,
    "desk": desk.draw,
    "hold": hold.draw,
    "pair": pair.draw,
    "palm": palm.draw,
    "sign": sign.draw,
    "far": far.draw,
    "reach": reach.draw,
    "bare": bare.draw,
}
"""Functions that draw a pose with its views, by name. They raise `UnreachableError` if a body
cannot do what was drawn; the next draw of the same generator differs."""
