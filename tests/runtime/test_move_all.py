import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from handseg.runtime.files import move_all


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o027, 0o640)])
def test_moved_files_have_the_rights_of_new_ones(tmp_path: Path, umask: int, rights: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    save_file({"weight": torch.zeros(2)}, source / "model.safetensors")
    (source / "config.json").write_text("{}")
    (target / "config.json").write_text("old")
    before = os.umask(umask)
    try:
        move_all(source, target, ["model.safetensors", "config.json"])
    finally:
        os.umask(before)

    assert list(source.iterdir()) == []
    assert (target / "config.json").read_text() == "{}"
    for file in target.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == rights
