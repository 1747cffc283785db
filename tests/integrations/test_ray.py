"""`segment_dataset` on Ray Data."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_photos import BROKEN, check_rows, plain_rows, save_small_photos
from watched import start_watched

from handseg.errors import ClusterError, MissingExtraError
from handseg.integrations.ray import connect, rows_of, segment_dataset
from handseg.segmenter import HandSegmenter

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: handseg[ray]")
PHOTOS = 24
NO_DATA: Any = object()
# As in the guide, with a file in the home folder.
KEEP_TO_YOURSELF = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return save_small_photos(tmp_path_factory.mktemp("ray") / "photos", PHOTOS)


@pytest.fixture(scope="module")
def plain(paths: list[Path], segmenter: HandSegmenter) -> list[dict[str, Any] | None]:
    return plain_rows(paths, segmenter)


@pytest.fixture(scope="module")
def jobs(paths: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the output of `ray_jobs.py`, and the hosts it looked up."""
    output = tmp_path_factory.mktemp("jobs")
    (output / "home").mkdir()
    (output / "home" / "ray_bootstrap_config.yaml").write_text("{}")
    script = Path(__file__).with_name("ray_jobs.py")
    watched = start_watched(output, script, paths[0].parent, output, **KEEP_TO_YOURSELF)
    try:
        (output / "asked.json").write_text(json.dumps(watched.asked(seconds=600)))
        yield output
    finally:
        watched.kill()


def kept(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


@needs_ray
@pytest.mark.slow
def test_an_actor_that_is_killed_costs_nothing(
    jobs: Path, paths: list[Path], plain: list[dict[str, Any] | None]
) -> None:
    assert kept(jobs, "nodes") == 2
    job = kept(jobs, "killed")
    assert job["killed"]
    rows = sorted(job["rows"], key=lambda row: row["n"])
    assert [row["image"] for row in rows] == [str(path) for path in paths]
    check_rows(rows, plain)
    assert [row["n"] for row in rows if row["error"]] == [BROKEN]


@needs_ray
@pytest.mark.slow
def test_a_photo_over_which_processes_die_fails_alone(jobs: Path, paths: list[Path]) -> None:
    first, second, third = map(str, paths[:3])
    why = "the process that worked on it died 3 times"
    assert kept(jobs, "deadly") == {first: None, second: why, third: None}


@needs_ray
@pytest.mark.slow
def test_arrays(jobs: Path, plain: list[dict[str, Any] | None]) -> None:
    rows = sorted(kept(jobs, "arrays"), key=lambda row: row["n"])
    check_rows(rows, plain[:3])


@needs_ray
@pytest.mark.slow
def test_files_and_pictures(jobs: Path, paths: list[Path], segmenter: HandSegmenter) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = sorted(parquet.read_table(jobs / "parquet").to_pylist(), key=lambda row: row["path"])

    assert [Path(row["path"]).name for row in rows] == [path.name for path in paths[5:8]]
    *good, bad = rows
    for row, path in zip(good, paths[5:7], strict=True):
        hands = segmenter.segment(path, objects=True)
        pictures = [np.asarray(Image.open(io.BytesIO(one))) > 0 for one in row["masks"]]
        assert len(pictures) == len(hands) > 0
        for picture, held, hand in zip(pictures, row["object_masks"], hands, strict=True):
            np.testing.assert_array_equal(picture, hand.mask)
            assert (held is not None) == hand.object_mask.any()
    assert "not an image" in bad["error"]
    assert bad["masks"] is None


@needs_ray
@pytest.mark.slow
def test_columns_that_do_not_fit(jobs: Path) -> None:
    missing, taken, twice = kept(jobs, "refusals")
    assert missing == "column: 'photo' does not exist, the data has image, boxes"
    assert taken.startswith("the data already has boxes")
    assert twice == "this process is already connected to Ray"


@needs_ray
@pytest.mark.slow
def test_without_an_address_ray_starts_here(jobs: Path) -> None:
    assert kept(jobs, "alone") == 1


@needs_ray
@pytest.mark.slow
def test_nobody_is_asked(jobs: Path) -> None:
    assert kept(jobs, "asked") == []


@needs_ray
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("somewhere", "must be HOST:PORT, got 'somewhere'"),
        ("localhost:port", "must be HOST:PORT"),
        ("127.0.0.1:70000", "no Ray cluster answers at 127.0.0.1:70000"),
    ],
)
def test_addresses_that_are_none(address: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        connect(address)


@needs_ray
@pytest.mark.parametrize("before", ["", "ray://"])
def test_an_address_that_does_not_answer(before: str) -> None:
    with socket.socket() as taken:  # Bound, but not listening.
        taken.bind(("127.0.0.1", 0))
        address = f"{before}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}: .*refused"):
            connect(address)


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for call in (connect, lambda: segment_dataset(NO_DATA)):
        with pytest.raises(MissingExtraError, match=r"needs Ray: pip install 'handseg\[ray\]'"):
            call()


@pytest.mark.parametrize(
    ("error", "why"),
    [(AssertionError(), "AssertionError"), (OSError("Traceback:\nno disk"), "no disk")],
)
def test_an_error_of_ray_is_told_in_a_line(
    error: Exception, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    data = SimpleNamespace(DataContext=SimpleNamespace(get_current=SimpleNamespace))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(data=data))
    monkeypatch.setitem(sys.modules, "ray.data", data)
    broken: Any = SimpleNamespace(iter_batches=fail)

    with pytest.raises(ClusterError, match=f"^Ray gave up: {why}$"):
        list(rows_of(broken))


@pytest.mark.parametrize("name", ["cpus", "actors", "batch_size"])
def test_numbers_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        segment_dataset(NO_DATA, **{name: 0})
