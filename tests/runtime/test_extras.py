"""The core without the packages of the extras: it works, and names what is missing in a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from handseg.errors import MissingExtraError
from handseg.runtime.extras import needing_extras

WITHOUT_EXTRAS = """
import sys
from handseg.runtime.extras import _EXTRAS
# None: an import of it fails as if it were not installed. typer takes pydantic where there is one.
sys.modules |= dict.fromkeys(_EXTRAS.keys() - {"pydantic"})
from handseg.cli import main
main()
"""


def handseg(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `handseg` in an interpreter that finds no package of an extra."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_core_cuts_out_evaluates_and_annotates(photo_folder: Path, tmp_path: Path) -> None:
    for arguments in (
        ("segment", photo_folder / "images", "--output", tmp_path / "cut"),
        ("evaluate", photo_folder, "--output", tmp_path / "report"),
        ("annotate", photo_folder / "images", "--output", tmp_path / "set", "--review"),
        ("info",),
    ):
        done = handseg(*arguments)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "cut").glob("*.png"))) == 4
    assert (tmp_path / "report" / "report.html").is_file()
    assert (tmp_path / "set" / "coco.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message", "extra"),
    [
        (("finetune", "--data", "x", "--output", "y"), "handseg finetune needs PyTorch", "train"),
        (("prepare", "x", "--output", "y"), "handseg prepare needs datasets", "train"),
        (("export", "--output", "y"), "handseg export needs PyTorch", "sam"),
        (
            ("export", "--format", "onnx", "--output", "y"),
            "handseg export needs PyTorch",
            "export",
        ),
        (("serve",), "handseg serve needs python-multipart", "serve"),
        (("evaluate", "x", "--layout", "coco"), "handseg evaluate needs datasets", "train"),
        (("segment", "PHOTO", "--model", "some/model"), "some/model needs PyTorch", "sam"),
        (
            ("segment", "PHOTO", "--adapter", "some/adapter"),
            "the adapter some/adapter needs huggingface_hub",
            "sam",
        ),
        (("segment", "PHOTO", "--device", "cuda"), "handseg segment needs PyTorch", "sam"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    arguments: tuple[str, ...], message: str, extra: str, photo_folder: Path
) -> None:
    photo = str(photo_folder / "images" / "2_pic00174.jpg")
    done = handseg(*(photo if one == "PHOTO" else one for one in arguments))
    assert done.returncode == 2
    assert done.stderr.strip() == f"Error: {message}: pip install 'handseg[{extra}]'"


def test_other_missing_modules_are_left_alone() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), needing_extras("this"):
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def test_the_outermost_need_is_named() -> None:
    with (
        pytest.raises(MissingExtraError, match=r"^all needs PyTorch: pip install 'handseg\[x\]'$"),
        needing_extras("all", "x"),
        needing_extras("a part"),
    ):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
