import Crypto
import Foundation
import SwiftASN1
import WirePayloads
import WireProtocol
import X509

/// The coordinator's own certificate authority: a P-256 key that signs workers' client certificates
/// and, unless the operator provides a public one, the server's certificate.
///
/// Times are parameters. Serial numbers and keys come from the system's cryptographic generator.
package struct Authority: Sendable {
  /// The self-signed certificate that workers pin by its fingerprint.
  package let certificate: Certificate
  private let privateKey: Certificate.PrivateKey

  /// Certificates begin this long before they are issued, for peers whose clocks are slow.
  private static let backdatingSeconds: TimeInterval = 3600
  private static let authorityValiditySeconds: TimeInterval = 20 * 365 * 86400

  /// Makes a new authority, valid for twenty years from `now`.
  package init(creatingAt now: Date) throws {
    let key = P256.Signing.PrivateKey()
    let privateKey = Certificate.PrivateKey(key)
    let name = try DistinguishedName {
      OrganizationName("Tallystick")
      // A random part tells one coordinator's authority from another's in error messages.
      CommonName("Tallystick CA \(RandomName.suffix().prefix(8))")
    }
    self.privateKey = privateKey
    self.certificate = try Certificate(
      version: .v3, serialNumber: .init(), publicKey: privateKey.publicKey,
      notValidBefore: now.addingTimeInterval(-Self.backdatingSeconds),
      notValidAfter: now.addingTimeInterval(Self.authorityValiditySeconds),
      issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
        Critical(KeyUsage(keyCertSign: true, cRLSign: true))
        SubjectKeyIdentifier(hash: privateKey.publicKey)
      },
      issuerPrivateKey: privateKey)
  }

  /// Takes a stored authority.
  ///
  /// - Throws: `CertificateRefusal` when one of the two is none, or they do not belong together.
  package init(certificatePEM: String, privateKeyPEM: String) throws {
    guard let certificate = try? Certificate(pemEncoded: certificatePEM) else {
      throw CertificateRefusal.certificateMalformed
    }
    guard let key = try? P256.Signing.PrivateKey(pemRepresentation: privateKeyPEM) else {
      throw CertificateRefusal.keyMalformed
    }
    self.certificate = certificate
    self.privateKey = Certificate.PrivateKey(key)
    guard privateKey.publicKey == certificate.publicKey else {
      throw CertificateRefusal.keyDoesNotMatchCertificate
    }
  }

  /// The certificate in PEM.
  package func certificatePEM() throws -> String {
    try certificate.serializeAsPEM().pemString + "\n"
  }

  /// The private key in PKCS#8 PEM. It goes to a file that only its owner reads, and nowhere else.
  package func privateKeyPEM() throws -> String {
    try privateKey.serializeAsPEM().pemString + "\n"
  }

  /// SHA-256 of the certificate's DER bytes, which invitations carry.
  package func fingerprint() throws -> WireProtocol.Digest {
    BlobDigest.sha256(try certificate.serializeAsPEM().derBytes)
  }

  /// A certificate for the server itself, with a new key.
  ///
  /// - Parameters:
  ///   - hosts: DNS names and IPv4 or IPv6 addresses that clients use; at least one.
  ///   - begin: from when it is valid, if that is before `now`.
  /// - Returns: certificate and PKCS#8 key in PEM.
  package func issueServerCertificate(
    hosts: [String], from begin: Date? = nil, now: Date, validSeconds: TimeInterval
  ) throws -> (certificatePEM: String, privateKeyPEM: String) {
    guard let first = hosts.first else { throw CertificateRefusal.noHostName }
    let key = P256.Signing.PrivateKey()
    let certificate = try issue(
      publicKey: .init(key.publicKey), commonName: String(first.prefix(64)),
      usage: .serverAuth, alternativeNames: hosts.map(Self.generalName), from: begin, now: now,
      validSeconds: validSeconds)
    return (try certificate.serializeAsPEM().pemString + "\n", key.pemRepresentation + "\n")
  }

  /// A client certificate over the key of a verified signing request. Every name is the
  /// coordinator's choice: the subject is the worker's identifier.
  package func issueWorkerCertificate(
    workerID: String, request: VerifiedSigningRequest, now: Date, validSeconds: TimeInterval
  ) throws -> IssuedCertificate {
    let certificate = try issue(
      publicKey: .init(request.publicKey), commonName: workerID, usage: .clientAuth,
      alternativeNames: [], now: now, validSeconds: validSeconds)
    return IssuedCertificate(
      pem: try certificate.serializeAsPEM().pemString + "\n",
      der: Data(try certificate.serializeAsPEM().derBytes),
      notAfter: Int(certificate.notValidAfter.timeIntervalSince1970))
  }

  private func issue(
    publicKey: Certificate.PublicKey, commonName: String, usage: ExtendedKeyUsage.Usage,
    alternativeNames: [GeneralName], from begin: Date? = nil, now: Date, validSeconds: TimeInterval
  ) throws -> Certificate {
    try Certificate(
      version: .v3, serialNumber: .init(), publicKey: publicKey,
      notValidBefore: min(begin ?? now, now).addingTimeInterval(-Self.backdatingSeconds),
      notValidAfter: min(now.addingTimeInterval(validSeconds), certificate.notValidAfter),
      issuer: certificate.subject,
      subject: DistinguishedName {
        OrganizationName("Tallystick")
        CommonName(commonName)
      },
      signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage([usage])
        SubjectKeyIdentifier(hash: publicKey)
        AuthorityKeyIdentifier(
          keyIdentifier: SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier)
        if !alternativeNames.isEmpty { SubjectAlternativeNames(alternativeNames) }
      },
      issuerPrivateKey: privateKey)
  }

  private static func generalName(_ host: String) -> GeneralName {
    var v4 = in_addr()
    if inet_pton(AF_INET, host, &v4) == 1 {
      return .ipAddress(ASN1OctetString(contentBytes: withUnsafeBytes(of: v4) { Array($0)[...] }))
    }
    var v6 = in6_addr()
    if inet_pton(AF_INET6, host, &v6) == 1 {
      return .ipAddress(ASN1OctetString(contentBytes: withUnsafeBytes(of: v6) { Array($0)[...] }))
    }
    return .dnsName(host)
  }
}

/// A client certificate that the authority has just signed.
package struct IssuedCertificate: Hashable, Sendable {
  package var pem: String
  package var der: Data
  /// Seconds since 1970.
  package var notAfter: Int
}

/// Why a certificate or signing request is refused.
package enum CertificateRefusal: Error, Hashable, CustomStringConvertible {
  case certificateMalformed
  case keyMalformed
  case keyDoesNotMatchCertificate
  case noHostName
  case requestTooLarge
  case requestMalformed
  case requestKeyNotP256
  case requestSignatureInvalid

  package var description: String {
    switch self {
    case .certificateMalformed: "the certificate is none in PEM"
    case .keyMalformed: "the private key is no P-256 key in PEM"
    case .keyDoesNotMatchCertificate: "the private key does not belong to the certificate"
    case .noHostName: "a server certificate needs at least one host name or address"
    case .requestTooLarge: "the signing request is too large"
    case .requestMalformed: "the signing request is not a PKCS#10 request in PEM"
    case .requestKeyNotP256: "the signing request's key is not ECDSA P-256"
    case .requestSignatureInvalid:
      "the signing request's signature does not verify with the key that it carries"
    }
  }
}

extension Authority {
  /// Whether a client's certificate (DER) is one that this authority signed for workers.
  ///
  /// When it begins and ends is not looked at: our own clock may be wrong, which a handshake could
  /// not explain. `WorkerAuthentication` judges that for each request.
  package func isWorkerCertificate(_ der: [UInt8]) -> Bool {
    guard let client = try? Certificate(derEncoded: der),
      let usage = try? client.extensions.extendedKeyUsage, usage.contains(.clientAuth),
      let constraints = try? client.extensions.basicConstraints,
      constraints == .notCertificateAuthority
    else { return false }
    return client.issuer == certificate.subject
      && certificate.publicKey.isValidSignature(client.signature, for: client)
  }

  /// Whether a stored server certificate is ours, belongs to its key, names every host, and is
  /// valid from one time to the other.
  package func isUsable(
    serverCertificatePEM: String, privateKeyPEM: String, hosts: [String], from begin: Date,
    until end: Date
  ) throws -> Bool {
    let stored = try Certificate(pemEncoded: serverCertificatePEM)
    let key = try Certificate.PrivateKey(pemEncoded: privateKeyPEM)
    let names = Array(try stored.extensions.subjectAlternativeNames ?? SubjectAlternativeNames())
    return stored.notValidBefore <= begin && stored.notValidAfter >= end
      && stored.publicKey == key.publicKey
      && certificate.publicKey.isValidSignature(stored.signature, for: stored)
      && hosts.map(Self.generalName).allSatisfy(names.contains)
  }
}
