import CoordinatorAPI
import Foundation
import NIOSSL

/// One port, TLS 1.3, client certificates optional: a certificate that does not chain to our
/// authority fails the handshake, none at all is for each route to judge.
package enum TLSListener {
  /// - Parameter certificate: chain and key in PEM.
  package static func configuration(
    certificate: (chainPEM: String, keyPEM: String), authority: Authority
  ) throws -> TLSConfiguration {
    let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.chainPEM.utf8))
    let key = try NIOSSLPrivateKey(bytes: Array(certificate.keyPEM.utf8), format: .pem)
    let root = try NIOSSLCertificate(
      bytes: Array(try authority.certificatePEM().utf8), format: .pem)
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
    configuration.minimumTLSVersion = .tlsv13
    configuration.certificateVerification = .optionalVerification
    configuration.trustRoots = .certificates([root])
    // Tells clients which of their certificates is asked for.
    configuration.sendCANameList = true
    configuration.applicationProtocols = ["http/1.1"]
    return configuration
  }
}
