from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handseg.finetune.batches import BatchSchedule

PLANS = st.builds(
    BatchSchedule,
    hands=st.integers(1, 40),
    epochs=st.integers(1, 6),
    batch_size=st.integers(1, 9),
    accumulation=st.integers(1, 3),
    processes=st.integers(1, 3),
)


@given(plan=PLANS)
def test_every_hand_is_shown_in_every_epoch_and_little_more(plan: BatchSchedule) -> None:
    shown = plan.steps * plan.samples_a_step
    assert plan.epochs * plan.hands <= shown < plan.epochs * plan.hands + plan.samples_a_step


@given(plan=PLANS)
def test_batches_are_numbered_without_gap(plan: BatchSchedule) -> None:
    numbers = [
        plan.batch_number(step, part, process)
        for step in range(3)
        for part in range(plan.accumulation)
        for process in range(plan.processes)
    ]
    assert numbers == list(range(len(numbers)))


@given(plan=PLANS)
def test_two_processes_number_batches_as_twice_the_accumulation(plan: BatchSchedule) -> None:
    together = BatchSchedule(plan.hands, plan.epochs, plan.batch_size, plan.accumulation, 2)
    alone = BatchSchedule(plan.hands, plan.epochs, plan.batch_size, 2 * plan.accumulation, 1)
    assert together.steps == alone.steps
    for part in range(plan.accumulation):
        for process in range(2):
            assert together.batch_number(3, part, process) == alone.batch_number(
                3, 2 * part + process, 0
            )


@given(plan=PLANS)
def test_epochs_end_in_order_once_and_the_last_with_the_run(plan: BatchSchedule) -> None:
    ended = [plan.ended_epoch(step) for step in range(1, plan.steps + 1)]
    epochs = [epoch for epoch in ended if epoch is not None]
    assert epochs == sorted(set(epochs))
    assert ended[-1] == plan.epochs
    for step, epoch in enumerate(ended, 1):
        if epoch is not None:
            assert step * plan.samples_a_step >= epoch * plan.hands
