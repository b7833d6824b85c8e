from pathlib import Path

import pytest

from chaosctl.toolbox import providers
from chaosctl.toolbox.store import architecture

AWS = "registry.terraform.io/hashicorp/aws"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose usual places are below one directory, and empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "shared"))
    monkeypatch.setenv("CHAOSCTL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(providers, "PARENTS", (str(tmp_path / "opt"),))
    return tmp_path


def unpacked(mirror: Path, provider: str = AWS, kind: str = "") -> Path:
    (mirror / provider / "5.100.0" / (kind or f"linux_{architecture()}")).mkdir(parents=True)
    return mirror


@pytest.mark.parametrize("place", ["home/.terraform.d/plugins", "data/terraform/plugins", "shared/terraform/plugins"])
def test_terraforms_own_places(machine: Path, place: str) -> None:
    mirror = unpacked(machine / place)
    assert providers.mirrors() == [mirror]


def test_one_level_below_the_usual_directories(machine: Path) -> None:
    mirror = unpacked(machine / "opt" / "whatever")
    assert providers.mirrors() == [mirror]


def test_packed_providers_count(machine: Path) -> None:
    archive = machine / "opt" / "m" / AWS / f"terraform-provider-aws_5.100.0_linux_{architecture()}.zip"
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert providers.addresses(machine / "opt" / "m") == [AWS]


def test_providers_for_another_machine_do_not(machine: Path) -> None:
    unpacked(machine / "opt" / "m", kind="plan9_mips")
    assert providers.mirrors() == []


def test_without_a_mirror_the_registry_is_asked(machine: Path) -> None:
    assert "provider_installation" not in providers.cli_config(machine / "work").read_text()


def test_mirror_is_used_for_what_it_has_and_nothing_else(machine: Path) -> None:
    mirror = unpacked(machine / "opt" / "m")
    text = providers.cli_config(machine / "work").read_text()
    assert f'path    = "{mirror}"\n    include = ["{AWS}"]' in text
    assert f'direct {{\n    exclude = ["{AWS}"]' in text


def test_mirror_without_the_locked_version_is_not_asked(machine: Path) -> None:
    (machine / "opt" / "old" / AWS / "4.67.0" / f"linux_{architecture()}").mkdir(parents=True)
    mirror = unpacked(machine / "opt" / "other")
    text = providers.cli_config(machine / "work").read_text()
    assert providers.mirrors() == [mirror]
    assert "opt/old" not in text


def test_archive_of_another_version_does_not_count(machine: Path) -> None:
    archive = machine / "opt" / "m" / AWS / f"terraform-provider-aws_4.67.0_linux_{architecture()}.zip"
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert "provider_installation" not in providers.cli_config(machine / "work").read_text()


def test_two_mirrors_do_not_repeat_each_other(machine: Path) -> None:
    unpacked(machine / "opt" / "a")
    unpacked(unpacked(machine / "opt" / "b"), "registry.terraform.io/hashicorp/tls")
    text = providers.cli_config(machine / "work").read_text()
    assert text.count("filesystem_mirror") == 2
    assert text.count(f'include = ["{AWS}"]') == 1


def test_plugin_cache_exists(machine: Path) -> None:
    providers.cli_config(machine / "work")
    assert (machine / "cache" / "terraform-plugins").is_dir()
