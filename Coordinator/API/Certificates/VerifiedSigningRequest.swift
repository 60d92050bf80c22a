import Crypto
import SwiftASN1
import X509

/// A PKCS#10 request whose sender has proven to hold the private key. Its names and attributes are
/// ignored.
package struct VerifiedSigningRequest: Sendable {
  /// The key to certify.
  package let publicKey: P256.Signing.PublicKey

  private static let maximumBytes = 16384

  /// Reads and verifies a request in PEM.
  ///
  /// swift-certificates parses a request without checking its signature, so a tampered one must be
  /// caught here.
  /// - Throws: `CertificateRefusal`.
  package init(pem: String) throws {
    guard pem.utf8.count <= Self.maximumBytes else { throw CertificateRefusal.requestTooLarge }
    let request: CertificateSigningRequest
    do {
      request = try CertificateSigningRequest(pemEncoded: pem)
    } catch {
      throw CertificateRefusal.requestMalformed
    }
    guard let key = P256.Signing.PublicKey(request.publicKey) else {
      throw CertificateRefusal.requestKeyNotP256
    }
    guard request.publicKey.isValidSignature(request.signature, for: request) else {
      throw CertificateRefusal.requestSignatureInvalid
    }
    self.publicKey = key
  }
}
