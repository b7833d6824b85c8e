from __future__ import annotations

from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.chaos.prober.http1 import BadResponse, Response, request

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: z\r\n\r\n"
WHOLE = [(PLAIN, b'{"a":1}'), (CHUNKED, b"abcdefg"), (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, b'{"a":1}')]


def read(*pieces: bytes) -> Response:
    response = Response()
    for piece in pieces:
        response.feed(piece)
    return response


@given(st.sampled_from(WHOLE), st.sets(st.integers(1, 120)))
def test_an_answer_is_the_same_however_it_is_cut(case: tuple[bytes, bytes], cuts: set[int]) -> None:
    data, body = case
    edges = [0, *sorted(c for c in cuts if c < len(data)), len(data)]
    response = read(*(data[a:b] for a, b in pairwise(edges)))
    assert (response.done, response.status, response.body, response.reusable) == (True, 200, body, True)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    response = read(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def")
    response.closed()
    assert (response.done, response.body, response.reusable) == (True, b"abcdef", False)


@pytest.mark.parametrize("cut", [PLAIN[:-1], CHUNKED[:-8], b"HTTP/1.1 2"])
def test_half_an_answer_is_no_answer(cut: bytes) -> None:
    response = read(cut)
    response.closed()
    assert not response.done


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"Content-Length: 3\r\n"])
def test_a_connection_that_cannot_be_trusted_is_not_reused(head: bytes) -> None:
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + head + b"\r\nabcdef"
    assert not read(extra).reusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"a" * 70_000,
        CHUNKED.replace(b"3\r", b"q\r"),
    ],
)
def test_what_is_no_http_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(BadResponse):
        read(data)


def test_the_request_names_host_and_query_and_keeps_credentials_out() -> None:
    text = request(urlsplit("http://u:p@h:81/a?b=c"), keep_alive=False)
    assert text.startswith(b"GET /a?b=c HTTP/1.1\r\nHost: h:81\r\n")
    assert b"Connection: close" in text and b"u:p" not in text
