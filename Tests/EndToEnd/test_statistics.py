"""Statistics as others read them: Prometheus, BOINC's statistics sites, people."""

import contextlib
import gzip
import json
import re
import sqlite3
import subprocess
import unicodedata
import urllib.error
import xml.etree.ElementTree as ElementTree

import pytest

from batches import submit, wait
from processes import CHECKOUT, chat_line, eventually, tally

MONITORING = CHECKOUT / "Deploy/monitoring"
LINES = [chat_line(f"s{i}", f"Count to {i}", max_tokens=8) for i in range(12)]


@pytest.fixture(scope="module")
def counted(fleet):
    """The fleet after a batch."""
    client = fleet.client()
    assert wait(client, submit(client, LINES)).status == "completed"
    return fleet


def metrics(fleet):
    return fleet.coordinator.get("/metrics", parse=False).decode()


def test_prometheus_reads_the_metrics(counted):
    text = metrics(counted)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    values = dict(re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE))
    assert float(values["tally_workers"]) == 2
    assert float(values['tally_requests_total{outcome="completed"}']) >= len(LINES)
    assert float(values["tally_credit_total"]) > 0
    assert float(values['tally_http_requests_total{method="POST",route="/v1/batches",status="200"}']) >= 1


def test_a_stranger_cannot_make_the_metrics_grow(counted):
    for path in ["/nowhere", "/nowhere/else", "/v1/files/x%0Ay"]:
        with pytest.raises(urllib.error.HTTPError):
            counted.coordinator.get(path)
    text = metrics(counted)
    assert "nowhere" not in text and "x%0A" not in text


def test_alert_rules_fire_when_they_should():
    for arguments in [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")]:
        done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", "prometheus.yml"],
        cwd=MONITORING, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboard_and_alerts_name_metrics_that_exist(counted):
    exported = set(re.findall(r"^# TYPE (\S+)", metrics(counted), re.MULTILINE))
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions.append((MONITORING / "alerts.yml").read_text())
    named = {name for text in expressions for name in re.findall(r"\b(?:tally|process)_[a-z_]+", text)}
    assert len(named) > 10
    assert {name.removesuffix("_bucket") for name in named} <= exported


def records(fleet, name):
    """Records of a statistics file as lists of (element, text)."""
    content = fleet.coordinator.get(f"/statistics/{name}", parse=False)
    root = ElementTree.fromstring(gzip.decompress(content) if name.endswith(".gz") else content)
    return [[(element.tag, element.text) for element in record] for record in root]


def test_statistics_sites_find_only_who_agreed(counted):
    data = ("--data", counted.coordinator.data)
    tally("account", "set", "ada", "--public", "--team", "Engines & Co", "--country", "Germany", *data)
    tally("account", "set", "grace", "--private", *data)

    def agreed():
        users, teams = ([dict(one) for one in records(counted, f"{table}.gz")] for table in ["user", "team"])
        if [user["name"] for user in users] == ["ada"] and [team["id"] for team in teams] == [users[0].get("teamid")]:
            return users[0], teams[0]

    ada, team = eventually(agreed, "the files say what was agreed")
    assert float(ada["total_credit"]) > 0 and re.fullmatch(r"\d+\.\d{6}", ada["total_credit"])
    assert re.fullmatch(r"[0-9a-f]{32}", ada["cpid"])
    assert team["name"] == "Engines & Co" and team["founder_name"] == "ada" and team["id"] == ada["teamid"]
    hosts = [dict(host) for host in records(counted, "host.gz")]
    assert len(hosts) == 2 and [host.get("userid") for host in hosts].count(ada["id"]) == 1
    tables = dict(records_of_tables(counted))
    assert tables["nusers_total"] == "2" and tables["nhosts_total"] == "2"
    assert float(tables["total_credit"]) > float(ada["total_credit"])

    statistics = counted.coordinator.statistics()
    assert [account["name"] for account in statistics["accounts"]] == ["ada"]
    assert statistics["accounts_total"] == 2 and len(statistics["workers"]) == 1
    with pytest.raises(urllib.error.HTTPError):
        counted.coordinator.get("/stats/history?account=grace")
    tally("account", "set", "grace", "--public", *data)


def records_of_tables(fleet):
    root = ElementTree.fromstring(fleet.coordinator.get("/statistics/tables.xml", parse=False))
    return [(element.tag, element.text) for element in root]


def test_people_see_tables_and_history(counted):
    environment = counted.coordinator.environment(counted.key)
    shown = tally("stats", environment=environment).stdout
    assert "ada" in shown and "CREDIT" in shown and shown.splitlines()[-1].startswith("total")
    history = json.loads(tally("stats", "--days", "7", "--account", "ada", "--json", environment=environment).stdout)
    [ada] = [one for one in counted.coordinator.statistics()["accounts"] if one["name"] == "ada"]
    assert sum(day["accepted"] for day in history["days"]) == ada["contribution"]["accepted"] > 0
    assert ada["streak_days"] >= 1 and ada["badges"][0]["name"] == "first_result"
    table = tally("stats", "--days", "7", environment=environment).stdout
    assert table.splitlines()[0].split() == ["DAY", "RESULTS", "REJECTED", "TOKENS", "CREDIT", "KWH"]
    refused = tally("stats", "--account", "nobody", environment=environment, check=False)
    assert refused.returncode == 1 and "nobody" in refused.stderr


EVIL = "ev\x1b]0;pwned\x07il\x1b[31m\u202e\u009b\nSECOND"


@contextlib.contextmanager
def renamed(fleet, ending):
    """Everybody's name with this ending, as the first releases stored what a machine or an operator sent."""
    tables = ("worker", "account", "team", "api_key")
    with contextlib.closing(sqlite3.connect(fleet.coordinator.data / "coordinator.sqlite", timeout=30)) as database:
        before = {table: database.execute(f"SELECT rowid, name FROM {table}").fetchall() for table in tables}
        accounts = database.execute("SELECT rowid, named, url FROM account").fetchall()
        with database:
            for table in tables:
                database.execute(f"UPDATE {table} SET name = name || ?", [ending])
            database.execute("UPDATE account SET named = 1, url = 'https://example.org/' || ?", [ending])
        try:
            yield
        finally:
            with database:
                for table, rows in before.items():
                    database.executemany(f"UPDATE {table} SET name = ?2 WHERE rowid = ?1", rows)
                database.executemany("UPDATE account SET named = ?2, url = ?3 WHERE rowid = ?1", accounts)


def test_names_from_before_there_was_a_rule_harm_no_terminal_page_or_file(counted):
    data = ("--data", counted.coordinator.data)
    environment = counted.coordinator.environment(counted.key)
    tally("account", "set", "ada", "--team", "Engines", *data)
    commands = [
        ("stats", "--json"), ("stats",), ("stats", "--teams"), ("account", "list", *data),
        ("account", "list", "--json", *data), ("admin", "workers", *data), ("admin", "workers", "--json", *data),
        ("admin", "accounts", *data), ("key", "list", *data),
    ]
    with renamed(counted, EVIL):
        # What is public was made in a moment before, and is kept for seconds.
        for command in commands[:3]:
            eventually(lambda: "pwned" in tally(*command, environment=environment).stdout, "it is shown", 20)
        shown = [tally(*command, environment=environment).stdout for command in commands]
        pages = [counted.coordinator.get(path, parse=False).decode() for path in ("/", "/leaderboard?names")]
    for text in shown + pages:
        assert not [letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf") and letter != "\n"], text
    for text in shown:
        assert not [line for line in text.splitlines() if line.startswith("SECOND")], text
    assert [text for text in shown if "pwned" not in text] == []
    assert all(account["name"].endswith(EVIL) for account in json.loads(shown[0])["accounts"])


def test_new_names_are_refused_by_what_is_wrong_with_them(counted):
    data = ("--data", counted.coordinator.data)
    for name, reason in [
        ("a\nb", "U+000A"), ("N\x01ul", "U+0001"), ("\u200bada", "U+200B"), (" ", "empty"), ("x" * 255, "254 bytes"),
        ("x\u0301" + "\u0301" * 20, "combining marks"),
    ]:
        done = tally("invite", name, *data, check=False)
        assert done.returncode == 1 and reason in done.stderr, (name, done.stderr)
    tally("invite", "zoe", *data)
    done = tally("invite", "z\u043ee", *data, check=False)
    assert done.returncode == 1 and "looks like that of the account zoe" in done.stderr
