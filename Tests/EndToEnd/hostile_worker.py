"""A worker as a stranger writes it: enrolled, leased, and then it sends whatever the test wants."""

import base64
import ctypes
import ctypes.util
import hashlib
import http.client
import json
import ssl
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VERSIONS = {"protocolVersion": 1, "programVersion": "0.1.0", "numericsProfile": "exact-1"}


def compress(data, level=3):
    """One zstd frame, by the system's library."""
    library = ctypes.CDLL(ctypes.util.find_library("zstd"))
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    library.ZSTD_compress.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int,
    ]
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(len(data)))
    return room.raw[: library.ZSTD_compress(room, len(room), data, len(data), level)]


def generate_result(sequences, tokens, width, finish):
    """A result of zeros: so many tokens in each sequence, so many alternatives of each."""
    count = sequences * tokens
    sizes = [
        ("logprobs", "F32", [count]), ("offsets", "I32", [sequences + 1]), ("tokens", "I32", [count]),
        ("top_logprobs", "F32", [count * width]), ("top_tokens", "I32", [count * width]), ("finish", "U8", [sequences]),
    ]
    header, offset = {}, 0
    for name, kind, shape in sizes:
        size = shape[0] * (1 if kind == "U8" else 4)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    spelled = json.dumps(header, separators=(",", ":")).encode()
    spelled += b" " * (-len(spelled) % 8)
    offsets = struct.pack(f"<{sequences + 1}i", *range(0, count + 1, tokens))
    return b"".join(
        [struct.pack("<Q", len(spelled)), spelled, bytes(4 * count), offsets, bytes(4 * count), bytes(8 * count * width)]
        + [bytes(finish)]
    )


class HostileWorker:
    """An enrolled worker whose requests are made by hand."""

    def __init__(self, coordinator, folder, account):
        self.coordinator = coordinator
        folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, account)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        text = coordinator.invitation(account).removeprefix("tally1.")
        invitation = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        self.context = ssl.create_default_context(cafile=coordinator.authority)
        status, _, body = self.send(
            "POST",
            "/worker/v1/enroll",
            json.dumps(
                {
                    "versions": VERSIONS,
                    "secret": invitation["secret"],
                    "signingRequest": request.public_bytes(serialization.Encoding.PEM).decode(),
                    "workerName": account,
                }
            ).encode(),
        )
        assert status == 200, body
        (folder / "certificate.pem").write_text(json.loads(body)["certificate"])
        (folder / "key.pem").write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    def connection(self, timeout=180):
        return http.client.HTTPSConnection("127.0.0.1", self.coordinator.port, context=self.context, timeout=timeout)

    def send(self, method, path, body=b"", headers=None):
        """Status, headers and body of the answer, on a connection of its own."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def lease(self, units=1):
        """The leases that it is given."""
        status, _, body = self.send(
            "POST",
            "/worker/v1/lease",
            json.dumps(
                {
                    "versions": VERSIONS, "threads": 1, "memoryLimitBytes": 1 << 40, "cacheFreeBytes": 1 << 40,
                    "cachedModels": [], "secondsWanted": 3600, "maximumUnits": units,
                }
            ).encode(),
        )
        assert status == 200, body
        return json.loads(body)["leases"]

    def result_headers(self, lease, data):
        """The headers of a result, signed as they should be."""
        digest = hashlib.sha256(data).hexdigest()
        statement = f"tally-result-1\n{lease['unit']}\n{digest}".encode()
        return {
            "tally-digest": digest,
            "tally-size": str(len(data)),
            "tally-signature": base64.b64encode(self.key.sign(statement, ec.ECDSA(hashes.SHA256()))).decode(),
            "tally-versions": json.dumps(VERSIONS),
        }

    def upload(self, lease, headers, body):
        """Sends a result; its status and headers."""
        return self.send("PUT", f"/worker/v1/leases/{lease['id']}/result", body, headers)[:2]
