from __future__ import annotations

import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from handseg.data.loaders.safe_pickle import read_pickle

META = {
    "objName": "021_bleach_cleanser",
    "objLabel": 12,
    "camMat": np.array([[617.6, 0, 312.4], [0, 617.1, 241.4], [0, 0, 1]]),
    "handJoints3D": np.arange(63, dtype=np.float32).reshape(21, 3),
    "handPose": None,
    "scale": np.float64(0.5),
    "flags": {"a", "b"},
    "many": [(1, 2.5, "x"), {"k": np.int64(7)}],
    "texts": np.array(["ab", "c"], dtype=object),
}


def write(folder: Path, value: Any, **options: Any) -> Path:
    path = folder / "0000.pkl"
    path.write_bytes(pickle.dumps(value, **options))
    return path


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_and_containers_come_back(protocol: int, tmp_path: Path) -> None:
    assert same(read_pickle(write(tmp_path, META, protocol=protocol)), META)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_pickles_of_numpy_1_and_2_are_read(module: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    content = pickle.dumps(META["camMat"], protocol=2)
    for name in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        content = content.replace(b"c" + name + b"\n", b"c" + module.encode() + b"\n")
    assert module.encode() in content
    path.write_bytes(content)
    assert same(read_pickle(path), META["camMat"])


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    """Opcodes as Python 2 wrote them: byte strings for texts and for the data of arrays."""
    values = np.array([1.5, -2.0])
    data = values.tobytes()
    content = (
        b"\x80\x02}q\x01(U\x07objNameq\x02U\x03\xe9.xq\x03U\x06camMatq\x04"
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ"
        b"\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(data)]) + data + b"tbu."
    )
    pickletools.dis(content, out=io.StringIO())
    path = tmp_path / "py2.pkl"
    path.write_bytes(content)
    read = read_pickle(path)
    assert read["objName"] == "\xe9.x"
    assert same(read["camMat"], values)


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


class Evaluated:
    def __reduce__(self) -> tuple:
        return eval, ("1 + 1",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    target = tmp_path / "made"
    path = write(tmp_path, {"camMat": Malicious(target)}, protocol=protocol)
    with pytest.raises(ValueError, match=r"0000\.pkl names (posix|nt)\.mkdir, which is refused"):
        read_pickle(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())
    assert target.exists()  # an unsafe load does run it


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Evaluated(), r"(__builtin__|builtins)\.eval"),
        (sparse.csc_matrix(np.eye(3)), r"scipy\.sparse"),
        (Path("x"), "pathlib"),
        (getattr, r"(__builtin__|builtins)\.getattr"),
        (np.load, r"numpy\.load"),
        (np.random.default_rng(0), r"numpy\.random"),
    ],
)
def test_other_globals_are_named(value: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"names {named}.* is refused"):
        read_pickle(write(tmp_path, value, protocol=2))


def test_what_a_pickle_changes_stays_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x02c_codecs\nencode\n}U\x01aK\x01sb.")
    assert read_pickle(path).a == 1
    path.write_bytes(b"\x80\x02c_codecs\nencode\n.")
    assert not hasattr(read_pickle(path), "a")
    path.write_bytes(b"\x80\x02c_codecs\nencode\nU\x01aU\x03zip\x86R.")
    with pytest.raises(ValueError, match="must be written as latin1, got 'zip'"):
        read_pickle(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"\x80\x02", b"\x80\x02]K\x01a", b"\x80\x09."])
def test_damaged_files_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*bad\.pkl"):
        read_pickle(path)
    with pytest.raises(ValueError, match=r"none\.pkl"):
        read_pickle(tmp_path / "none.pkl")
