"""The real controller and backend in place of the stand-ins: their images, pulled into what nodes start with.

Nodes have no way out of the lab. So this machine pulls, when the lab starts and before any node does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from chaosctl.config import MirrorSettings
from chaosctl.lab.layout import Layout

FILE = "upstream.json"  # in layout.images


@dataclass(frozen=True)
class Pulls:
    """Names of images, as pods will use them, and whether their registry is asked without TLS."""

    references: tuple[str, ...] = ()
    plain_http: bool = False


def choose(layout: Layout, mirrors: MirrorSettings, *, wanted: bool, autoscaling: bool = False) -> Pulls:
    """Say, for whoever makes nodes, which images are pulled: none unless `wanted`."""
    pulls = Pulls()
    if wanted:
        # Not for the processes of the lab that only ask what was chosen.
        from chaosctl.stages import app, autoscaler, controller

        names = [f"{controller.IMAGE}:v{controller.VERSION}", f"{app.IMAGE}:{app.TAG}"]
        names += [f"{autoscaler.IMAGE}:{autoscaler.TAG}"] if autoscaling else []
        pulls = Pulls(tuple(map(mirrors.image, names)), mirrors.plain_http)
    (layout.images / FILE).write_text(json.dumps(asdict(pulls)))
    return pulls


def chosen(layout: Layout) -> Pulls:
    """What `choose` said last."""
    try:
        told: Mapping[str, object] = json.loads((layout.images / FILE).read_text())
    except FileNotFoundError:
        return Pulls()
    references = told["references"]
    assert isinstance(references, list)
    return Pulls(tuple(references), bool(told["plain_http"]))
