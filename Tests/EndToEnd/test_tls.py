"""Who gets in: an independent TLS peer (OpenSSL, through Python's ssl) knocks at the worker routes."""

import datetime
import json
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from processes import tally

LEASE = "/worker/v1/lease"


def versions():
    answer = tally("--version").stdout.split()
    return {"protocolVersion": 1, "programVersion": answer[1], "numericsProfile": "exact-1"}


def lease_request(**changes):
    request = {
        "versions": versions(),
        "threads": 1,
        "memoryLimitBytes": 1 << 30,
        "cacheFreeBytes": 1 << 30,
        "cachedModels": [],
        "secondsWanted": 1,
        "maximumUnits": 1,
    }
    return {**request, **changes}


def ask(coordinator, path, message, *, context=None):
    """Sends one request over a connection of its own; returns status and body, or raises what the handshake did."""
    context = context or coordinator.context
    body = json.dumps(message).encode()
    with socket.create_connection(("127.0.0.1", coordinator.port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            head = (
                f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), "closed without an answer"
    if b"transfer-encoding: chunked" in head.lower():
        content = unchunked(content)
    return int(head.split()[1]), json.loads(content) if content else None


def unchunked(content):
    joined = b""
    while content:
        size, _, rest = content.partition(b"\r\n")
        count = int(size, 16)
        joined, content = joined + rest[:count], rest[count + 2 :]
        if count == 0:
            break
    return joined


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate(key, issuer_key, issuer_name, *, days=(-1, 30), name="worker"):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def context_with(coordinator, folder, certificate_pem, key_pem):
    (folder / "cert.pem").write_bytes(certificate_pem)
    (folder / "key.pem").write_bytes(key_pem)
    context = coordinator.context
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def assert_refused(coordinator, context):
    """No lease: the handshake fails, the connection closes, or the answer is 401."""
    try:
        status, body = ask(coordinator, LEASE, lease_request(), context=context)
    except (ssl.SSLError, ConnectionError, AssertionError) as refusal:
        print("refused by the connection:", refusal)
        return
    assert status == 401, (status, body)
    assert body["error"]["code"] == "certificate_required"


@pytest.fixture(scope="module")
def peer(fleet, tmp_path_factory):
    """A worker that is not ours: enrolled by hand, to show that the others are refused for their certificates."""
    coordinator = fleet.coordinator
    text = coordinator.invitation("outsider").removeprefix("tally1.")
    import base64

    invitation = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    message = {
        "versions": versions(),
        "secret": invitation["secret"],
        "signingRequest": request,
        "workerName": "outsider",
    }
    status, body = ask(coordinator, "/worker/v1/enroll", message)
    assert status == 200, body
    folder = tmp_path_factory.mktemp("peer")
    return context_with(coordinator, folder, body["certificate"].encode(), pem(key)), invitation


def authority_key(coordinator):
    return serialization.load_pem_private_key((coordinator.data / "ca.key.pem").read_bytes(), None)


def authority_name(coordinator):
    return x509.load_pem_x509_certificate(coordinator.authority.read_bytes()).subject


def test_an_enrolled_certificate_is_served(fleet, peer):
    context, _ = peer
    status, body = ask(fleet.coordinator, LEASE, lease_request(), context=context)
    assert status == 200, body
    assert "leases" in body


def test_no_certificate_is_refused(fleet, peer):
    assert_refused(fleet.coordinator, fleet.coordinator.context)


def test_tls_1_2_is_refused(fleet, peer):
    context, _ = peer
    context = ssl.create_default_context(cafile=fleet.coordinator.authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(fleet.coordinator, LEASE, lease_request(), context=context)
    answer = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{fleet.coordinator.port}", "-tls1_2"],
        input="", capture_output=True, text=True, timeout=30,
    )
    assert "Cipher is (NONE)" in answer.stdout, answer.stdout


def test_a_foreign_authority_is_refused(fleet, peer, tmp_path):
    foreign, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # Even under the name of the coordinator's own authority.
    made = certificate(key, foreign, authority_name(fleet.coordinator))
    context = context_with(fleet.coordinator, tmp_path, made.public_bytes(serialization.Encoding.PEM), pem(key))
    assert_refused(fleet.coordinator, context)


def test_an_expired_certificate_is_refused(fleet, peer, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificate(key, authority_key(fleet.coordinator), authority_name(fleet.coordinator), days=(-10, -1))
    context = context_with(fleet.coordinator, tmp_path, made.public_bytes(serialization.Encoding.PEM), pem(key))
    assert_refused(fleet.coordinator, context)


def test_a_certificate_that_was_never_issued_is_refused(fleet, peer, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificate(key, authority_key(fleet.coordinator), authority_name(fleet.coordinator))
    context = context_with(fleet.coordinator, tmp_path, made.public_bytes(serialization.Encoding.PEM), pem(key))
    assert_refused(fleet.coordinator, context)


def test_an_invitation_is_used_up(fleet, peer):
    _, invitation = peer
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    message = {"versions": versions(), "secret": invitation["secret"], "signingRequest": request, "workerName": "again"}
    status, body = ask(fleet.coordinator, "/worker/v1/enroll", message)
    assert status == 403, body
    assert body["error"]["code"] == "invitation_invalid"


@pytest.mark.parametrize("change", [{"protocolVersion": 99}, {"numericsProfile": "exact-0"}, {"protocolVersion": 0}])
def test_other_versions_are_told_what_to_upgrade(fleet, peer, change):
    context, _ = peer
    message = lease_request(versions={**versions(), **change})
    status, body = ask(fleet.coordinator, LEASE, message, context=context)
    assert status == 426, body
    assert body["error"]["code"] == "upgrade_required"
    assert any(word in body["error"]["message"] for word in ("Upgrade", "upgrade", "Install"))
