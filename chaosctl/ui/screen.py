"""A page on the terminal that is drawn again and again, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable

from chaosctl.ui.render import Report, report_text


def show(look: Callable[[], Report], every: float) -> None:
    """Show what `look` finds, and look again after `every` seconds. Ctrl-C leaves the last page on the screen."""
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        try:
            while True:
                page = report_text(look(), width=live.console.width)
                live.update(Text(page, no_wrap=True, overflow="ellipsis"), refresh=True)
                time.sleep(every)
        except KeyboardInterrupt:
            return
