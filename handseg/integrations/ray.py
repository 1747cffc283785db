"""Hands in the rows of a Ray Data set, on one machine or a cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from handseg.errors import ClusterError, reason
from handseg.integrations.deaths import Deaths
from handseg.integrations.rows import HandColumns, Masks
from handseg.models.bundled import LITE
from handseg.runtime.extras import needing_extras

if TYPE_CHECKING:
    import pyarrow
    import ray.data
    from typing_extensions import Unpack

    from handseg.pipeline.interface import Segmenter
    from handseg.pipeline.options import BatchOptions

_ANSWER = 10  # Seconds to wait for a cluster's answer.


def connect(address: str | None = None, cpus: int | None = None) -> None:
    """Start Ray on this machine, or join a cluster, without Ray's usage statistics.

    `ray.init` works, too, but retries for a quarter of an hour if nothing answers; this function
    fails at once.

    Args:
        address: HOST:PORT of a cluster's head, "auto" for the cluster running on this machine, or
            ray://HOST:PORT; None uses the variable RAY_ADDRESS, or starts Ray here.
        cpus: number of CPUs for Ray if it is started here; None uses all.

    Raises:
        MissingExtraError: if Ray is not installed.
        ClusterError: if nothing answers, Ray cannot start, or this process is already connected.
    """
    with needing_extras("handseg.integrations.ray"):
        import ray
    if ray.is_initialized():
        raise ClusterError("this process is already connected to Ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    if address not in (None, "auto", "local"):
        _knock(address)
    here: dict[str, Any] = {}
    if address is None:
        here = {"num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **here
        )
    # Ray raises plain exceptions, too.
    except Exception as error:
        where = "Ray cannot start here" if address is None else f"no Ray cluster at {address}"
        raise ClusterError(f"{where}: {reason(error)}") from error


def _knock(address: str) -> None:
    """Raise ClusterError if no program answers at `address`."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"a Ray cluster's address must be HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {reason(error)}; `ray start --head` starts one "
            "and prints its address"
        ) from error


def segment_dataset(
    ds: ray.data.Dataset,
    segmenter: str | Path | Segmenter = LITE,
    *,
    column: str = "image",
    masks: Masks = "rle",
    device: str | None = None,
    actors: int | None = None,
    cpus: int = 1,
    gpus: float | None = None,
    batch_size: int = 16,
    **options: Unpack[BatchOptions],
) -> ray.data.Dataset:
    """Add columns with the hands to a Ray data set; evaluated lazily, when the data is read.

    See `HandColumns` for the columns. If a photo cannot be read, or fails otherwise, `error` says
    why; this includes photos that killed their process `handseg.integrations.deaths.MOST` times. If
    an actor or its machine dies, Ray gives its block of photos to another one.

    Examples:
        >>> photos = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
        >>> found = segment_dataset(photos, column="bytes").drop_columns(["bytes"])
        >>> found.write_parquet("s3://bucket/hands")

    Args:
        ds: the photos.
        segmenter: a name or path for `handseg.load_segmenter`, available on all machines; or a
            segmenter, which is rebuilt in each actor.
        column: column of the photos: paths, URIs, bytes of files, or arrays (H, W, 3) uint8 RGB.
        masks: "rle" (COCO) or "png" (the bytes of a file).
        device: such as "cuda"; only with a name or path.
        actors: maximum number of processes, each with its own segmenter; None lets Ray start as
            many as fit. It begins with one, which leaves room for reading the photos.
        cpus: CPUs per actor; its segmenter uses as many threads.
        gpus: GPUs per actor, may be a fraction.
        batch_size: number of photos that an actor takes at a time.
        **options: see `BatchOptions`; the same for all photos.

    Returns:
        `ds` with the new columns, its rows in any order.

    Raises:
        MissingExtraError: if Ray is not installed.
        ValueError: if the column is missing, an added column already exists, or an argument has an
            invalid value.
        TypeError: if an option is unknown.
    """
    for name, number in {"cpus": cpus, "batch_size": batch_size, "actors": actors}.items():
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    with needing_extras("handseg.integrations.ray"):
        import ray.data  # noqa: F401
    columns = HandColumns(
        segmenter, column=column, masks=masks, device=device, threads=cpus, **options
    )
    if (there := ds.columns()) is not None:  # None: there are no rows.
        columns.check(there)
    return with_actors(
        ds, SegmentHands, (columns,), actors=actors, cpus=cpus, gpus=gpus, batch_size=batch_size
    )


class TableFunction(Protocol):
    """A callable that an actor applies to each batch."""

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """Return the batch with the added columns."""


class SegmentHands:
    """A Ray actor with a segmenter."""

    def __init__(self, columns: HandColumns) -> None:
        self._columns = columns
        columns.guard = Deaths(actor_id()).risk
        columns.load()

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """Return the batch with the new columns."""
        return self._columns.add_to(table)


def actor_id() -> str:
    """Return the id of this process's actor, which stays when Ray restarts the actor."""
    import ray

    return str(ray.get_runtime_context().get_actor_id())


def with_actors(
    ds: ray.data.Dataset,
    make: type[TableFunction],
    arguments: Sequence[Any],
    *,
    actors: int | None = None,
    cpus: int = 1,
    gpus: float | None = None,
    batch_size: int,
) -> ray.data.Dataset:
    """Map `ds` with actors that each call `make(*arguments)` once; see `segment_dataset`."""
    import ray.data

    return ds.map_batches(
        make,
        fn_constructor_args=arguments,
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
        num_cpus=cpus,
        num_gpus=gpus,
    )


def rows_of(ds: ray.data.Dataset) -> Iterator[dict[str, Any]]:
    """Yield rows as they finish, without Ray's own messages and progress bars.

    Raises:
        ClusterError: if Ray gives up, with the last line of its error but no traceback.
    """
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        for table in ds.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from table.to_pylist()
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ClusterError(f"Ray gave up: {lines[-1]}") from error
