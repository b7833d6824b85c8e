"""A run of its own: python -m tests.contract.toolbox.driver CACHE MIRROR SIZE. Prints events, then the tool's path."""

import sys
from pathlib import Path

from chaosctl.config import ToolboxSettings
from chaosctl.toolbox import Toolbox
from tests.contract.toolbox.mirror import bundle, program


def main(cache: str, mirror: str, size: str) -> None:
    table = [bundle("/tool", program(int(size)))]
    toolbox = Toolbox(Path(cache), ToolboxSettings(mirror=mirror), say, table)
    say(toolbox.ensure("example")["example"])


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
