"""The demo's orchestration: it answers, and whenever it is interrupted nothing stays behind."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from processes import TALLY, chat_line, jsonl


def session_members(session):
    """Processes of a session that are not yet gone, as (pid, state, command line)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append((int(entry.name), fields[0], command))
    return found


def start(tiny_model, folder, *arguments, lines=None):
    prompts = folder / "prompts.jsonl"
    prompts.write_bytes(lines or jsonl([chat_line(f"d{i}", f"Number {i}", max_tokens=32) for i in range(24)]))
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [TALLY, "demo", "--model", tiny_model, "--model-name", "tiny", "--prompts", prompts, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,
    )


def assert_nothing_left(process, folder, temporary_too=True):
    deadline = time.monotonic() + 30
    while left := session_members(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    if temporary_too:
        assert not list((folder / "temporary").iterdir())


def test_it_answers_verifies_and_cleans_up(tiny_model, tmp_path):
    output = tmp_path / "answers.jsonl"
    process = start(tiny_model, tmp_path, "--output", output)
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    for word in ("Verified", "units", "replicas", "agreements", "Contributed", "ada", "grace"):
        assert word in said, said
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(answers) == 24
    assert all(line["response"]["body"]["tally"]["verification"] == "quorum" for line in answers)
    assert_nothing_left(process, tmp_path)


def test_it_reads_prompts_as_submit_does(tiny_model, tmp_path):
    def line(identifier, content):
        request = chat_line(identifier, "", max_tokens=4)
        request["body"]["messages"] = [{"role": "user", "content": content}]
        return json.dumps(request, ensure_ascii=False).encode()

    parts = [{"type": "text", "text": "Two"}, {"type": "text", "text": "parts"}]
    lines = [line("\u00e9", "One\u2028line"), b" \t", line("e\u0301", parts), b"\r"]
    output = tmp_path / "answers.jsonl"
    process = start(tiny_model, tmp_path, "--output", output, lines=b"\xef\xbb\xbf\r\n" + b"\r\n".join(lines) + b"\r\n")
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert "2 prompts" in said and "Two\nparts" in said, said
    assert {json.loads(line)["custom_id"] for line in output.read_text().split("\n") if line} == {"\u00e9", "e\u0301"}

    process = start(tiny_model, tmp_path, lines=line("a", "One") + b"\n \n{}\n")
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 1 and "line 3: " in said, said


@pytest.mark.parametrize("seconds", [0.02, 0.3, 0.8, 1.5, 2.5])
def test_interrupted_it_leaves_nothing(tiny_model, tmp_path, seconds):
    process = start(tiny_model, tmp_path)
    try:
        # The moments differ on purpose: what must hold, holds at each.
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 130, -signal.SIGINT), said
    assert_nothing_left(process, tmp_path)


def test_killed_it_leaves_no_process(tiny_model, tmp_path):
    process = start(tiny_model, tmp_path)
    line = ""
    while "prompts" not in line:
        line = process.stdout.readline()
        assert line, "it ended early"
    assert len(session_members(process.pid)) == 4
    process.kill()
    process.communicate(timeout=60)
    assert_nothing_left(process, tmp_path, temporary_too=False)
