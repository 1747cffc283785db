"""Jobs of `test_ray.py`, run in a separate process: on a cluster of two nodes with a CPU each.

    python ray_jobs.py PHOTOS OUTPUT

PHOTOS is a folder of small photos. OUTPUT gets a JSON file per job, and a folder `parquet`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray_actors import Deadly, kill_an_actor

from handseg import HandSegmenter, load_image
from handseg.errors import HandsegError
from handseg.integrations.ray import connect, rows_of, segment_dataset


def killed(paths: list[Path]) -> dict[str, Any]:
    """Segment all photos by path; an actor is killed after the first results."""
    items = [{"image": str(path), "n": number} for number, path in enumerate(paths)]
    ds = ray.data.from_items(items, override_num_blocks=12)
    rows = []
    victim = None
    for row in rows_of(segment_dataset(ds, actors=2, batch_size=2)):
        rows.append(row)
        victim = victim or kill_an_actor()
    return {"rows": rows, "killed": victim}


def arrays(paths: list[Path]) -> list[dict[str, Any]]:
    """Segment arrays of different sizes, with a pickled segmenter."""
    items = [{"photo": load_image(path), "n": number} for number, path in enumerate(paths)]
    with HandSegmenter.from_pretrained() as segmenter:
        found = segment_dataset(ray.data.from_items(items), segmenter, column="photo")
        return list(rows_of(found.drop_columns(["photo"])))


def deadly(paths: list[Path]) -> dict[str, str | None]:
    """Return the errors of photos; processes die on the second one."""
    items = [{"image": str(path)} for path in paths]
    ds = ray.data.from_items(items, override_num_blocks=1)
    found = rows_of(segment_dataset(ds, Deadly(str(paths[1]))))  # type: ignore[arg-type]
    return {row["image"]: row["error"] for row in found}


def files(paths: list[Path], folder: Path) -> None:
    """Segment files read by Ray, with masks as PNG, and write Parquet."""
    photos = ray.data.read_binary_files([str(path) for path in paths], include_paths=True)
    found = segment_dataset(photos, column="bytes", masks="png", objects=True)
    found.drop_columns(["bytes"]).write_parquet(str(folder))


def refusals(path: Path) -> list[str]:
    ds = ray.data.from_items([{"image": str(path), "boxes": 1}])
    said = []
    for arguments in ({"column": "photo"}, {}):
        try:
            segment_dataset(ds, **arguments)
        except ValueError as error:
            said.append(str(error))
    try:
        connect()
    except HandsegError as error:
        said.append(str(error))
    return said


def main(photos: Path, output: Path) -> None:
    paths = sorted(photos.iterdir())
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    connect(cluster.address)

    def keep(name: str, value: Any) -> None:
        (output / f"{name}.json").write_text(json.dumps(value))

    keep("nodes", len(ray.nodes()))
    keep("killed", killed(paths))
    keep("arrays", arrays(paths[:3]))
    keep("deadly", deadly(paths[:3]))
    files(paths[5:8], output / "parquet")
    keep("refusals", refusals(paths[0]))
    ray.shutdown()
    cluster.shutdown()

    connect(cpus=1)
    keep("alone", ray.cluster_resources()["CPU"])
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
