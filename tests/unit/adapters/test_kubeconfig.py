from __future__ import annotations

import difflib
import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.adapters import kubeconfig
from chaosctl.adapters.kubeconfig import Entry, file_for, files, remove, upsert, without, write
from chaosctl.errors import Busy, PreconditionFailed
from tests.unit.adapters.kubeconfig_writers import THEIRS

ENTRY = Entry(
    "chaosctl-lab-default", "https://127.77.0.2", "Q0E=", {"exec": {"command": "/bin/chaosctl", "args": ["token"]}}
)

INDENTED = """\
apiVersion: v1
kind: Config
clusters:
    - name: prod
      cluster:
        server: https://prod.example
contexts:
    - name: prod
      context: {cluster: prod, user: prod}
users:
    - name: prod
      user: {}
"""


def lost_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("- ")]


def names(text: str, key: str) -> list[str]:
    return [item["name"] for item in yaml.safe_load(text)[key] or ()]


def test_an_empty_file_gets_a_whole_kubeconfig() -> None:
    data = yaml.safe_load(upsert("", ENTRY))
    assert data["kind"] == "Config"
    assert data["clusters"][0]["cluster"]["server"] == ENTRY.server
    assert data["contexts"][0]["context"] == {"cluster": ENTRY.name, "user": ENTRY.name}
    assert data["users"][0]["user"] == ENTRY.user


def test_other_lines_keep_their_bytes() -> None:
    assert lost_lines(THEIRS, upsert(THEIRS, ENTRY)) == []


def test_adding_and_removing_gives_back_the_same_bytes() -> None:
    assert without(upsert(THEIRS, ENTRY), ENTRY.name) == THEIRS


def test_adding_and_removing_gives_back_the_same_bytes_with_indented_lists() -> None:
    assert without(upsert(INDENTED, ENTRY), ENTRY.name) == INDENTED


def test_the_namespace_is_in_the_context() -> None:
    text = upsert(THEIRS, Entry("x", "https://x", "", {}, namespace="shop"))
    assert yaml.safe_load(text)["contexts"][-1]["context"]["namespace"] == "shop"


def test_a_second_time_changes_nothing() -> None:
    once = upsert(THEIRS, ENTRY)
    assert upsert(once, ENTRY) == once


def test_a_new_address_replaces_the_old_entry_in_place() -> None:
    moved = Entry(ENTRY.name, "https://127.77.0.9", ENTRY.ca, ENTRY.user)
    text = upsert(upsert(THEIRS, ENTRY), moved)
    assert names(text, "clusters") == ["prod", "dev", ENTRY.name]
    assert "127.77.0.9" in text
    assert "127.77.0.2" not in text


def test_the_current_context_stays_unless_asked() -> None:
    assert yaml.safe_load(upsert(THEIRS, ENTRY))["current-context"] == "prod"
    assert yaml.safe_load(upsert(THEIRS, ENTRY, switch=True))["current-context"] == ENTRY.name


def test_switching_touches_one_line() -> None:
    before, after = upsert(THEIRS, ENTRY).splitlines(), upsert(THEIRS, ENTRY, switch=True).splitlines()
    assert [b for b, a in zip(before, after, strict=True) if b != a] == ["current-context: prod"]


def test_removing_the_current_context_clears_it() -> None:
    text = without(upsert(THEIRS, ENTRY, switch=True), ENTRY.name)
    assert yaml.safe_load(text)["current-context"] == ""


@pytest.mark.parametrize("empty", ["[]", "null", ""])
def test_empty_lists_in_flow_style_are_filled(empty: str) -> None:
    text = f"apiVersion: v1\nkind: Config\nclusters: {empty}\ncontexts: {empty}\nusers: {empty}\n"
    assert names(upsert(text, ENTRY), "clusters") == [ENTRY.name]


def test_json_is_yaml_too() -> None:
    text = '{"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "a", "cluster": {"server": "https://a"}}]}'
    assert names(upsert(text, ENTRY), "clusters") == ["a", ENTRY.name]


def test_a_file_that_does_not_end_with_a_newline() -> None:
    text = upsert(THEIRS.rstrip("\n"), ENTRY)
    assert names(text, "users") == ["prod", ENTRY.name]


def test_the_last_entry_can_be_removed() -> None:
    text = without(upsert("", ENTRY), ENTRY.name)
    assert not yaml.safe_load(text)["clusters"]
    assert names(upsert(text, ENTRY), "clusters") == [ENTRY.name]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text("abcdefg-", min_size=1, max_size=8), unique=True, max_size=3))
def test_others_mean_the_same_afterwards(others: list[str]) -> None:
    text = ""
    for other in others:
        text = upsert(text, Entry(other, f"https://{other}", "", {"token": other}))
    before = yaml.safe_load(text) or {}
    after = yaml.safe_load(without(upsert(text, ENTRY), ENTRY.name))
    assert [before.get(key) or [] for key in kubeconfig.LISTS] == [after.get(key) or [] for key in kubeconfig.LISTS]


def test_the_file_is_private_and_its_directory_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    assert write(path, ENTRY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not write(path, ENTRY)


def test_a_symlink_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text(THEIRS)
    link.symlink_to(real)
    write(link, ENTRY)
    assert link.is_symlink()
    assert ENTRY.name in real.read_text()


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    write(tmp_path / "config", ENTRY)
    assert [p.name for p in tmp_path.iterdir()] == ["config"]


def test_a_file_that_is_no_yaml_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("clusters: [\n")
    with pytest.raises(PreconditionFailed) as caught:
        write(path, ENTRY)
    assert caught.value.code == "KUBECONFIG-MALFORMED"
    assert path.read_text() == "clusters: [\n"


def test_a_list_at_the_top_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("- a\n")
    with pytest.raises(PreconditionFailed):
        write(tmp_path / "config", ENTRY)


def test_the_lock_of_kubectl_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "LOCK_SECONDS", 0.1)
    (tmp_path / "config.lock").touch()
    with pytest.raises(Busy) as caught:
        write(tmp_path / "config", ENTRY)
    assert caught.value.code == "KUBECONFIG-LOCKED"


def test_an_entry_comes_and_goes_in_one_of_several_files_behind_a_symlink(
    tmp_path: Path,
) -> None:
    real, link, other = tmp_path / "real", tmp_path / "link", tmp_path / "other"
    real.write_text(THEIRS)
    other.write_text(INDENTED)
    link.symlink_to(real)
    several = files({"KUBECONFIG": f"{tmp_path / 'missing'}:{link}:{other}"})
    write(file_for(ENTRY.name, several), ENTRY)
    assert lost_lines(THEIRS, real.read_text()) == []
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert [remove(path, ENTRY.name) for path in several] == [False, True, False]
    assert (real.read_text(), other.read_text(), link.is_symlink()) == (THEIRS, INDENTED, True)


def test_removing_from_a_file_that_does_not_exist(tmp_path: Path) -> None:
    assert not remove(tmp_path / "config", ENTRY.name)
    assert not (tmp_path / "config").exists()


def test_files_come_from_the_variable_in_order() -> None:
    assert files({"KUBECONFIG": "/a:/b::/a"}) == [Path("/a"), Path("/b")]


def test_without_the_variable_it_is_the_one_at_home() -> None:
    assert files({}) == [Path.home() / ".kube" / "config"]


def test_a_new_entry_goes_into_the_first_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "b").write_text(THEIRS)
    assert file_for("x", [tmp_path / "a", tmp_path / "b"]) == tmp_path / "b"


def test_a_new_entry_goes_into_the_last_file_when_none_exists(tmp_path: Path) -> None:
    assert file_for("x", [tmp_path / "a", tmp_path / "b"]) == tmp_path / "b"


def test_a_known_entry_is_updated_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(THEIRS)
    (tmp_path / "b").write_text(upsert(THEIRS, ENTRY))
    assert file_for(ENTRY.name, [tmp_path / "a", tmp_path / "b"]) == tmp_path / "b"


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full", "/sys/nowhere/config", "/dev/null/config"])
def test_places_that_are_not_for_files_stay_as_they_are(path: str) -> None:
    before = Path("/dev/null").stat()
    with pytest.raises(PreconditionFailed) as caught:
        write(Path(path), ENTRY)
    assert caught.value.code == "KUBECONFIG-READONLY"
    assert Path("/dev/null").stat().st_ino == before.st_ino
