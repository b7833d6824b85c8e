"""Images: what is in the archives, that the same input gives the same bytes, and that nothing is built twice."""

import json
import platform
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chaosctl.adapters import process
from chaosctl.lab import images, python_runtime
from chaosctl.lab.image_archive import Entry, Image, Layer, identity, write
from chaosctl.lab.layout import Layout
from chaosctl.lab.standins import dependencies


def manifest(archive: Path) -> list[dict[str, Any]]:
    with tarfile.open(archive) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        return list(json.load(file))


def test_layers_are_shared_and_bytes_repeat(tmp_path: Path) -> None:
    base, top = Layer((Entry("/etc/x", b"1"),)), Layer((Entry("/app/y", b"2"),))
    made = [Image("a:1", (base,), ("/x",)), Image("b:1", (base, top), ("/x",))]
    for name in ("one", "two"):
        write(tmp_path / name, made)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    first, second = manifest(tmp_path / "one")
    assert first["Layers"][0] == second["Layers"][0]
    with tarfile.open(tmp_path / "one") as tar:
        assert sum(name.endswith("layer.tar") for name in tar.getnames()) == 2


def test_a_layer_has_its_directories_with_their_modes(tmp_path: Path) -> None:
    write(tmp_path / "a", [Image("a:1", (Layer((Entry("/tmp", None, 0o1777), Entry("/a/b/c", b""))),), ("/c",))])
    with tarfile.open(tmp_path / "a") as tar:
        layer = tar.extractfile(manifest(tmp_path / "a")[0]["Layers"][0])
        with tarfile.open(fileobj=layer) as inner:
            modes = {member.name: (member.isdir(), member.mode) for member in inner}
    assert modes == {"a": (True, 0o755), "a/b": (True, 0o755), "a/b/c": (False, 0o644), "tmp": (True, 0o1777)}


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    broken = Image("a:1", (Layer((Entry("/x", partial(bytes.fromhex, "no hex")),)),), ("/x",))
    with pytest.raises(ValueError, match="hexadecimal"):
        write(tmp_path / "a.tar", [broken])
    assert list(tmp_path.iterdir()) == []


def test_identity_follows_files(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    image = Image("a:1", (Layer((Entry("/x", file),)),), ("/x",))
    before = identity([image])
    file.write_text("12")
    assert identity([image]) != before


def test_pause_is_a_tiny_program_that_waits(tmp_path: Path) -> None:
    (entry,) = images.pause().layers[0].entries
    assert isinstance(entry.content, bytes)
    assert len(entry.content) < 200
    program = tmp_path / "pause"
    program.write_bytes(entry.content)
    program.chmod(0o755)
    assert process.run(["timeout", "0.2", program], check=False).status == 124  # still there when time was up


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_pause_for_each_machine(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    (entry,) = images.pause().layers[0].entries
    assert isinstance(entry.content, bytes)
    assert entry.content[:4] == b"\x7fELF"
    assert int.from_bytes(entry.content[18:20], "little") == {"x86_64": 62, "aarch64": 183}[machine]


def test_build_makes_each_image_once(tmp_path: Path) -> None:
    tools = {name: tmp_path / name for name in ("coredns", "metrics-server")}
    for tool in tools.values():
        tool.write_bytes(b"#!")
    layout = Layout(tmp_path / "lab")
    archives = images.build(layout, tools)
    names = {name for archive in archives for image in manifest(archive) for name in image["RepoTags"]}
    assert names == {
        images.PAUSE,
        images.AUTOSCALER,
        images.BACKEND,
        images.CONTROLLER,
        images.COREDNS,
        images.METRICS_SERVER,
        images.PYTHON,
    }
    stamps = [archive.stat().st_mtime_ns for archive in archives]
    tools["coredns"].write_bytes(b"#!changed")
    again = images.build(layout, tools)
    assert [archive.stat().st_mtime_ns for archive in again][::2] == stamps[::2]
    assert sorted(layout.images.iterdir()) == sorted(again)


def test_the_interpreter_runs_from_its_layers(tmp_path: Path) -> None:
    """Unpacked elsewhere, with only its own libraries: it imports what the stand-ins do."""
    _, controller, autoscaler, _ = images.python_images()
    for layer in (*controller.layers, autoscaler.layers[-1]):
        _unpack(layer, tmp_path)
    inside = {
        key: value.replace("/usr/local", f"{tmp_path}/usr/local") for key, value in controller.environment.items()
    }
    inside["PYTHONPATH"] = f"{tmp_path}/app"
    code = (
        "import ssl, chaosctl.lab.standins.controller.__main__, chaosctl.lab.standins.autoscaler.__main__, botocore;"
        "print(botocore.__file__, ssl.__file__)"
    )
    printed = process.run([f"{tmp_path}{python_runtime.PROGRAM}", "-S", "-c", code], env=inside).stdout
    assert printed.split() == [
        f"{tmp_path}/app/botocore/__init__.py",
        f"{tmp_path}{python_runtime.LIBRARY}/ssl.py",
    ]


def _unpack(layer: Layer, root: Path) -> None:
    for entry in layer.entries:
        path = Path(f"{root}{entry.path}")
        if entry.content is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        content = entry.content
        path.write_bytes(
            content if isinstance(content, bytes) else content.read_bytes() if isinstance(content, Path) else content()
        )
        path.chmod(entry.mode)


def test_reduced_models_keep_what_is_reachable() -> None:
    model = {
        "version": "2",
        "metadata": {},
        "operations": {"A": {"input": {"shape": "In"}, "documentation": "long"}, "B": {"input": {"shape": "Other"}}},
        "shapes": {
            "In": {"type": "structure", "members": {"documentation": {"shape": "Text"}}, "documentation": "long"},
            "Text": {"type": "string"},
            "Other": {"type": "string"},
        },
    }
    small = dependencies.reduced(model, ["A"])
    assert small["operations"] == {"A": {"input": {"shape": "In"}}}
    assert small["shapes"] == {
        "In": {"type": "structure", "members": {"documentation": {"shape": "Text"}}},
        "Text": {"type": "string"},
    }
