"""The backend stand-in: its moods, and its HTTP over a real socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from chaosctl.lab.standins.backend import Backend, BadAnswers, BadRequest, Habits, Moods, Server, parse_head

ROUTES = ("/", "/health/live", "/health/ready", "/probe/data")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(clock: Clock) -> Backend:
    return Backend(Moods(runs_at=5, crashes_at=60), "pod-1", clock)


@pytest.mark.parametrize(("age", "status"), [(0, 503), (4.9, 503), (5, 200), (59, 200), (60, 500), (10_000, 500)])
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_follows_the_mood(backend: Backend, clock: Clock, route: str, age: float, status: int) -> None:
    clock.now += age
    assert backend.answer(route)[0] == status


def test_answers_carry_the_promised_keys(backend: Backend, clock: Clock) -> None:
    clock.now += 10
    bodies = {route: json.loads(backend.answer(route)[1]) for route in ROUTES}
    assert bodies["/"]["service"] == "chaotic-backend"
    assert bodies["/"]["version"] == "stand-in"
    assert bodies["/health/live"]["status"] == "alive"
    assert bodies["/health/ready"]["status"] == "ready"
    assert bodies["/probe/data"]["users"][0].keys() == {"id", "name", "email"}


def test_crash_stays(backend: Backend, clock: Clock) -> None:
    clock.now += 10
    backend.crash()
    clock.now += 10
    assert backend.answer("/")[0] == 500


def test_a_seed_repeats_per_host_and_differs_between_hosts() -> None:
    environment = {"CHAOTIC_SEED": "7", "CHAOTIC_CRASHES_PER_HOUR": "10"}
    first, again, other = (Moods.drawn(environment, host) for host in ("a", "a", "b"))
    assert first == again
    assert first != other


def test_cold_start_is_within_bounds_and_never_crashes_at_rate_0() -> None:
    drawn = [Moods.drawn({"CHAOTIC_COLD_START_SECONDS": "2,4"}, "host") for _ in range(100)]
    assert all(2 <= moods.runs_at <= 4 and moods.crashes_at == float("inf") for moods in drawn)


def test_crash_rate_is_about_right() -> None:
    environment = {"CHAOTIC_CRASHES_PER_HOUR": "60", "CHAOTIC_COLD_START_SECONDS": "0,0", "CHAOTIC_SEED": "1"}
    drawn = [Moods.drawn(environment, str(number)) for number in range(2000)]
    assert 55 < sum(moods.crashes_at for moods in drawn) / len(drawn) < 65


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAOTIC_COLD_START_SECONDS", "3"),
        ("CHAOTIC_COLD_START_SECONDS", "3,1"),
        ("CHAOTIC_COLD_START_SECONDS", "-1,1"),
        ("CHAOTIC_COLD_START_SECONDS", "0,inf"),
        ("CHAOTIC_CRASHES_PER_HOUR", "often"),
        ("CHAOTIC_CRASHES_PER_HOUR", "nan"),
        ("CHAOTIC_CRASHES_PER_HOUR", "-1"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Moods.drawn({name: value}, "host")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense", 400),
        (b"GET / SPDY/1", 400),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\n folded: x", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked", 501),
    ],
)
def test_bad_heads_are_refused(head: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_head(head)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1", True),
        (b"GET / HTTP/1.1\r\nConnection: close", False),
        (b"GET / HTTP/1.0", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", True),
    ],
)
def test_keep_alive(head: bytes, keep_alive: bool) -> None:
    assert parse_head(head).keep_alive is keep_alive


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Server], Awaitable[None]]


def talk(conversation: Talk, habits: Habits | None = None) -> None:
    """Run a conversation with a running backend on a free port; the server must end in order afterwards."""

    async def scene() -> None:
        server = Server(Backend(Moods(0, float("inf")), "pod-1", habits=habits))
        ended = asyncio.Event()
        port = await server.listen("127.0.0.1", 0)
        serving = asyncio.create_task(server.run_until(ended))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            await conversation(reader, writer, server)
            ended.set()
            writer.close()
            await serving

    asyncio.run(scene())


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


def test_pipelined_requests_are_answered_in_order() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        writer.write(b"GET /probe/data HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n")
        statuses = [(await read_answer(reader))[0] for _ in range(2)]
        assert statuses == [200, 404]

    talk(conversation)


def test_a_request_may_arrive_byte_by_byte() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        for byte in b"GET /?a=b HTTP/1.1\r\nHost: x\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        status, headers, body = await read_answer(reader)
        assert (status, headers["server"]) == (200, "chaosctl-stand-in")
        assert json.loads(body)["instance"] == "pod-1"

    talk(conversation)


def test_a_body_is_skipped_and_the_connection_goes_on() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel")
        writer.write(b"loGET / HTTP/1.1\r\n\r\n")
        refused, answered = await read_answer(reader), await read_answer(reader)
        assert (refused[0], refused[1]["allow"], answered[0]) == (405, "GET, HEAD", 200)

    talk(conversation)


def test_nonsense_is_refused_and_the_connection_closed() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        status, headers, _ = await read_answer(reader)
        assert (status, headers["connection"], await reader.read()) == (400, "close", b"")

    talk(conversation)


def test_endless_headers_are_refused() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        writer.write(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 12_000)
        assert (await read_answer(reader))[0] == 431

    talk(conversation)


def test_while_it_drains_it_answers_and_closes() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await read_answer(reader)
        server.draining = True
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        status, headers, _ = await read_answer(reader)
        assert (status, headers["connection"], await reader.read()) == (200, "close", b"")

    talk(conversation)


def test_bad_answers_are_for_users_and_not_for_probes(clock: Clock) -> None:
    bad = Backend(Moods(0, float("inf")), "pod-1", clock, BadAnswers.told({"CHAOTIC_BAD_ANSWERS": "100,0.2"}))
    assert (bad.answer("/probe/data")[0], bad.answer("/health/ready")[0]) == (500, 200)
    assert (bad.delay("/probe/data"), bad.delay("/health/live")) == (0.2, 0)


@pytest.mark.parametrize("value", ["50", "101,0", "0,-1", "a,b"])
def test_bad_answers_that_cannot_be_are_named(value: str) -> None:
    with pytest.raises(ValueError, match="CHAOTIC_BAD_ANSWERS"):
        BadAnswers.told({"CHAOTIC_BAD_ANSWERS": value})


def test_a_request_on_a_kept_connection_can_meet_its_end() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await read_answer(reader))[0] == 200
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""

    talk(conversation, Habits(races=100.0))


@pytest.mark.parametrize(("habits", "status"), [(Habits(), 503), (Habits(alive_at_once=True), 200)])
def test_one_that_starts_can_say_that_it_lives(habits: Habits, status: int) -> None:
    backend = Backend(Moods(60.0, float("inf")), "pod-1", habits=habits)
    assert (backend.answer("/health/live")[0], backend.answer("/health/ready")[0]) == (status, 503)


def test_habits_are_told_by_variables() -> None:
    told = {"CHAOTIC_KEEP_ALIVE_RACES": "2", "CHAOTIC_DRAIN_SECONDS": "0", "CHAOTIC_ALIVE_AT_ONCE": "1"}
    assert Habits.told(told) == Habits(2.0, 0.0, alive_at_once=True)
    assert Habits.told({}) == Habits()
    with pytest.raises(ValueError, match="CHAOTIC_DRAIN_SECONDS"):
        Habits.told({"CHAOTIC_DRAIN_SECONDS": "soon"})
