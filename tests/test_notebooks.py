"""The notebooks run from top to bottom without a network, and are committed in that state.

`python tests/test_notebooks.py notebooks/01_segment.ipynb ...` runs notebooks the same way and
writes their outputs into them.
"""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from jupyter_client.kernelspec import KernelSpec  # noqa: E402
from jupyter_client.manager import AsyncKernelManager  # noqa: E402

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 700_000  # bytes
LOCAL_PATH = re.compile(r"(?<![\w./:])(/(home|root|Users|work|tmp|var|opt|mnt)/|[A-Z]:\\\\)")

# Runs in the kernel before the notebook. The kernel itself uses ZeroMQ, not `socket`.
NO_NETWORK = """
import os, socket
os.environ["HF_HUB_OFFLINE"] = "1"
# Streamlit, which other tests start, sets another backend for all that follows.
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
# Threads that wait for each other in a loop are slow where others work beside them.
os.environ["OMP_NUM_THREADS"] = "1"

def _refuse_remote(event, arguments):
    host = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = host[0] if isinstance(host, tuple) else host
    unix = event == "socket.connect" and arguments[0].family == getattr(socket, "AF_UNIX", None)
    if not unix and host not in (None, "", "localhost", "127.0.0.1", "::1"):
        raise OSError(f"a notebook asks the network for {host}")

__import__("sys").addaudithook(
    lambda event, arguments: _refuse_remote(event, arguments)
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto") else None
)
"""


class ThisPython(AsyncKernelManager):
    """Kernels of the Python that runs the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        # Logs of native code go to the terminal, not into the notebook.
        options = ["-f", "{connection_file}", "--IPKernelApp.capture_fd_output=False"]
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", *options])


def run(notebook: Any) -> Any:
    """Return a copy of `notebook` with the outputs of a fresh kernel without a network.

    Raises:
        CellExecutionError: if a cell fails.
    """
    done = nbformat.from_dict(notebook)
    done.cells.insert(0, nbformat.v4.new_code_cell(NO_NETWORK))
    client = nbclient.NotebookClient(
        done,
        kernel_manager_class=ThisPython,
        resources={"metadata": {"path": str(FOLDER)}},
        timeout=300,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    del done.cells[0]
    for number, cell in enumerate(code_cells(done), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    return done


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: Any) -> list[str]:
    """Return all text in the outputs that readers see."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    found = [output.get("text", "") for output in outputs]
    for output in outputs:
        data = output.get("data", {})
        found += [text for kind, text in data.items() if kind.startswith("text/")]
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_committed_in_order(self, path: Path) -> None:
        assert path.stat().st_size < LARGEST
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"
        assert "widgets" not in notebook.metadata
        cells = code_cells(notebook)
        # Run from top to bottom in one go.
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        outputs = [output for cell in cells for output in cell.outputs]
        assert any("image/jpeg" in output.get("data", {}) for output in outputs)
        assert not [output for output in outputs if output.output_type == "error"]
        assert not [output for output in outputs if output.get("name") == "stderr"]
        everything = [cell.source for cell in notebook.cells] + texts(notebook)
        assert not [text for text in everything if LOCAL_PATH.search(text)]

    @pytest.mark.slow
    def test_runs_without_network(self, path: Path) -> None:
        before = path.read_bytes()
        notebook = nbformat.reads(before.decode(), as_version=4)
        done = run(notebook)  # raises where a cell does
        assert path.read_bytes() == before
        assert [cell.source for cell in done.cells] == [cell.source for cell in notebook.cells]
        # The committed outputs belong to these cells: the same kinds in the same places.
        for old, new in zip(code_cells(notebook), code_cells(done), strict=True):
            assert kinds(new) == kinds(old), new.source


def kinds(cell: Any) -> list[str]:
    """Return the kinds of a cell's outputs, in order; text in several pieces counts once."""
    every = [output.get("name", "") or "+".join(sorted(output.data)) for output in cell.outputs]
    return [kind for kind, _ in groupby(every)]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(run(nbformat.read(name, as_version=4)), name)
