"""One connection to the service, with at most one request under way. Non-blocking, driven by a selector."""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import struct
from typing import Protocol

from chaosctl.chaos import requests as r
from chaosctl.chaos.prober import http1
from chaosctl.chaos.prober.resolver import Address

PIECE = 65_536  # bytes read at once
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, so that no local port waits in TIME_WAIT

# What this machine refused, not the service: no verdict about the service follows.
LOCAL_TROUBLE = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EACCES,
        errno.EPERM,
        errno.ENETDOWN,
        errno.ENETUNREACH,
    }
)


class Job:
    """A scheduled request. Times in microseconds."""

    __slots__ = ("connection", "done", "intended", "lag", "number")

    def __init__(self, number: int, intended: int, lag: int) -> None:
        self.number, self.intended, self.lag = number, intended, lag
        self.connection: Connection | None = None
        self.done = False


class Owner(Protocol):
    """What a connection tells about itself."""

    def ended(self, connection: Connection, job: Job, outcome: str) -> None:
        """The job ended with this outcome; the connection is still open if the answer was whole."""

    def judge(self, response: http1.Response) -> str:
        """The outcome that a whole response stands for."""


class Connection:
    """Connects, shakes hands when `tls` is given, sends `message`, reads one answer; then waits for the next job."""

    __slots__ = (
        "_fd",
        "_interest",
        "_pending",
        "_selector",
        "_server",
        "_tls",
        "address",
        "job",
        "owner",
        "response",
        "sock",
    )

    def __init__(
        self,
        owner: Owner,
        selector: selectors.BaseSelector,
        address: Address,
        tls: tuple[ssl.SSLContext, str] | None,
    ) -> None:
        self.owner, self.address = owner, address
        self.job: Job | None = None
        self.response = http1.Response()
        self._selector = selector
        self._tls = tls
        self._pending = b""
        self._interest = 0
        self.sock: socket.socket | None = socket.socket(address[0], socket.SOCK_STREAM)
        self._fd = self.sock.fileno()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self) -> None:
        """Begin to connect. Raises OSError when that fails at once."""
        assert self.sock is not None
        status = self.sock.connect_ex(self.address[1])
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, "connect")

    def send(self, job: Job, message: bytes) -> None:
        """Start this request; it goes out as soon as the connection stands."""
        self.job, job.connection = job, self
        self.response = http1.Response()
        self._pending = message
        self.ready()

    def ready(self) -> None:
        """The socket can be read or written: go on as far as possible."""
        try:
            if self._pending:
                self._push()
            else:
                self._pull()
        except (BlockingIOError, InterruptedError):
            self._want(selectors.EVENT_WRITE if self._pending else selectors.EVENT_READ)
        except ssl.SSLWantReadError:
            self._want(selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._want(selectors.EVENT_WRITE)
        except http1.BadResponse:
            self._fail(r.GARBAGE)
        except OSError as error:
            self._fail(why(error))

    def _want(self, interest: int) -> None:
        if interest == self._interest:
            return
        if self._interest:
            self._selector.modify(self._fd, interest, self)
        else:
            self._selector.register(self._fd, interest, self)
        self._interest = interest

    def _push(self) -> None:
        assert self.sock is not None
        if self._tls is not None:
            self._shake_hands()
        sent = self.sock.send(self._pending)
        self._pending = self._pending[sent:]
        self._want(selectors.EVENT_WRITE if self._pending else selectors.EVENT_READ)

    def _shake_hands(self) -> None:
        assert self.sock is not None and self._tls is not None
        if not isinstance(self.sock, ssl.SSLSocket):
            if not _connected(self.sock):
                self.sock.send(b"")  # raises why it is not connected, when it will never be
                raise BlockingIOError
            context, name = self._tls
            self.sock = context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
        self.sock.do_handshake()
        self._tls = None

    def _pull(self) -> None:
        """Read what is there. TLS may hold more than the selector knows of, so it is read until it has to wait."""
        while self.sock is not None:
            data = self.sock.recv(PIECE)
            if not data:
                self._closed()
            elif self.job is None:
                self.close(abort=True)  # nobody asked: no later answer on this connection can be trusted
            else:
                self._take(data)
            if not isinstance(self.sock, ssl.SSLSocket):
                return

    def _take(self, data: bytes) -> None:
        self.response.feed(data)
        if self.response.done:
            self._end(self.owner.judge(self.response))

    def _closed(self) -> None:
        if self.job is None:
            self.close()
            return
        self.response.closed()
        outcome = self.owner.judge(self.response) if self.response.done else r.CLOSED
        self.close()
        self._end(outcome)

    def _fail(self, outcome: str) -> None:
        self.close(abort=True)
        self._end(outcome)

    def _end(self, outcome: str) -> None:
        job, self.job = self.job, None
        if job is not None:
            job.connection = None
            self.owner.ended(self, job, outcome)

    @property
    def open(self) -> bool:
        """Whether it can still be used."""
        return self.sock is not None

    def rest(self) -> None:
        """No event of it matters any more; it waits to be closed."""
        if self._interest:
            self._selector.unregister(self._fd)
            self._interest = 0

    def close_after_server(self) -> None:
        """Close it; with a reset when the server has not closed it first, as it was asked to."""
        if self.sock is None:
            return
        try:
            closed = self.sock.recv(1) == b""
        except (ssl.SSLError, OSError):
            closed = False
        self.close(abort=not closed)

    def close(self, *, abort: bool = False) -> None:
        """Close it now."""
        if self.sock is None:
            return
        self.rest()
        if abort:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.sock.close()
        self.sock = None


def _connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def why(error: OSError) -> str:
    """The outcome that an error of the socket stands for."""
    if isinstance(error, ssl.SSLError):
        return r.TLS
    if error.errno in LOCAL_TROUBLE:
        return r.UNSENT
    if error.errno == errno.ECONNREFUSED:
        return r.REFUSED
    if error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return r.RESET
    return r.UNREACHABLE
