"""Helm: the one in HELM, on the PATH, or of the toolbox; and rendering charts to objects."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosctl import places
from chaosctl.adapters import process
from chaosctl.config import ToolboxSettings
from chaosctl.events import ignore
from chaosctl.toolbox import Toolbox

Objects = dict[str, dict[str, Any]]  # by kind
Render = Callable[..., Objects]


@pytest.fixture(scope="session")
def helm() -> str:
    found = os.environ.get("HELM") or shutil.which("helm")
    return found or str(Toolbox(places.cache_dir(), ToolboxSettings(), ignore).ensure("helm")["helm"])


@pytest.fixture(scope="session")
def template(helm: str) -> Callable[..., process.Completed]:
    """Run `helm template` on a chart with the values of a target and further --set-json words."""

    def template(chart: str, *words: str, target: str | None = None) -> process.Completed:
        root = places.asset("helm")
        release = chart.removesuffix("-lab")
        files = sorted((root / "values" / target).glob(f"{release}*.yaml")) if target else []
        values: list[str | Path] = [word for file in files for word in ("-f", file)]
        sets = [part for word in words for part in ("--set-json", word)]
        return process.run(
            [helm, "template", release, root / chart, "-n", "somewhere", "--include-crds", *values, *sets], check=False
        )

    return template


@pytest.fixture(scope="session")
def render(template: Callable[..., process.Completed]) -> Render:
    def render(chart: str, *words: str, target: str | None = None) -> Objects:
        done = template(chart, *words, target=target)
        assert done.status == 0, done.stderr
        return {obj["kind"]: obj for obj in yaml.safe_load_all(done.stdout) if obj}

    return render


@pytest.fixture(scope="session")
def charts() -> Path:
    return places.asset("helm")
