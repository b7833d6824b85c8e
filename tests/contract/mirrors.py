"""A chart repository and an image registry on loopback, as Helm and containerd talk to them over plain HTTP."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@contextmanager
def _served(handler: Any) -> Iterator[tuple[str, ThreadingHTTPServer]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", server
    finally:
        server.shutdown()
        server.server_close()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def chart_repository(directory: Path, charts: Mapping[str, Path]) -> Iterator[str]:
    """Serve these charts, each under the name and the version of its Chart.yaml; the URL of the repository."""
    entries = {name: [_packed(directory, name, chart)] for name, chart in charts.items()}
    (directory / "index.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "entries": entries}))
    with _served(partial(_Files, directory=str(directory))) as (address, _):
        yield f"http://{address}"


def _packed(directory: Path, name: str, chart: Path) -> dict[str, Any]:
    facts = yaml.safe_load((chart / "Chart.yaml").read_text())
    archive = directory / f"{name}-{facts['version']}.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(chart, arcname=name)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return {**facts, "name": name, "urls": [archive.name], "digest": digest}


class Registry:
    """Images of docker-archives by repository and tag; `pulled` are the repositories whose manifests were asked for."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[tuple[str, str], str] = {}
        self.pulled: list[str] = []

    def add(self, archive: Path, names: Mapping[str, str]) -> None:
        """Take images from an archive: `names` says as which repository each name there is served."""
        with tarfile.open(archive) as tar:

            def member(name: str) -> bytes:
                file = tar.extractfile(name)
                assert file is not None
                return file.read()

            for image in json.loads(member("manifest.json")):
                name, _, tag = image["RepoTags"][0].rpartition(":")
                if name in names:
                    layers = [self._keep(member(layer), LAYER) for layer in image["Layers"]]
                    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers}
                    manifest["config"] = self._keep(member(image["Config"]), CONFIG)
                    self.tags[names[name], tag] = str(self._keep(json.dumps(manifest).encode(), MANIFEST)["digest"])

    def _keep(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return {"mediaType": kind, "size": len(content), "digest": digest}


@contextmanager
def registry() -> Iterator[tuple[str, Registry]]:
    """An empty registry; its address, without a scheme."""
    known = Registry()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            repository, kind, wanted = ["", *self.path.removeprefix("/v2/").rsplit("/", 2)][-3:]
            digest = known.tags.get((repository, wanted), wanted) if kind == "manifests" else wanted
            if kind == "manifests":
                known.pulled.append(repository)
            content = b"{}" if self.path == "/v2/" else known.blobs.get(digest)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", MANIFEST if kind == "manifests" else "application/octet-stream")
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET

    with _served(Handler) as (address, _):
        yield address, known
