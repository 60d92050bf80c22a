"""What a person meets first: help, version and mistakes."""

import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TALLY = os.environ.get("TALLY_PROGRAM", str(CHECKOUT / ".build/release/tally"))


def run(*arguments, **options):
    return subprocess.run([TALLY, *arguments], capture_output=True, text=True, timeout=60, **options)


def test_help_says_what_this_is():
    answer = run("--help")
    assert answer.returncode == 0
    assert "Volunteer computing for open language models" in answer.stdout


def test_a_mistyped_option_is_a_usage_error():
    answer = run("--no-such-option")
    assert answer.returncode == 64
    assert "no-such-option" in answer.stderr
