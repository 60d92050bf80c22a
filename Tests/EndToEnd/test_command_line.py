"""What a person meets first: help, version and mistakes."""

from processes import tally


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
