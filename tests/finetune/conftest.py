"""Train networks in these tests on the CPU, in one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _one_thread_of_the_cpu() -> Iterator[None]:
    """Use one thread: networks this small gain nothing from more, which wait on busy cores."""
    import torch
    from accelerate.state import AcceleratorState

    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        AcceleratorState._reset_state(reset_partial_state=True)
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
        AcceleratorState._reset_state(reset_partial_state=True)
