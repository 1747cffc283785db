"""Several segmenters with one model, one per thread."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from handseg.pipeline.interface import Segmenter


@contextmanager
def ready(segmenter: Segmenter, count: int) -> Iterator[list[Segmenter]]:
    """Provide `count` segmenters that share a model, including `segmenter`; closed at the end."""
    with ExitStack() as stack:
        others = [segmenter.share() for _ in range(count - 1)]
        for one in (segmenter, *others):
            stack.enter_context(one)
        if others:
            # In parallel, because each takes a while.
            with ThreadPoolExecutor(len(others) + 1) as pool:
                list(pool.map(lambda one: one.warm_up(), (segmenter, *others)))
        yield [segmenter, *others]
