import enum Crypto.P256
import Foundation
import SwiftASN1
import WirePayloads
import WireProtocol
import X509

/// A certificate authority for tests: one for the stub coordinator, others that it does not know.
struct TestAuthority: Sendable {
  let certificate: Certificate
  private let key: Certificate.PrivateKey

  init(name: String = "test CA") throws {
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    self.key = key
    let subject = try DistinguishedName { CommonName(name) }
    certificate = try Certificate(
      version: .v3, serialNumber: .init(), publicKey: key.publicKey,
      notValidBefore: Date() - 3600, notValidAfter: Date() + 86400, issuer: subject,
      subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
        Critical(KeyUsage(keyCertSign: true))
        SubjectKeyIdentifier(hash: key.publicKey)
      },
      issuerPrivateKey: key)
  }

  var pem: String {
    get throws { try certificate.serializeAsPEM().pemString + "\n" }
  }

  var fingerprint: WireProtocol.Digest {
    get throws { BlobDigest.sha256(try certificate.serializeAsPEM().derBytes) }
  }

  /// A certificate for 127.0.0.1, with its key, in PEM.
  func server() throws -> (certificate: String, key: String) {
    let key = P256.Signing.PrivateKey()
    let address = ASN1OctetString(contentBytes: [127, 0, 0, 1])
    let certificate = try issue(
      .init(key.publicKey), "server", .serverAuth, validSeconds: 86400,
      SubjectAlternativeNames([.ipAddress(address)]))
    return (try certificate.serializeAsPEM().pemString, key.pemRepresentation)
  }

  /// A client certificate over a signing request's key, in PEM; throws when the request's signature
  /// is wrong.
  func client(_ request: String, name: String, validSeconds: Double) throws -> String {
    let request = try CertificateSigningRequest(pemEncoded: request)
    guard request.publicKey.isValidSignature(request.signature, for: request) else {
      throw TestAuthorityError.wrongSignature
    }
    return try issue(request.publicKey, name, .clientAuth, validSeconds: validSeconds, nil)
      .serializeAsPEM().pemString
  }

  private func issue(
    _ publicKey: Certificate.PublicKey, _ name: String, _ usage: ExtendedKeyUsage.Usage,
    validSeconds: Double, _ names: SubjectAlternativeNames?
  ) throws -> Certificate {
    try Certificate(
      version: .v3, serialNumber: .init(), publicKey: publicKey, notValidBefore: Date() - 3600,
      notValidAfter: Date() + validSeconds, issuer: certificate.subject,
      subject: DistinguishedName { CommonName(name) }, signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage([usage])
        if let names { names }
      },
      issuerPrivateKey: key)
  }
}

enum TestAuthorityError: Error {
  case wrongSignature
}
