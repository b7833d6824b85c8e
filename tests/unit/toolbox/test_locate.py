from pathlib import Path

import pytest

from chaosctl.toolbox import locate
from chaosctl.toolbox.locate import Locator
from chaosctl.toolbox.table import BUNDLES, Bundle, Tool

PAIR = Bundle("pair", "1.0", (Tool("one", (), (1,)), Tool("two", (), (1,))), "")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on the PATH besides the shell's own."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(locate, "SBIN", ())
    return tmp_path


def program(path: Path, says: str) -> None:
    path.write_text(f'#!/bin/sh\necho run >> "$0.runs"\necho {says}\n')
    path.chmod(0o755)


def runs(path: Path) -> int:
    counted = path.with_name(f"{path.name}.runs")
    return len(counted.read_text().splitlines()) if counted.exists() else 0


def find(place: Path) -> dict[str, locate.Located]:
    return Locator(place / "probes.json").find_all((PAIR,))["pair"]


def test_suitable_programs_are_found(place: Path) -> None:
    program(place / "one", "v1.5")
    program(place / "two", "v1.6.7")
    assert {name: found.version for name, found in find(place).items()} == {"one": "1.5", "two": "1.6.7"}


def test_half_a_bundle_is_none(place: Path) -> None:
    program(place / "one", "v1.5")
    assert find(place) == {}


def test_one_old_program_spoils_the_bundle(place: Path) -> None:
    program(place / "one", "v1.5")
    program(place / "two", "v0.9")
    assert find(place) == {}


def test_program_that_does_not_run_is_not_suitable(place: Path) -> None:
    program(place / "one", "v1.5")
    (place / "two").write_text("#!/no/such/interpreter\n")
    (place / "two").chmod(0o755)
    assert find(place) == {}


def test_programs_are_asked_once(place: Path) -> None:
    program(place / "one", "v1.5")
    program(place / "two", "v1.5")
    find(place), find(place)
    assert runs(place / "one") == 1


def test_changed_programs_are_asked_again(place: Path) -> None:
    program(place / "one", "v1.5")
    program(place / "two", "v1.5")
    find(place)
    program(place / "one", "v1.5.1")
    assert find(place)["one"].version == "1.5.1"


def test_a_program_that_did_not_answer_is_asked_again(place: Path) -> None:
    program(place / "one", "v1.5")
    program(place / "two", '"$([ -e "$0.awake" ] && echo v1.6.7)"')
    assert find(place) == {}
    (place / "two.awake").touch()
    assert find(place)["two"].version == "1.6.7"


def test_damaged_memory_does_no_harm(place: Path) -> None:
    (place / "probes.json").write_text("{")
    program(place / "one", "v1.5")
    program(place / "two", "v1.5")
    assert len(find(place)) == 2


def test_memory_that_cannot_be_written_does_no_harm(place: Path) -> None:
    program(place / "one", "v1.5")
    program(place / "two", "v1.5")
    assert Locator(place / "one" / "probes.json").find_all((PAIR,))["pair"]


def test_terraform_is_asked_without_the_users_configuration(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/no/such/file")
    program(place / "terraform", '"Terraform v1.12.0 $TF_CLI_CONFIG_FILE"')
    terraform = next(b for b in BUNDLES if b.name == "terraform")
    assert Locator(place / "probes.json").find_all((terraform,))["terraform"]


def test_cni_is_a_directory_with_all_plugins(tmp_path: Path) -> None:
    cni = next(b for b in BUNDLES if b.name == "cni")
    here = Bundle("cni", "1", cni.tools, "", cni.download, system_directories=(str(tmp_path),))
    for name in ("loopback", "ptp"):
        program(tmp_path / name, "")
    assert Locator(tmp_path / "probes.json").find_all((here,))["cni"] == {}
    program(tmp_path / "host-local", "")
    assert Locator(tmp_path / "probes.json").find_all((here,))["cni"]["cni"].path == tmp_path
