"""Run programs and record their host lookups and connections to other machines.

If the system allows it, they run in a separate network that has only a name server, which native
code cannot bypass; Python's audit events are recorded in any case.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_HOOK = """
import sys
def _note(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    # 8.8.8.8 at port 1: Streamlit learns from the system which address it would come from.
    local = host in (None, "", "localhost", "::", "::1", "0.0.0.0") or host.startswith("127.")
    if not local and not (event == "socket.connect" and arguments[1] == ("8.8.8.8", 1)):
        with open({notes!r}, "a") as file:
            file.write(f"{{event}} {{host}}\\n")
sys.addaudithook(_note)
"""

_NETWORK = """
import fcntl, os, socket, struct, subprocess, sys, threading
notes, resolv = sys.argv[1:3]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:  # Bring up the loopback device.
    fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))
subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))

def answer():
    while True:
        query, visitor = server.recvfrom(512)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        with open(notes, "a") as file:
            file.write("name server " + ".".join(labels) + "\\n")
        server.sendto(query[:2] + b"\\x81\\x83" + query[4:], visitor)  # There is no such host.

threading.Thread(target=answer, daemon=True).start()
sys.exit(subprocess.run(sys.argv[3:]).returncode)
"""


def has_networks() -> bool:
    """Whether programs can run in a separate network."""
    command = ["unshare", "-rnm", "mount", "--bind", "/etc/resolv.conf", "/etc/resolv.conf"]
    if shutil.which("unshare") is None or sys.platform != "linux":
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@dataclass
class Watched:
    """A running program, and the file in which it records the hosts it contacts."""

    process: subprocess.Popen[str]
    notes: Path

    def asked(self, seconds: float = 300) -> list[str]:
        """Wait for it to succeed, and return the hosts it looked up or connected to."""
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, out + err
        return sorted(set(self.notes.read_text().splitlines())) if self.notes.exists() else []

    def kill(self) -> None:
        """End it and its children, if it still runs."""
        with self.process, suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def run_watched(folder: Path, *command: object, **variables: str) -> list[str]:
    """Run `start_watched` to its end; return the hosts it looked up or connected to."""
    watched = start_watched(folder, *command, **variables)
    try:
        return watched.asked()
    finally:
        watched.kill()


def start_watched(folder: Path, *command: object, **variables: str) -> Watched:
    """Start Python with `command`.

    Its home is the empty folder `folder / "home"`. `variables` are added to its environment, which
    has no variable that turns off libraries' telemetry.
    """
    home, hook, notes = folder / "home", folder / "hook", folder / "notes.txt"
    for one in (home, hook):
        one.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(_HOOK.format(notes=str(notes)))
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not any(part in name for part in ("TELEMETRY", "TRACK", "STREAMLIT", "OFFLINE", "USER"))
    }
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), **variables}
    environment["PYTHONPATH"] = os.pathsep.join([str(hook), *filter(None, sys.path)])
    network = []
    if has_networks():
        network = ["unshare", "-rnm", sys.executable, "-c", _NETWORK, str(notes)]
        network.append(str(folder / "resolv.conf"))
    process = subprocess.Popen(
        [*network, sys.executable, *map(str, command)],
        env=environment, cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    return Watched(process, notes)
