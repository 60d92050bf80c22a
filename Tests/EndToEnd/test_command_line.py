"""What a person meets first: help, version and mistakes."""

import json
import os
import subprocess

from processes import TALLY, tally


def test_help_says_what_this_is():
    answer = tally("--help")
    assert "Volunteer computing for open language models" in answer.stdout
    assert "submit" in answer.stdout


def test_version_names_the_numerics():
    assert "exact-1" in tally("--version").stdout


def test_a_mistyped_option_is_a_usage_error():
    answer = tally("stats", "--no-such-option", check=False)
    assert answer.returncode == 64
    assert "no-such-option" in answer.stderr


def test_an_unreachable_coordinator_is_a_failure_that_names_it():
    answer = tally("stats", "--url", "https://127.0.0.1:9", check=False)
    assert answer.returncode == 1
    assert "https://127.0.0.1:9" in answer.stderr


def test_without_a_coordinator_it_says_how_to_name_one(tmp_path):
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "TALLY_URL": ""}
    answer = tally("stats", check=False, environment=environment)
    assert answer.returncode == 1
    assert "TALLY_URL" in answer.stderr


def test_submit_says_that_volunteers_can_read_prompts():
    assert "can read" in tally("submit", "--help").stdout


def test_preferences_write_what_was_set_and_nothing_else(tmp_path):
    def prefer(*settings, check=True):
        return tally("worker", "preferences", *settings, "--data", tmp_path / "w", check=check)

    def stored():
        return json.loads((tmp_path / "w" / "preferences.json").read_text())

    prefer("download_kilobytes_per_second=500", "cpu_percent=50", "hours=mon-fri 20:00-07:00")
    assert stored() == {"download_kilobytes_per_second": 500, "cpu_percent": 50, "hours": "mon-fri 20:00-07:00"}
    shown = prefer("download_kilobytes_per_second=none", "hours=").stdout
    assert stored() == {"cpu_percent": 50}
    assert ["download_kilobytes_per_second", "none"] in [line.split() for line in shown.splitlines()]
    refused = prefer("threads=many", check=False)
    assert refused.returncode == 64 and "a whole number, or none" in refused.stderr
    assert prefer("cpu_procent=1", check=False).returncode == 64
    assert stored() == {"cpu_percent": 50}


def test_a_folder_with_too_long_a_path_is_named_as_the_reason(tmp_path):
    answer = tally("worker", "status", "--data", tmp_path / ("long" * 50), check=False)
    assert answer.returncode == 1
    assert "at most 107 bytes" in answer.stderr


def test_an_unreachable_address_is_told_without_a_librarys_words():
    answer = tally("stats", "--url", "https://127.0.0.1:9", check=False)
    assert "Connection refused" in answer.stderr
    assert not any(word in answer.stderr for word in ("NIO", "HTTPClientError", "errno"))


def on_a_terminal(*arguments, entered):
    """What a terminal is sent by the program."""
    screen, inside = os.openpty()
    try:
        done = subprocess.run([TALLY, *map(str, arguments)], input=entered, stdout=inside, stderr=subprocess.PIPE, timeout=120)
        assert done.returncode == 0, done.stderr
        return os.read(screen, 1 << 16)
    finally:
        os.close(screen)
        os.close(inside)


def test_what_a_template_writes_moves_no_cursor_and_stays_as_it_is_in_a_file(tmp_path):
    written = "one\x1b]0;title\x07\x1b[2J\ntwo\u202e\u00e9"
    (tmp_path / "template.jinja").write_text("{{ messages[0]['content'] }}")
    case = json.dumps({"messages": [{"role": "user", "content": written}]})
    shown = on_a_terminal("render", "--template", tmp_path / "template.jinja", entered=case.encode())
    # The terminal itself makes CR LF of a line feed.
    assert shown.decode() == "one]0;title[2J\r\ntwo\u00e9"
    piped = tally("render", "--template", tmp_path / "template.jinja", input=case)
    assert piped.stdout == written
