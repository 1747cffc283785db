"""`handseg app`: the page in the browser, served from this machine."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from handseg.cli.common import is_this_machine, url
from handseg.cli.options import DeviceOption, RecipeOption
from handseg.runtime.terminal import fail, running, say


def app(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Model to offer, as for `segment`; repeat it to offer several.",
        ),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", metavar="DIR", help="PEFT adapter for the models."),
    ] = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 opens the page to the whole network. Visitors from "
            "other machines can only choose among the models given here.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")
    ] = 8501,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    max_photos: Annotated[
        int, typer.Option("--max-photos", min=1, help="Maximum number of photos per visitor.")
    ] = 50,
    max_megabytes: Annotated[
        int, typer.Option("--max-megabytes", min=1, help="Maximum size of a file.")
    ] = 50,
) -> None:
    """Open a page in the browser to cut out hands.

    Drop photos to see landmarks, masks and cut-outs. Correct masks with clicks, or compare them
    with a true mask. Photos stay in memory. Ctrl-C stops the page.
    """
    with running("app"):
        if not find_spec("streamlit"):
            fail("the page needs streamlit: pip install 'handseg[app]'")
        from streamlit import net_util
        from streamlit.web import bootstrap
        from streamlit.web.cli import main as streamlit

        from handseg.app import launch
        from handseg.models.bundled import LITE

        page = launch.PageSettings(
            tuple(models or [LITE]),
            adapter or "",
            str(recipe or ""),
            device or "",
            own_models=is_this_machine(host),
            max_photos=max_photos,
            max_megabytes=max_megabytes,
        )
        if not page.own_models:
            say(f"Anyone who can reach {host}, port {port}, can use this page.", "yellow")
        os.environ |= page.to_environment()
        # Streamlit would ask an Amazon host for the public address, to print it and to accept
        # pages from there; visitors who use that address are accepted anyway.
        net_util.get_external_ip = lambda: None
        # Streamlit calls this when the page is ready, and would print its own welcome.
        ready = f"The page is at {url(host, port)}. Press Ctrl-C to stop."
        bootstrap._print_url = lambda is_running_hello: say(ready)
        script = Path(launch.__file__).with_name("page.py")
        options = {
            "server.address": host,
            "server.port": port,
            "server.headless": not browser,
            "server.showEmailPrompt": False,
            "server.maxUploadSize": max_megabytes,
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": False,
            "logger.hideWelcomeMessage": True,
            "logger.level": "warning",
            "client.toolbarMode": "minimal",
        }
        flags = [f"--{name}={str(value).lower()}" for name, value in options.items()]
        streamlit(["run", str(script), *flags], prog_name="handseg app", standalone_mode=False)
