from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from tests.contract.aws.conftest import Lab


class Unreliable(ThreadingHTTPServer):
    """Stands before the lab's AWS; the first answer of each connection's request does not arrive."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.passed = urlsplit(upstream).netloc, list[str]()


class _Handler(BaseHTTPRequestHandler):
    server: Unreliable

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        behind = http.client.HTTPConnection(self.server.upstream)
        behind.request("POST", self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        self.server.passed.append(self.headers["amz-sdk-request"])
        self.close_connection = True
        if len(self.server.passed) > 1:
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def unreliable(lab: Lab) -> Iterator[Unreliable]:
    server = Unreliable(lab.url)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_was_done_is_not_done_again_when_only_its_answer_was_lost(lab: Lab, unreliable: Unreliable) -> None:
    kms = lab.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    port = unreliable.server_port
    patient = Config(retries={"mode": "standard", "total_max_attempts": 2})
    lab.client("kms", endpoint_url=f"http://127.0.0.1:{port}", config=patient).create_alias(
        AliasName="alias/once", TargetKeyId=key
    )
    assert [attempt.partition(";")[0] for attempt in unreliable.passed] == ["attempt=1", "attempt=2"]
    assert [a["AliasName"] for a in kms.list_aliases(KeyId=key)["Aliases"]] == ["alias/once"]


def test_another_call_of_the_same_kind_is_another_one(lab: Lab) -> None:
    kms = lab.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/once", TargetKeyId=key)
    with pytest.raises(kms.exceptions.AlreadyExistsException):
        kms.create_alias(AliasName="alias/once", TargetKeyId=key)
