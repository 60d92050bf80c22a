import Foundation
import NIOCore
import NIOSSL

/// A worker's P-256 key: proves who the worker is in the TLS handshake and signs its results.
///
/// What it can do is all that the daemon needs, so that a key in hardware can take the place of one
/// on disk: no implementation has to give the private key away.
package protocol WorkerKey: AnyObject, Sendable {
  /// An ECDSA signature (DER) over the SHA-256 of `message`. Called on event loops: must not block
  /// for long.
  func signature(over message: Data) throws -> Data

  /// A PKCS#10 signing request in PEM, signed by this key, whose subject is `commonName`.
  func signingRequest(commonName: String) throws -> String
}

/// Lends a worker's key to swift-nio-ssl. Equal when the key is the same object, so that
/// connections are reused.
struct TLSClientKey: NIOSSLCustomPrivateKey, Hashable {
  let key: any WorkerKey

  var signatureAlgorithms: [SignatureAlgorithm] { [.ecdsaSecp256R1Sha256] }

  func sign(
    channel: any Channel, algorithm: SignatureAlgorithm, data: ByteBuffer
  ) -> EventLoopFuture<ByteBuffer> {
    channel.eventLoop.makeCompletedFuture {
      guard algorithm == .ecdsaSecp256R1Sha256 else {
        throw LibcryptoError(doing: "signing for an algorithm that the key does not have")
      }
      return ByteBuffer(bytes: try key.signature(over: Data(data.readableBytesView)))
    }
  }

  /// RSA key exchange alone decrypts; TLS 1.3 has none.
  func decrypt(channel: any Channel, data: ByteBuffer) -> EventLoopFuture<ByteBuffer> {
    channel.eventLoop.makeFailedFuture(LibcryptoError(doing: "decrypting with a P-256 key"))
  }

  static func == (left: TLSClientKey, right: TLSClientKey) -> Bool { left.key === right.key }
  func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(key)) }
}
