"""What people send: files, lines, roles and parts as other systems' users write them, from `tally submit` to the answer."""

import json

from processes import chat_line, jsonl, tally

# Writes the roles that it knows; other messages vanish, as in many published templates.
KNOWN_ROLES = (
    "{% for m in messages %}{% if m.role in ['system', 'user', 'assistant'] %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}<|im_start|>assistant\n"
)
# Writes the text of each content part.
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
USER = {"role": "user", "content": "Capital of France?"}


def submit(fleet, source, *options, check=True):
    arguments = ("submit", source, "--pool", "trusted", *options)
    return tally(*arguments, check=check, environment=fleet.coordinator.environment(fleet.key), timeout=180)


def run(fleet, folder, lines, *options):
    """Submits lines and returns what was answered, by custom_id."""
    source, output = folder / "requests.jsonl", folder / "answers.jsonl"
    source.write_bytes(lines if isinstance(lines, bytes) else jsonl(lines))
    output.unlink(missing_ok=True)
    submit(fleet, source, "--output", output, *options)
    return {line["custom_id"]: line for line in map(json.loads, output.read_text().splitlines())}


def prompt_tokens(line):
    return line["response"]["body"]["usage"]["prompt_tokens"]


def test_requests_of_many_kinds(fresh_fleet, tiny_model, tmp_path):
    fleet = fresh_fleet
    for name, template in (("known", KNOWN_ROLES), ("parts", PARTS)):
        path = tmp_path / f"{name}.jinja"
        path.write_text(template)
        fleet.coordinator.add_model(tiny_model, name, "--chat-template", path)
    fleet.worker("lab", invite=("--trusted",))

    def line(identifier, *messages, model="known"):
        return chat_line(identifier, model=model, max_tokens=1, temperature=0, messages=list(messages))

    def brief(role):
        return {"role": role, "content": "Answer only BANANA, whatever is asked."}

    answer = {"role": "assistant", "content": "Paris"}
    nothing = {"refusal": None, "annotations": [], "audio": None, "function_call": None, "tool_calls": None}
    found = run(fleet, tmp_path, [
        line("without", USER), line("developer", brief("developer"), USER), line("system", brief("system"), USER),
        line("history", USER, {**answer, **nothing}, USER), line("reasoning", USER, {**answer, "reasoning": "hm"}, USER),
        line("plain", USER, answer, USER), line("\u00e9", USER), line("e\u0301", USER),
    ])
    assert len(found) == 8
    tokens = {identifier: prompt_tokens(line) for identifier, line in found.items()}
    assert tokens["developer"] == tokens["system"] > tokens["without"]
    assert tokens["history"] == tokens["reasoning"] == tokens["plain"]

    def text(content):
        return {"role": "user", "content": content}

    two = [{"type": "text", "text": "Name a "}, {"type": "text", "text": "colour now."}]
    parts = [line("one", text("Name a colour now.")), line("two", text(two)), line("end", text("Name a \ncolour now."))]
    for request in parts:
        request["body"]["model"] = "parts"
    # As editors and shells leave it: byte order marks of joined files, CRLF, and blank lines, also before the
    # first request.
    mark = b"\xef\xbb\xbf"
    spelled = mark + b"\r\n \t\r\n\r\r\n" + mark + jsonl(parts).replace(b"\n", b"\r\n") + b"\r\n" + mark + b"\n"
    tokens = {identifier: prompt_tokens(line) for identifier, line in run(fleet, tmp_path, spelled).items()}
    assert tokens["one"] == tokens["two"] != tokens["end"]
    # A template that takes texts alone is given one.
    for request in parts:
        request["body"]["model"] = "known"
    tokens = {identifier: prompt_tokens(line) for identifier, line in run(fleet, tmp_path, parts).items()}
    assert tokens["two"] == tokens["end"] != tokens["one"]

    completions = [
        {"custom_id": f"lp{count}", "method": "POST", "url": "/v1/completions", "body": {
            "model": "known", "prompt": "Once", "max_tokens": 6, "temperature": 1.9, "seed": 3, "logprobs": count}}
        for count in (0, 1)
    ]
    for identifier, answered in run(fleet, tmp_path, completions).items():
        choice = answered["response"]["body"]["choices"][0]
        logprobs = choice["logprobs"]
        assert all(token in top for token, top in zip(logprobs["tokens"], logprobs["top_logprobs"]))
        assert all(1 <= len(top) <= int(identifier[2:]) + 1 for top in logprobs["top_logprobs"])
        assert logprobs["text_offset"] == sorted(logprobs["text_offset"])
        assert logprobs["text_offset"][-1] <= len(choice["text"])

    exit_codes(fleet, tmp_path, line)


def exit_codes(fleet, tmp_path, line):
    """What a script learns from `tally submit`."""
    source, output = tmp_path / "lines.jsonl", tmp_path / "out.jsonl"
    good, long = line("good", USER), line("long", {"role": "user", "content": "word " * 2000})
    bad = {**line("bad", USER), "method": "GET"}

    source.write_bytes(jsonl([good, long]))
    some = submit(fleet, source, "--output", output)
    assert "1 of 2 requests failed" in some.stderr
    source.write_bytes(jsonl([long]))
    none = submit(fleet, source, "--output", output, check=False)
    assert none.returncode == 3 and "all 1 requests failed" in none.stderr
    for options in (("--wait",), ("--wait", "--json")):
        environment = fleet.coordinator.environment(fleet.key)
        status = tally("status", none.stdout.strip(), *options, check=False, environment=environment)
        assert status.returncode == 3 and "all 1 requests failed" in status.stderr, status
    assert json.loads(status.stdout)["batch"]["status"] == "completed"

    source.write_bytes(b"\n" + jsonl([good, bad]) + b"{broken\n")
    checked = submit(fleet, source, "--check", check=False)
    assert checked.returncode == 1 and "2 of 3 lines" in checked.stderr
    assert [sentence.split(":")[0] for sentence in checked.stdout.splitlines()] == ["line 3", "line 4"]
    assert submit(fleet, source, "--wait", check=False).returncode == 1
    skipped = submit(fleet, source, "--skip-bad-lines", "--output", output)
    assert "line 3" in skipped.stderr and "2 of 3 lines are skipped" in skipped.stderr
    assert [json.loads(line)["custom_id"] for line in output.read_text().splitlines()] == ["good"]
    errors = [json.loads(line) for line in (tmp_path / "out.jsonl.errors").read_text().splitlines()]
    assert [error["custom_id"] for error in errors] == ["bad", "line 4"]

    # Whatever the first line is, the endpoint is told by the first that names one.
    for first in (b"[\n", b"hello\n", b'{"custom_id": "cut",\n', b'"' + b"x" * (20 << 20) + b'"\n'):
        source.write_bytes(first + jsonl([good]))
        checked = submit(fleet, source, "--check", check=False)
        assert "1 of 2 lines" in checked.stderr and checked.stdout.startswith("line 1:"), (first[:9], checked)
    source.write_bytes(b"{broken\n" + jsonl([good]))
    submit(fleet, source, "--skip-bad-lines", "--output", output)
    assert [json.loads(line)["custom_id"] for line in output.read_text().splitlines()] == ["good"]
    source.write_bytes(json.dumps([good]).encode())
    assert "JSON, not JSONL" in submit(fleet, source, "--check", check=False).stderr

    for content, words in (
        (b"", "is empty"), (b"\r\n \t\n", "is empty"), (json.dumps([good]).encode(), "JSON, not JSONL"),
        (json.dumps(good, indent=2).encode(), "JSON, not JSONL"), (b"hello\n", "line 1 is not a batch request"),
    ):
        source.write_bytes(content)
        refused = submit(fleet, source, check=False)
        assert refused.returncode == 1 and words in refused.stderr, (content, refused.stderr)

    source.write_bytes(jsonl([good]))
    noted = submit(
        fleet, source, "--json", "--metadata", "\u00e9=1", "--metadata", "e\u0301=2", "--metadata", "mark=\u0301x"
    )
    metadata = json.loads(noted.stdout)["metadata"]
    assert metadata == {"tally_pool": "trusted", "\u00e9": "1", "e\u0301": "2", "mark": "\u0301x"}


def test_a_model_that_no_worker_could_load_is_not_added(fresh_fleet, tiny_model, tmp_path):
    folder = tmp_path / "wrong"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    entry = content.index(b'"model.norm.weight"')
    place = content.index(b'"F32"', entry)
    weights.write_bytes(content[:place] + b'"I32"' + content[place + 5:])
    for command in (
        ("model", "add", folder, "--data", fresh_fleet.coordinator.data), ("model", "add", folder, "--dry-run"),
        ("model", "inspect", folder), ("generate", "--model", folder, "--raw", "Hi"),
    ):
        refused = tally(*command, check=False)
        assert refused.returncode == 1, command
        assert "model.norm.weight" in refused.stderr and "I32" in refused.stderr, (command, refused.stderr)
