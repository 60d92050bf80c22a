"""What goes wrong around a coordinator, and what its operator does about it, while workers compute."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from batches import answers, submit, wait
from cryptography import x509
from processes import Coordinator, Process, chat_line, eventually, tally

SHIM = Path(__file__).parent / "calendar_shim.c"


def lines(count):
    return [chat_line(f"{n}", max_tokens=60) for n in range(count)]


def shown_certificate(coordinator):
    """What the server shows now, whoever signed it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", coordinator.port), timeout=30) as plain:
        with context.wrap_socket(plain) as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))


def test_a_clock_that_is_set_for_seconds_ends_nothing(fresh_fleet):
    """Two hours back, and forty days ahead, as a machine without a battery for its clock has it."""
    fleet = fresh_fleet
    fleet.coordinator.stop()
    offset, library = fleet.folder / "offset", fleet.folder / "shim.so"
    subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, SHIM], check=True)

    def set_clock(text):
        beside = offset.with_suffix(".new")
        beside.write_text(text + "\n")
        beside.rename(offset)

    set_clock("0")
    fleet.coordinator.variables = {"LD_PRELOAD": str(library), "CALENDAR_OFFSET": str(offset)}
    fleet.coordinator.start()
    workers = [fleet.worker(account) for account in ("ada", "grace", "edsger", "alan", "barbara", "donald")]
    client = fleet.client()
    for jump in ("-7300", "3456000"):
        batch = submit(client, lines(400))
        eventually(lambda: client.batches.retrieve(batch.id).request_counts.completed > 0, "work goes on")
        set_clock(jump)
        eventually(lambda: jumped(fleet) == pytest.approx(int(jump), abs=2), "the jump is noticed")
        ended = time.monotonic() + 5
        eventually(lambda: time.monotonic() > ended, "the clock is wrong for five seconds")
        set_clock("0")
        eventually(lambda: jumped(fleet) == 0, "the clock is right again")
        batch = wait(client, batch)
        assert batch.status == "completed" and len(answers(client, batch)) == 400

    # A start with such a clock: the time goes on from the one that was kept.
    batch = submit(client, lines(400))
    eventually(lambda: client.batches.retrieve(batch.id).request_counts.completed > 0, "work goes on")
    fleet.coordinator.kill()
    set_clock("3456000")
    fleet.coordinator.start()
    assert jumped(fleet) == pytest.approx(3456000, abs=120)
    done = client.batches.retrieve(batch.id).request_counts.completed
    eventually(lambda: client.batches.retrieve(batch.id).request_counts.completed > done, "work goes on")
    assert client.batches.retrieve(batch.id).status in ("in_progress", "finalizing", "completed")
    set_clock("0")
    eventually(lambda: jumped(fleet) == 0, "the clock is right again")
    batch = wait(client, batch)
    assert batch.status == "completed" and len(answers(client, batch)) == 400
    assert all(worker.process.poll() is None for worker in workers)


def jumped(fleet):
    """Seconds that the coordinator's clock is ahead by."""
    text = fleet.coordinator.get("/metrics", parse=False).decode()
    return float(re.search(r"^tally_clock_jump_seconds (\S+)$", text, re.M).group(1))


def test_workers_outlive_a_restored_backup(fresh_fleet, tmp_path):
    fleet = fresh_fleet
    coordinator = fleet.coordinator
    coordinator.stop()
    # Workers renew their certificates within a minute, so the backup does not know those that they have.
    coordinator.variables = {"TALLY_COORDINATOR_CERTIFICATE_SECONDS": "60"}
    coordinator.start()
    workers = [fleet.worker("ada"), fleet.worker("grace")]
    client = fleet.client()
    batch = submit(client, lines(8))
    backup = tmp_path / "backup"
    planned = json.loads(tally("admin", "backup", backup, "--data", coordinator.data, "--dry-run", "--json").stdout)
    assert planned["dry_run"] and planned["blobs"] > 3 and not backup.exists()
    made = json.loads(tally("admin", "backup", backup, "--data", coordinator.data, "--json").stdout)
    assert made["blobs"] >= planned["blobs"] and (backup / "backup.json").stat().st_mode & 0o777 == 0o600
    assert backup.stat().st_mode & 0o777 == 0o700
    again = tally("admin", "backup", backup, "--data", coordinator.data, check=False)
    assert again.returncode == 1 and "not an empty folder" in again.stderr
    assert wait(client, batch).status == "completed"

    held = [certificate(worker) for worker in workers]
    eventually(lambda: all(certificate(w) != h for w, h in zip(workers, held)), "workers renew", 90)
    coordinator.kill()
    refused = tally("admin", "restore", backup, "--data", coordinator.data, check=False)
    assert refused.returncode == 1 and "move the folder away" in refused.stderr
    coordinator.data.rename(tmp_path / "broken")
    tally("admin", "restore", backup, "--data", coordinator.data)
    coordinator.start()
    # The batch is as it was, and the machines that had it go on with it.
    assert wait(client, batch).status == "completed"
    assert len(answers(client, client.batches.retrieve(batch.id))) == 8
    assert all(worker.process.poll() is None for worker in workers)


def certificate(worker):
    return (worker.data / "client.pem").read_bytes()


def test_a_new_certificate_is_shown_without_a_restart(tmp_path):
    issuers = [Coordinator(tmp_path / f"issuer-{n}") for n in range(2)]
    for issuer in issuers:
        issuer.start()
        issuer.stop()
    pairs = [(issuer.data / "server.pem", issuer.data / "server.key.pem") for issuer in issuers]
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def put(source, target):
        shutil.copyfile(source, target.with_suffix(".new"))
        target.with_suffix(".new").rename(target)

    put(pairs[0][0], chain)
    put(pairs[0][1], key)
    coordinator = Coordinator(tmp_path / "coordinator", arguments=("--certificate", chain, "--certificate-key", key))
    coordinator.data.mkdir(parents=True)
    shutil.copyfile(issuers[0].authority, tmp_path / "trusted.pem")
    process = Process(
        tmp_path / "log", "coordinator", "--data", coordinator.data, "--port", coordinator.port,
        *coordinator.arguments,
    )
    try:
        eventually(lambda: "ready at" in process.output(), "it listens", 60, process)
        first = shown_certificate(coordinator)
        assert first == x509.load_pem_x509_certificate(pairs[0][0].read_bytes())
        put(pairs[1][0], chain)
        eventually(lambda: "does not belong to the certificate" in process.output(), "half a pair is refused", 30)
        assert shown_certificate(coordinator) == first
        put(pairs[1][1], key)
        second = x509.load_pem_x509_certificate(pairs[1][0].read_bytes())
        eventually(lambda: shown_certificate(coordinator) == second, "the new pair is shown", 30, process)
        os.kill(process.pid, signal.SIGHUP)
        eventually(lambda: "the same as before" in process.output(), "SIGHUP asks for a look", 30, process)
        assert process.poll() is None
        assert process.stop() == 0
    finally:
        process.kill()


def test_what_an_operator_gets_wrong_is_said_in_words(fleet, tmp_path):
    data = fleet.coordinator.data
    slip = tally("admin", "minimum-worker-version", "9.9.9", "--data", data, check=False)
    assert slip.returncode == 1 and "newer than this coordinator" in slip.stderr and "--force" in slip.stderr
    assert "any" in tally("admin", "show", "--data", data).stdout
    taken = tally(
        "coordinator", "--data", tmp_path / "other", "--port", fleet.coordinator.port, check=False, timeout=60
    )
    assert taken.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {fleet.coordinator.port}" in taken.stderr
    assert "another program listens there" in taken.stderr and "errno" not in taken.stderr
    unwritable = tally("coordinator", "--data", "/proc/nowhere/data", check=False)
    assert unwritable.returncode == 1 and "/proc/nowhere" in unwritable.stderr
    assert "NSCocoaErrorDomain" not in unwritable.stderr and "UserInfo" not in unwritable.stderr


def test_a_batch_without_a_fitting_worker_says_why(fresh_fleet):
    fleet = fresh_fleet
    fleet.worker("ada", arguments=("--memory", "0.001"))
    client = fleet.client()
    batch = submit(client, lines(2))

    def status():
        environment = fleet.coordinator.environment(fleet.key)
        return tally("status", batch.id, environment=environment).stdout

    eventually(lambda: "too little memory" in status(), "the status says what the worker lacks")
    assert "time left" not in status() and "closes in" in status()
    tally("admin", "pause", "--data", fleet.coordinator.data)
    assert "has paused the handing out of units" in status()
