import CoordinatorAPI
import HummingbirdTLS
import NIOSSL

/// One port, TLS 1.3, client certificates optional: a certificate that our authority did not sign
/// fails the handshake, none at all is for each route to judge.
enum TLSListener {
  /// - Parameter certificate: what each handshake shows, as it is then.
  static func configuration(
    certificate: ServerCertificate, authority: Authority
  ) throws -> TLSChannelConfiguration {
    let root = try NIOSSLCertificate(
      bytes: Array(try authority.certificatePEM().utf8), format: .pem)
    var configuration = certificate.served.configuration
    configuration.sslContextCallback = { _, promise in
      var present = NIOSSLContextConfigurationOverride()
      present.certificateChain = certificate.served.chain
      present.privateKey = certificate.served.key
      promise.succeed(present)
    }
    configuration.minimumTLSVersion = .tlsv13
    configuration.certificateVerification = .optionalVerification
    configuration.trustRoots = .certificates([root])
    // Tells clients which of their certificates is asked for.
    configuration.sendCANameList = true
    configuration.applicationProtocols = ["http/1.1"]
    return TLSChannelConfiguration(
      tlsConfiguration: configuration,
      customVerificationCallback: { chain, promise in
        let der = try? chain.first?.toDERBytes()
        promise.succeed(
          der.map(authority.isWorkerCertificate) == true ? .certificateVerified : .failed)
      })
  }
}
