import Crypto
import Foundation
import NIOCore
import NIOSSL
import WirePayloads
import WireProtocol
import X509

/// Who is at the other end of a connection, from a client certificate that the TLS layer has
/// verified against the coordinator's authority.
package struct WorkerIdentity: Hashable, Sendable {
  /// The subject's common name: `worker_` and 24 letters or digits.
  package var workerID: String
  /// The certificate's DER.
  package var der: Data
  /// SHA-256 of the certificate's DER, by which the store knows it.
  package var fingerprint: WireProtocol.Digest
  /// X9.63 bytes of the certificate's key, which verifies signatures of results.
  package var publicKey: Data
  /// SHA-256 of the DER of the certificate's key, by which the store knows the worker's.
  package var publicKeyDigest: WireProtocol.Digest
  /// End of validity, in seconds since 1970.
  package var notAfter: Int

  /// Reads a verified certificate; nil unless its key is P-256 and its subject names a worker.
  package init?(der: [UInt8]) {
    guard let certificate = try? Certificate(derEncoded: der),
      let key = P256.Signing.PublicKey(certificate.publicKey)
    else { return nil }
    var names: [String] = []
    for part in certificate.subject {
      for attribute in part where attribute.type == .RDNAttributeType.commonName {
        names.append(attribute.value.description)
      }
    }
    guard names.count == 1, let name = names.first, name.hasPrefix("worker_"),
      name.utf8.count == 31
    else { return nil }
    self.workerID = name
    self.der = Data(der)
    self.fingerprint = BlobDigest.sha256(der)
    self.publicKey = key.x963Representation
    self.publicKeyDigest = BlobDigest.sha256(key.derRepresentation)
    self.notAfter = Int(certificate.notValidAfter.timeIntervalSince1970)
  }

  /// The peer's identity on `channel`; nil without TLS, without a certificate, or for one that
  /// names no worker.
  ///
  /// The TLS handshake has failed already when the authority did not sign the certificate. Its time
  /// and whether it was revoked are for callers to check, for each request of a long connection.
  package static func peer(of channel: any Channel) async throws -> WorkerIdentity? {
    let bytes: [UInt8]? = try await channel.eventLoop.submit {
      guard let certificate = try? channel.pipeline.syncOperations.nioSSL_peerCertificate() else {
        return nil
      }
      return try certificate.toDERBytes()
    }.get()
    return bytes.flatMap(WorkerIdentity.init(der:))
  }
}
