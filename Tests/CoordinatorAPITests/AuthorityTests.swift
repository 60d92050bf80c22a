import CoordinatorAPI
import Crypto
import Foundation
import SwiftASN1
import TestSupport
import Testing
import X509

@Suite struct AuthorityTests {
  static let now = Date(timeIntervalSince1970: 1_800_000_000)

  static func request(key: P256.Signing.PrivateKey) throws -> CertificateSigningRequest {
    try CertificateSigningRequest(
      version: .v1, subject: DistinguishedName { CommonName("root") },
      privateKey: .init(key), attributes: .init())
  }

  @Test func issuesAWorkerCertificateWithItsOwnNames() throws {
    let authority = try Authority(creatingAt: Self.now)
    let key = P256.Signing.PrivateKey()
    let pem = try Self.request(key: key).serializeAsPEM().pemString
    let workerID = "worker_" + RandomName.suffix()
    let issued = try authority.issueWorkerCertificate(
      workerID: workerID, request: VerifiedSigningRequest(pem: pem), now: Self.now,
      validSeconds: 30 * 86400)

    let certificate = try Certificate(pemEncoded: issued.pem)
    #expect(issued.notAfter == 1_800_000_000 + 30 * 86400)
    #expect(
      authority.certificate.publicKey.isValidSignature(certificate.signature, for: certificate))
    #expect(!String(describing: certificate.subject).contains("root"))
    #expect(try certificate.extensions.basicConstraints == .notCertificateAuthority)
    var serializer = DER.Serializer()
    try serializer.serialize(certificate)
    let identity = try #require(WorkerIdentity(der: serializer.serializedBytes))
    #expect(identity.workerID == workerID)
    #expect(identity.publicKey == key.publicKey.x963Representation)
    #expect(Data(serializer.serializedBytes) == issued.der)
    #expect(identity.notAfter == issued.notAfter)
  }

  @Test func tamperedRequestsAreRefused() throws {
    let key = P256.Signing.PrivateKey()
    let request = try Self.request(key: key)
    var serializer = DER.Serializer()
    try serializer.serialize(request)
    let der = serializer.serializedBytes
    var random = SeededRandom(seed: 7)
    for position in 0..<der.count {
      var bytes = der
      bytes[position] ^= UInt8.random(in: 1...255, using: &random)
      let pem = PEMDocument(type: "CERTIFICATE REQUEST", derBytes: bytes).pemString
      #expect(throws: CertificateRefusal.self, "byte \(position)") {
        try VerifiedSigningRequest(pem: pem)
      }
    }
    // A well-formed request over another's key.
    let stolen = try CertificateSigningRequest(
      version: .v1, subject: request.subject, publicKey: .init(P256.Signing.PrivateKey().publicKey),
      attributes: .init(), signatureAlgorithm: request.signatureAlgorithm,
      signature: request.signature)
    #expect(throws: CertificateRefusal.requestSignatureInvalid) {
      try VerifiedSigningRequest(pem: stolen.serializeAsPEM().pemString)
    }
  }

  @Test func otherKeysAndRubbishAreRefused() throws {
    let p384 = try CertificateSigningRequest(
      version: .v1, subject: DistinguishedName { CommonName("x") },
      privateKey: .init(P384.Signing.PrivateKey()), attributes: .init())
    #expect(throws: CertificateRefusal.requestKeyNotP256) {
      try VerifiedSigningRequest(pem: p384.serializeAsPEM().pemString)
    }
    let ed25519 = try CertificateSigningRequest(
      version: .v1, subject: DistinguishedName { CommonName("x") },
      privateKey: .init(Curve25519.Signing.PrivateKey()), attributes: .init())
    #expect(throws: CertificateRefusal.requestKeyNotP256) {
      try VerifiedSigningRequest(pem: ed25519.serializeAsPEM().pemString)
    }
    for text in [
      "", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
    ] {
      #expect(throws: CertificateRefusal.requestMalformed) { try VerifiedSigningRequest(pem: text) }
    }
    #expect(throws: CertificateRefusal.requestTooLarge) {
      try VerifiedSigningRequest(pem: String(repeating: "A", count: 20000))
    }
  }

  @Test func survivesStorage() throws {
    let authority = try Authority(creatingAt: Self.now)
    let again = try Authority(
      certificatePEM: authority.certificatePEM(), privateKeyPEM: authority.privateKeyPEM())
    #expect(try again.fingerprint() == authority.fingerprint())
    let other = try Authority(creatingAt: Self.now)
    #expect(throws: CertificateRefusal.keyDoesNotMatchCertificate) {
      try Authority(
        certificatePEM: authority.certificatePEM(), privateKeyPEM: other.privateKeyPEM())
    }
  }

  @Test func serverCertificatesNameHostsAndAddresses() throws {
    let authority = try Authority(creatingAt: Self.now)
    let issued = try authority.issueServerCertificate(
      hosts: ["localhost", "127.0.0.1", "::1"], now: Self.now, validSeconds: 86400)
    let certificate = try Certificate(pemEncoded: issued.certificatePEM)
    let names = try #require(try certificate.extensions.subjectAlternativeNames)
    #expect(Array(names).count == 3)
    #expect(Array(names).first == .dnsName("localhost"))
    #expect(Array(names)[1] == .ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1])))
    let key = try P256.Signing.PrivateKey(pemRepresentation: issued.privateKeyPEM)
    #expect(certificate.publicKey == .init(key.publicKey))
    #expect(WorkerIdentity(der: try der(certificate)) == nil)
  }

  @Test func onlyItsOwnWorkersPassTheHandshakeWhateverTheTime() throws {
    let (authority, other) = (
      try Authority(creatingAt: Self.now), try Authority(creatingAt: Self.now)
    )
    func worker(_ authority: Authority, now: Date = Self.now) throws -> [UInt8] {
      let pem = try Self.request(key: P256.Signing.PrivateKey()).serializeAsPEM().pemString
      return Array(
        try authority.issueWorkerCertificate(
          workerID: "worker_" + RandomName.suffix(), request: VerifiedSigningRequest(pem: pem),
          now: now, validSeconds: 60
        ).der)
    }
    for days in [-4000.0, 0, 4000] {
      #expect(
        authority.isWorkerCertificate(try worker(authority, now: Self.now + days * 86400)))
    }
    #expect(!authority.isWorkerCertificate(try worker(other)))
    let server = try authority.issueServerCertificate(
      hosts: ["localhost"], now: Self.now, validSeconds: 60)
    #expect(
      !authority.isWorkerCertificate(try der(Certificate(pemEncoded: server.certificatePEM))))
    #expect(!authority.isWorkerCertificate(try der(authority.certificate)))
    var changed = try worker(authority)
    changed[changed.count / 2] ^= 1
    #expect(!authority.isWorkerCertificate(changed))
    #expect(!authority.isWorkerCertificate([]))
  }

  private func der(_ certificate: Certificate) throws -> [UInt8] {
    var serializer = DER.Serializer()
    try serializer.serialize(certificate)
    return serializer.serializedBytes
  }
}
