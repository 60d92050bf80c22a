"""Measures what the live pages of many strangers cost a coordinator: processor time and memory."""

import argparse
import os
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path

from machine import CHECKOUT, processor, save, say

sys.path.insert(0, str(CHECKOUT / "Tests/EndToEnd"))

from processes import Coordinator, tally  # noqa: E402

CORE_BAR, MEMORY_BAR = 0.20, 200e6
PAGES = ["/", "/jobs", "/leaderboard", "/models"]


def stream(coordinator, number):
    """One page that is kept open and up to date; None when it is refused."""
    plain = socket.create_connection(("127.0.0.1", coordinator.port), timeout=60)
    connection = coordinator.context.wrap_socket(plain, server_hostname="127.0.0.1")
    page = PAGES[number % len(PAGES)]
    connection.sendall(
        f"GET {page}?x={number} HTTP/1.1\r\nhost: h\r\naccept: text/event-stream\r\n\r\n".encode()
    )
    status = connection.recv(4096).split(b" ", 2)[1]
    connection.setblocking(False)
    return connection if status == b"200" else None


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drain(streams):
    read = 0
    for one in streams:
        try:
            while data := one.recv(1 << 16):
                read += len(data)
        except OSError:
            pass
    return read


def measure(options, variables, name):
    with tempfile.TemporaryDirectory() as folder:
        coordinator = Coordinator(folder)
        coordinator.variables = variables
        coordinator.start()
        try:
            for number in range(200):
                tally("invite", f"account-{number}", "--public", "--data", coordinator.data, "--url", coordinator.url)
            opened = [stream(coordinator, number) for number in range(options.streams)]
            live = [one for one in opened if one]
            say(f"{name}: {len(live)} of {options.streams} streams are served")
            # What the machine around it changes, every few seconds, is what makes pages change.
            began, used, read = time.monotonic(), processor_seconds(coordinator.process.pid), 0
            while time.monotonic() - began < options.seconds:
                read += drain(live)
                time.sleep(0.2)
            seconds = time.monotonic() - began
            return {
                "streams": options.streams, "live": len(live), "read_bytes": read,
                "cores": (processor_seconds(coordinator.process.pid) - used) / seconds,
                "peak_bytes": coordinator.process.peak_resident_bytes(),
            }
        finally:
            coordinator.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", default=500, type=int)
    parser.add_argument("--seconds", default=60, type=int)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    report = {
        "defaults": measure(options, {}, "defaults"),
        "all admitted": measure(
            options,
            {
                "TALLY_COORDINATOR_LIVE_PAGES": "1000", "TALLY_COORDINATOR_LIVE_PAGES_PER_ADDRESS": "1000",
                "TALLY_COORDINATOR_CONNECTIONS_PER_ADDRESS": "2000",
            },
            "all admitted",
        ),
    }
    save("live_pages", {"processor": processor(), **report})
    for name, figures in report.items():
        print(
            f"{name}: {figures['live']} of {figures['streams']} streams live, "
            f"{100 * figures['cores']:.1f} % of a core (bar {100 * CORE_BAR:.0f}), "
            f"peak {figures['peak_bytes'] / 1e6:.0f} MB (bar {MEMORY_BAR / 1e6:.0f})"
        )


if __name__ == "__main__":
    main()
