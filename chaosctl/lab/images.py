"""The container images of the lab, built from what is on this machine: no registry, no container build tool."""

from __future__ import annotations

import platform
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import chaosctl
from chaosctl.lab import image_archive, python_runtime
from chaosctl.lab.image_archive import Entry, Image, Layer
from chaosctl.lab.layout import Layout
from chaosctl.lab.standins import dependencies

PAUSE = "chaosctl.lab/pause:1"
COREDNS = "chaosctl.lab/coredns:1"
METRICS_SERVER = "chaosctl.lab/metrics-server:1"
PYTHON = "chaosctl.lab/python:1"
BACKEND = "docker.io/lucasscrt/chaotic-backend:latest"
AUTOSCALER = "registry.k8s.io/autoscaling/cluster-autoscaler:v1.36.1"
CONTROLLER = "public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0"

_APP = "/app"
_LOADED_AT = 0x400000

# Wait for a signal, for ever. The kernel's number of pause(2) is 34; arm64 has ppoll(2), 73, with no files and no end.
_MACHINE_CODE = {
    "x86_64": (62, bytes.fromhex("b822000000 0f05 ebf7")),
    "aarch64": (
        183,
        struct.pack("<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA),
    ),
}


def build(layout: Layout, tools: Mapping[str, Path]) -> tuple[Path, ...]:
    """Archives of all images, in layout.images; what has not changed since the last time is not built again.

    `tools` has coredns and metrics-server. Safe when two runs build at once: archives appear whole or not at all.
    """
    layout.images.mkdir(parents=True, exist_ok=True)
    return (
        _archive(layout.images, "python", (pause(), *python_images())),
        _archive(layout.images, "coredns", (_single_program(COREDNS, tools["coredns"]),)),
        _archive(layout.images, "metrics-server", (_single_program(METRICS_SERVER, tools["metrics-server"]),)),
    )


def _archive(directory: Path, name: str, images: Sequence[Image]) -> Path:
    archive = directory / f"{name}-{image_archive.identity(images)}.tar"
    if not archive.is_file():
        image_archive.write(archive, images)
        for outdated in directory.glob(f"{name}-*.tar"):
            if outdated != archive:
                outdated.unlink(missing_ok=True)
    return archive


def pause() -> Image:
    """What holds a pod's namespaces: a program of under 200 bytes that sleeps."""
    machine, code = _MACHINE_CODE[platform.machine()]
    size = 64 + 56 + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, _LOADED_AT + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOADED_AT, _LOADED_AT, size, size, 0x1000)
    return Image(PAUSE, (Layer((Entry("/pause", header + segment + code, 0o755),)),), ("/pause",))


def _single_program(name: str, program: Path) -> Image:
    entries = (
        Entry(f"/{program.name}", program, 0o755),
        Entry("/tmp", None, 0o1777),  # noqa: S108 - the image's, not this machine's
        *python_runtime.shared_objects([program]),
    )
    environment = {"LD_LIBRARY_PATH": python_runtime.SHARED_OBJECTS}
    return Image(name, (Layer(entries),), (f"/{program.name}",), environment=environment)


def python_images() -> tuple[Image, Image, Image, Image]:
    """Backend, controller, autoscaler, and what chaos helpers run in, on one interpreter."""
    runtime = python_runtime.layer()
    environment = {**python_runtime.ENVIRONMENT, "PYTHONPATH": _APP}
    backend = Image(
        BACKEND,
        (runtime, _code("standins/backend.py")),
        (python_runtime.PROGRAM, "-S", "-m", "chaosctl.lab.standins.backend"),
        user="1000:1000",
        environment=environment,
        ports=("3000/tcp",),
    )
    aws_sdk = Layer(tuple(dependencies.entries(_APP)))
    controller = Image(
        CONTROLLER,
        (runtime, aws_sdk, _code("standins/incluster", "standins/controller")),
        (python_runtime.PROGRAM, "-S", "-m", "chaosctl.lab.standins.controller"),
        environment=environment,
        ports=("9443/tcp", "61779/tcp"),
    )
    autoscaler = Image(
        AUTOSCALER,
        (runtime, aws_sdk, _code("standins/incluster", "standins/autoscaler")),
        (python_runtime.PROGRAM, "-S", "-m", "chaosctl.lab.standins.autoscaler"),
        environment=environment,
        ports=("8085/tcp",),
    )
    bare = Image(PYTHON, (runtime,), (python_runtime.PROGRAM,), environment=python_runtime.ENVIRONMENT)
    return backend, controller, autoscaler, bare


def _code(*parts: str) -> Layer:
    """Modules of chaosctl.lab, given by path, with the packages around them."""
    package = Path(chaosctl.__file__).parent
    sources = [package / "__init__.py", package / "lab/__init__.py", package / "lab/standins/__init__.py"]
    for part in parts:
        path = package / "lab" / part
        sources += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return Layer(tuple(e for s in sources for e in python_runtime.module(s, f"{_APP}/chaosctl", package)))
