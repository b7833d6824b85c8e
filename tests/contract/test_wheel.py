"""The wheel is whole: built without a network, installed elsewhere, it runs without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = {"terraform": "chaosctl/assets/terraform", "helm": "chaosctl/assets/helm", "chaosctl": "chaosctl"}
ELSEWHERE = """
from pathlib import Path
import chaosctl
from chaosctl import places
for name, file in (("terraform", "versions.tf"), ("helm", "chaotic-backend/Chart.yaml")):
    print(places.asset(name).is_relative_to(Path(chaosctl.__file__).parent), (places.asset(name) / file).is_file())
"""


MADE = {"__pycache__", ".terraform"}


def _files(top: Path) -> Iterator[str]:
    """What belongs to the source, by its path below `top`."""
    for path in top.rglob("*"):
        below = path.relative_to(top)
        if path.is_file() and not MADE & set(below.parts) and ".tfstate" not in path.name:
            yield str(below)


def _pip(*words: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words], check=True, cwd=ROOT
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, ".")
    (made,) = directory.glob("chaosctl-*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installed")
    _pip("install", "--no-index", "--no-deps", "--target", directory, wheel)
    return directory


def _elsewhere(installed: Path, cwd: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed), "CHAOSCTL_STATE_DIR": str(cwd / "state")}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=env, check=True, capture_output=True, text=True)
    return done.stdout


def test_the_wheel_has_every_file_of_the_checkout(wheel: Path) -> None:
    wanted = {f"{place}/{path}" for top, place in SHIPPED.items() for path in _files(ROOT / top)}
    assert {"chaosctl/py.typed", "chaosctl/prices.toml", "chaosctl/assets/terraform/.terraform.lock.hcl"} <= wanted
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()


def test_it_runs_where_there_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    assert _elsewhere(installed, tmp_path, "-m", "chaosctl", "version").startswith("chaosctl ")


def test_its_terraform_and_charts_are_found(installed: Path, tmp_path: Path) -> None:
    assert _elsewhere(installed, tmp_path, "-c", ELSEWHERE).split() == ["True"] * 4
