"""Rendering of a folder's takes in several processes."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path

from handseg.errors import reason
from handseg.runtime.progress import progress_bar
from handseg.runtime.terminal import FAILED
from handseg.runtime.threads import available_cores
from handseg.synthetic.rendered.run import Settings


def share(folder: Path, settings: Settings, takes: Sequence[int], jobs: int) -> tuple[int, int]:
    """Render takes in `jobs` processes, with a progress bar on a terminal.

    Returns:
        The number of draws that no body could do, and of processes that failed.
    """
    context = multiprocessing.get_context("spawn")
    done: Queue[tuple[int, int]] = context.Queue()
    threads = 1 if jobs > 1 else available_cores()
    workers: list[SpawnProcess] = []
    for job in range(min(jobs, len(takes))):
        arguments = (folder, settings, takes[job::jobs], threads, done)
        workers.append(context.Process(target=_work, args=arguments, daemon=True))
        workers[-1].start()
    redrawn = 0
    with progress_bar() as bar:
        poses = bar.add_task("poses", total=len(takes))
        while any(worker.is_alive() for worker in workers) or not done.empty():
            try:
                _, attempts = done.get(timeout=0.5)
            except queue.Empty:
                continue
            redrawn += attempts
            bar.advance(poses)
    for worker in workers:
        worker.join()
    return redrawn, sum(worker.exitcode != 0 for worker in workers)


def _work(
    folder: Path,
    settings: Settings,
    takes: Sequence[int],
    threads: int,
    done: Queue[tuple[int, int]],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent handles Ctrl-C and ends this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))  # So that scratch files are removed.
    # Blender prints a line per picture straight to the file descriptor.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # Not at the top: `bpy` changes the module path, which new processes would inherit.
    from handseg.synthetic.rendered.worker import render_takes

    parent = multiprocessing.parent_process()
    try:
        for finished in render_takes(folder, settings, takes, threads):
            done.put(finished)
            if parent is not None and not parent.is_alive():  # Killed: it cannot end this.
                return
    except Exception as error:
        print(f"Error: {reason(error)}", file=sys.stderr)
        raise SystemExit(FAILED) from None
