from pathlib import Path

import pytest

from chaosctl.events import Event, Waiting, ignore
from chaosctl.toolbox import store as store_module
from chaosctl.toolbox.store import Store
from chaosctl.toolbox.table import Bundle, Tool

BUNDLE = Bundle("pair", "1.0", (Tool("one", ()), Tool("two", ())), "")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def install(store: Store) -> dict[str, Path]:
    staged = store.stage(BUNDLE) / "bin"
    for name in ("one", "two"):
        (staged / name).write_text(name)
    return store.land(BUNDLE, "download", "1.0").paths


def test_nothing_is_installed_at_first(store: Store) -> None:
    assert store.installed(BUNDLE) is None


def test_what_landed_is_installed(store: Store) -> None:
    paths = install(store)
    found = store.installed(BUNDLE)
    assert found is not None
    assert (found.paths, found.origin, paths["two"].read_text()) == (paths, "download", "two")


def test_what_is_staged_is_not_installed(store: Store) -> None:
    (store.stage(BUNDLE) / "bin" / "one").write_text("half")
    assert store.installed(BUNDLE) is None


def test_staging_forgets_what_a_killed_run_left(store: Store) -> None:
    (store.stage(BUNDLE) / "bin" / "rest").touch()
    assert list((store.stage(BUNDLE) / "bin").iterdir()) == []


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_text(""), lambda p: p.write_text("longer")])
def test_damaged_tools_count_as_missing_and_are_replaced(store: Store, damage) -> None:  # type: ignore[no-untyped-def]
    damage(install(store)["one"])
    assert store.installed(BUNDLE) is None
    install(store)
    assert store.installed(BUNDLE) is not None


def test_another_pin_is_another_place(store: Store) -> None:
    newer = Bundle("pair", "1.1", BUNDLE.tools, "")
    install(store)
    assert store.installed(newer) is None


def test_waiting_for_another_run_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PATIENCE", 0.05)
    held = store.lock("pair", ignore)
    said: list[Event] = []

    def listen(event: Event) -> None:
        said.append(event)
        held.release()

    store.lock("pair", listen).release()
    assert isinstance(said[0], Waiting)
    assert "another run" in said[0].what
