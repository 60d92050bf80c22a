import CoordinatorAPI
import CoordinatorServer
import Foundation
import TestSupport
import Testing

@Suite struct ServerCertificateTests {
  private let temporary: TemporaryFolder
  private let authority: Authority
  private var chain: URL { temporary.url.appending(path: "chain.pem") }
  private var key: URL { temporary.url.appending(path: "key.pem") }

  init() throws {
    temporary = try TemporaryFolder()
    authority = try Authority(creatingAt: AuthorityTests.now)
  }

  private func issue(days: Double) throws -> (certificatePEM: String, privateKeyPEM: String) {
    try authority.issueServerCertificate(
      hosts: ["localhost"], now: AuthorityTests.now, validSeconds: days * 86400)
  }

  private func write(_ text: String, to file: URL) throws {
    try Data(text.utf8).write(to: file, options: .atomic)
  }

  private func end(days: Int) -> Int {
    Int(AuthorityTests.now.timeIntervalSince1970) + days * 86400
  }

  @Test func newFilesAreTakenUpOnceTheyBelongTogether() throws {
    let (old, new) = (try issue(days: 10), try issue(days: 20))
    try write(old.certificatePEM, to: chain)
    try write(old.privateKeyPEM, to: key)
    let certificate = try ServerCertificate(chainFile: chain, keyFile: key)
    #expect(certificate.end.seconds == end(days: 10))
    #expect(try !certificate.refresh())

    // As a renewal goes: one file, then the other, of which a reader may see half.
    try write(new.certificatePEM, to: chain)
    #expect {
      try certificate.refresh()
    } throws: {
      "\($0)" == "\(key.path): this key does not belong to the certificate in \(chain.path)"
    }
    try write(String(new.privateKeyPEM.prefix(100)), to: key)
    #expect { try certificate.refresh() } throws: { "\($0)".contains("no whole private key") }
    try FileManager.default.removeItem(at: key)
    #expect { try certificate.refresh() } throws: {
      "\($0)" == "\(key.path): the file cannot be read"
    }
    #expect(certificate.end.seconds == end(days: 10))
    try write(new.privateKeyPEM, to: key)
    #expect(try certificate.refresh())
    #expect(certificate.end.seconds == end(days: 20))

    try write("-----BEGIN CERTIFICATE-----\n", to: chain)
    #expect { try certificate.refresh() } throws: { "\($0)".contains("no whole certificate chain") }
    #expect(certificate.end.seconds == end(days: 20))
  }

  @Test func aCoordinatorDoesNotStartWithAPairThatDoesNotBelongTogether() throws {
    try write(try issue(days: 10).certificatePEM, to: chain)
    try write(try issue(days: 10).privateKeyPEM, to: key)
    #expect { try ServerCertificate(chainFile: chain, keyFile: key) } throws: {
      "\($0)".contains("does not belong to the certificate")
    }
  }
}
