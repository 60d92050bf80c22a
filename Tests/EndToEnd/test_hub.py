"""Models from the Hugging Face hub, which a server with its routes stands in for."""

import hashlib
import http.server
import json
import ssl
import subprocess
import threading

import pytest

from processes import tally
from tiny_model import write_tiny_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "tinyorg/Tiny-1B"


class Hub:
    """`/api/models` and `/resolve`, the latter through another host for large files, as the hub does."""

    def __init__(self, folder):
        self.folder, self.requests = folder, []
        self.token, self.break_after, self.spoiled = None, None, None
        self.servers = [self.serve(), self.serve()]

    def serve(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    @property
    def url(self):
        return f"http://127.0.0.1:{self.servers[0].server_port}"

    def files(self):
        for path in sorted(self.folder.iterdir()):
            content = path.read_bytes()
            entry = {"rfilename": path.name, "size": len(content)}
            if path.suffix in (".safetensors", ".gguf"):
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            yield entry

    def answer(self, request):
        authorization = request.headers.get("authorization")
        is_storage = request.server is self.servers[1]
        self.requests.append((is_storage, request.path, request.headers.get("range"), authorization))
        if is_storage:
            return self.content(request, request.path.rsplit("/", 1)[1])
        if self.token and authorization != f"Bearer {self.token}":
            return self.send(request, 401, b"{}")
        if request.path.split("?")[0] in (f"/api/models/{REPOSITORY}/revision/{r}" for r in ("main", "v1", COMMIT)):
            listing = {"id": REPOSITORY, "sha": COMMIT, "siblings": list(self.files()), "cardData": {"license": "mit"}}
            return self.send(request, 200, json.dumps(listing).encode())
        if request.path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
            name = request.path.rsplit("/", 1)[1]
            if name.endswith((".safetensors", ".gguf")):
                elsewhere = f"http://localhost:{self.servers[1].server_port}/storage/{name}"
                return self.send(request, 302, b"", location=elsewhere)
            return self.content(request, name)
        self.send(request, 404, b"{}")

    def content(self, request, name):
        content = (self.folder / name).read_bytes()
        if name == self.spoiled:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int(request.headers.get("range", "bytes=0-")[6:].split("-")[0])
        headers = {"content-range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        part = content[start:]
        if self.break_after is not None and len(part) > self.break_after:
            request.send_response(206 if start else 200)
            request.send_header("content-length", str(len(part)))
            for key, value in headers.items():
                request.send_header(key, value)
            request.end_headers()
            request.wfile.write(part[: self.break_after])
            request.close_connection = True
            return
        self.send(request, 206 if start else 200, part, **headers)

    @staticmethod
    def send(request, status, body, **headers):
        request.send_response(status)
        for key, value in {"content-length": str(len(body)), **headers}.items():
            request.send_header(key.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    def close(self):
        for server in self.servers:
            server.shutdown()


@pytest.fixture
def hub(tmp_path):
    folder = write_tiny_model(tmp_path / "repository")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nbase_model:\n- tinyorg/Tiny-Base\n---\n# Tiny\n")
    (folder / "LICENSE").write_text("the whole text\n")
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    (folder / "consolidated.safetensors").write_bytes(b"not wanted")
    hub = Hub(folder)
    try:
        yield hub
    finally:
        hub.close()


def add(hub, tmp_path, *arguments, reference=f"hf:{REPOSITORY}", check=True, **environment):
    environment = {"HF_ENDPOINT": hub.url, "TALLY_HUB_CACHE": str(tmp_path / "hub"), "HF_HOME": str(tmp_path)} | environment
    data = ("--data", str(tmp_path / "data"))
    return tally("model", "add", reference, *arguments, *data, environment=environment, check=check)


def listed(tmp_path):
    return json.loads(tally("model", "list", "--json", "--data", str(tmp_path / "data")).stdout)


def test_a_model_is_pinned_checked_and_added(hub, tmp_path):
    shown = add(hub, tmp_path, reference=f"hf:{REPOSITORY}@v1").stdout
    assert shown.startswith("tiny-1b:") and "licence apache-2.0" in shown
    [model] = listed(tmp_path)
    assert model["source"] == f"hf:{REPOSITORY}@{COMMIT}" and model["licence"] == "apache-2.0"
    [folder] = (tmp_path / "hub").glob("*/*")
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not names & {"pytorch_model.bin", "consolidated.safetensors"} and not list(folder.glob("*.part"))
    # Once more: nothing but the listing is asked for.
    before = len(hub.requests)
    add(hub, tmp_path)
    assert [path for _, path, _, _ in hub.requests[before:]] == [f"/api/models/{REPOSITORY}/revision/main?blobs=true"]


def test_a_models_files_and_licence_are_shown(hub, tmp_path):
    add(hub, tmp_path, "--quantize", "q8_0")
    data = ("--data", str(tmp_path / "data"))
    shown = json.loads(tally("model", "show", "tiny-1b", "--json", *data).stdout)
    assert shown["id"] == listed(tmp_path)[0]["manifest"]
    provenance = shown["provenance"]
    assert provenance["source"] == f"hf:{REPOSITORY}@{COMMIT}" and provenance["base_models"] == ["tinyorg/Tiny-Base"]
    assert provenance["licence_text"] == "the whole text\n" and provenance["rounding"] == "q8_0"
    digests = {file["name"]: file["sha256"] for file in provenance["files"]}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "LICENSE"} <= set(digests)
    for name, digest in digests.items():
        assert hashlib.sha256((hub.folder / name).read_bytes()).hexdigest() == digest
    assert "based on    tinyorg/Tiny-Base" in tally("model", "show", "tiny-1b", *data).stdout
    assert tally("model", "show", "tiny-1b", "--licence", *data).stdout.strip() == "the whole text"
    refused = tally("model", "show", "other", *data, check=False)
    assert refused.returncode == 1 and "tally model list" in refused.stderr


def test_all_parts_of_a_model_are_downloaded(hub, tmp_path):
    for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "other-00001-of-00002.gguf"):
        (hub.folder / name).write_bytes(b"GGUF")
    shown = add(hub, tmp_path, "--dry-run", reference=f"hf:{REPOSITORY}/m-00001-of-00002.gguf").stdout
    assert "m-00001-of-00002.gguf" in shown and "m-00002-of-00002.gguf" in shown and "other" not in shown
    refused = add(hub, tmp_path, "--dry-run", reference=f"hf:{REPOSITORY}/other-00001-of-00002.gguf", check=False)
    assert refused.returncode == 1 and "has no file other-00002-of-00002.gguf" in refused.stderr


def test_a_broken_download_goes_on_where_it_was(hub, tmp_path):
    hub.break_after = (hub.folder / "model.safetensors").stat().st_size // 3
    add(hub, tmp_path)
    starts = [range for storage, path, range, _ in hub.requests if storage and path.endswith("model.safetensors")]
    places = [int(range[6:-1]) if range else 0 for range in starts]
    assert places[0] == 0 and len(places) >= 3
    # What was on its way as the connection broke may be lost, what had arrived is not.
    assert all(0 < next - last <= hub.break_after for last, next in zip(places, places[1:]))
    assert len(listed(tmp_path)) == 1


def test_wrong_bytes_are_not_added(hub, tmp_path):
    for name in ("model.safetensors", "tokenizer.json"):
        hub.spoiled = name
        refused = add(hub, tmp_path, check=False)
        assert refused.returncode == 1 and f"{name} of {REPOSITORY} has other bytes" in refused.stderr
    assert listed(tmp_path) == []


def test_the_token_opens_a_gated_model_and_goes_to_the_hub_alone(hub, tmp_path):
    hub.token = "hf_secret"
    refused = add(hub, tmp_path, check=False)
    assert refused.returncode == 1 and "HF_TOKEN" in refused.stderr
    wrong = add(hub, tmp_path, check=False, HF_TOKEN="hf_other")
    assert wrong.returncode == 1 and "hf_other" not in wrong.stderr
    shown = add(hub, tmp_path, HF_TOKEN="hf_secret")
    assert "hf_secret" not in shown.stdout + shown.stderr
    assert any(storage for storage, *_ in hub.requests)
    assert all(authorization is None for storage, _, _, authorization in hub.requests if storage)


def test_a_dry_run_downloads_nothing(hub, tmp_path):
    shown = add(hub, tmp_path, "--dry-run").stdout
    assert f"hf:{REPOSITORY}@{COMMIT}" in shown and "model.safetensors" in shown and "total" in shown
    assert not any("/resolve/" in path for _, path, _, _ in hub.requests) and not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hf:tinyorg", "is not hf:OWNER/NAME"), ("hf:tinyorg/../x", "is not hf:OWNER/NAME"),
        ("hf:tinyorg/Other", "has no tinyorg/Other at main"), (f"hf:{REPOSITORY}@v9", "at v9"),
        (f"hf:{REPOSITORY}/missing.gguf", "has no file missing.gguf"),
    ],
)
def test_what_cannot_be_had_is_said(hub, tmp_path, reference, said):
    refused = add(hub, tmp_path, reference=reference, check=False)
    assert refused.returncode == 1 and said in refused.stderr


def test_a_certificate_that_is_not_trusted_is_told_in_words(hub, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        refused = add(hub, tmp_path, check=False, HF_ENDPOINT=f"https://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
    assert refused.returncode == 1 and "a certificate that this machine does not trust" in refused.stderr
    assert "SSL" not in refused.stderr and ".cc" not in refused.stderr
