"""What strangers can do to a coordinator's connections, disk and memory without a key, or with a small one."""

import contextlib
import http.client
import os
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import Coordinator, eventually, tally

MEGABYTE = 1_000_000
QUICK = {
    "TALLY_COORDINATOR_REQUEST_SECONDS": "3",
    "TALLY_COORDINATOR_CONNECTIONS_PER_ADDRESS": "40",
    "TALLY_COORDINATOR_LIVE_PAGES_PER_ADDRESS": "10",
}


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory):
    coordinator = Coordinator(tmp_path_factory.mktemp("edge"), arguments=("--replay-threads", "0"))
    coordinator.variables = QUICK
    coordinator.start()
    yield coordinator
    coordinator.kill()


class Connection:
    """A TLS connection on which a test writes what it likes."""

    def __init__(self, coordinator):
        plain = socket.create_connection(("127.0.0.1", coordinator.port), timeout=30)
        self.socket = coordinator.context.wrap_socket(plain, server_hostname="127.0.0.1")

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode())
        return self

    def response(self):
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return response

    def is_closed(self):
        """Whether the coordinator ended the connection; waits for what it says."""
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        return True

    def close(self):
        self.socket.close()


def status_of(coordinator, text):
    connection = Connection(coordinator).send(text)
    try:
        return connection.response()
    finally:
        connection.close()


def test_an_endless_body_is_answered_and_cut_off(coordinator):
    connection = Connection(coordinator)
    connection.send("POST /v1/batches HTTP/1.1\nhost: h\ntransfer-encoding: chunked\n\n")
    piece, sent = b"10000\r\n" + bytes(65536) + b"\r\n", 0
    with pytest.raises(OSError):
        while sent < 1 << 30:
            connection.send(piece)
            sent += 65536
    assert sent < 32 << 20
    response = connection.response()
    assert response.status == 401 and response.headers["connection"] == "close"


def test_a_trickling_body_is_cut_off_and_a_slow_download_is_not(coordinator):
    connection = Connection(coordinator)
    connection.send("POST /worker/v1/enroll HTTP/1.1\nhost: h\ncontent-length: 60000\n\n")
    began = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - began < 60:
            connection.send(b" ")
            time.sleep(0.5)
    assert time.monotonic() - began < 20


def test_what_every_answer_carries_and_what_http_demands(coordinator):
    for path in ["/", "/healthz", "/v1/models", "/nowhere", "/stats"]:
        headers = status_of(coordinator, f"GET {path} HTTP/1.1\nhost: h\n\n").headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["strict-transport-security"], path
    assert status_of(coordinator, "GET /healthz HTTP/1.1\n\n").status == 400
    assert status_of(coordinator, "GET /healthz HTTP/1.1\nhost: a\nhost: b\n\n").status == 400
    assert status_of(coordinator, "GET /healthz HTTP/1.0\n\n").status == 200
    for method in ["TRACE", "PROPFIND", "PURGE", "DELETE"]:
        answer = status_of(coordinator, f"{method} /stats HTTP/1.1\nhost: h\n\n")
        assert (answer.status, answer.headers["allow"]) == (405, "GET"), method


def test_one_address_has_its_share_of_connections_and_pages(coordinator):
    streams = []
    for number in range(12):
        stream = Connection(coordinator)
        stream.send(f"GET /leaderboard?x={number} HTTP/1.1\nhost: h\naccept: text/event-stream\n\n")
        streams.append(stream)
    # Which of several connections is answered first is the system's affair.
    assert sorted(stream.response().status for stream in streams) == [200] * 10 + [503] * 2
    for stream in streams:
        stream.close()

    def streams_are_free():
        stream = Connection(coordinator)
        stream.send("GET / HTTP/1.1\nhost: h\naccept: text/event-stream\n\n")
        status = stream.response().status
        stream.close()
        return status == 200

    eventually(streams_are_free, "streams that ended are given back", 60, coordinator.process)

    silent = [socket.create_connection(("127.0.0.1", coordinator.port)) for _ in range(80)]

    def refused():
        """Connections that the coordinator closed."""
        return sum(ended(connection) for connection in silent)

    def ended(connection):
        connection.setblocking(False)
        try:
            return connection.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    eventually(lambda: refused() >= 40, "what is too much is closed", 30, coordinator.process)
    for connection in silent:
        connection.close()
    eventually(coordinator.is_ready, "others are served again", 30, coordinator.process)


def test_a_quota_bounds_the_disk(coordinator):
    key = coordinator.key("small")
    tally("admin", "quota", "small", "--stored-bytes", MEGABYTE, "--data", coordinator.data)

    def stored():
        """Bytes of everything that lies there at this moment."""
        found = 0
        for folder, _, names in os.walk(coordinator.data / "blobs"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found += os.stat(os.path.join(folder, name)).st_size
        return found

    head = (
        f"POST /v1/files HTTP/1.1\nhost: h\nauthorization: Bearer {key}\n"
        "content-type: multipart/form-data; boundary=b\ntransfer-encoding: chunked\n\n"
    )
    purpose = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    file = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'

    def chunk(data):
        return b"%x\r\n" % len(data) + data + b"\r\n"

    def upload(number, pieces=64, finish=True):
        """Chunked, 64 KiB at a time, without saying how much it will be."""
        connection = Connection(coordinator).send(head)
        try:
            connection.send(chunk((purpose if number % 2 else b"") + file))
            for _ in range(pieces):
                connection.send(chunk(bytes([number]) * 65536))
                assert stored() <= MEGABYTE + 65536
            if finish:
                connection.send(chunk(b"\r\n" + (b"" if number % 2 else purpose) + b"--b--\r\n") + b"0\r\n\r\n")
            return connection.response().status if finish else None
        except OSError:
            return connection.response().status
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(upload, range(8))) == {429}
        list(pool.map(lambda number: upload(number, pieces=4, finish=False), range(8, 16)))
    eventually(lambda: stored() == 0, "nothing is left of what was refused or broken off", 30)
    assert upload(17, pieces=10) == 200
    assert 655360 <= stored() <= MEGABYTE


def test_too_few_descriptors_do_not_make_it_spin(tmp_path):
    coordinator = Coordinator(tmp_path, arguments=("--replay-threads", "0"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256) if hard[1] == 256 else (256, hard[1]))
    try:
        coordinator.variables = {"TALLY_COORDINATOR_CONNECTIONS": "120"}
        coordinator.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, hard)
    try:
        held = [socket.create_connection(("127.0.0.1", coordinator.port)) for _ in range(200)]
        before = cpu_seconds(coordinator.process.pid)
        time.sleep(3)
        assert cpu_seconds(coordinator.process.pid) - before < 1
        for connection in held:
            connection.close()
        eventually(coordinator.is_ready, "it is served again", 60, coordinator.process)
    finally:
        coordinator.kill()


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
