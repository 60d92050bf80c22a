import struct Crypto.SHA256
import struct Crypto.SHA256Digest
import Foundation
import WireProtocol

/// Computes the names of blobs: SHA-256 over their uncompressed bytes.
package enum BlobDigest {
  /// The name of a blob that is in memory.
  package static func sha256(_ bytes: some DataProtocol) -> Digest {
    digest(SHA256.hash(data: bytes))
  }

  /// The name of a unit: the digest of its specification's canonical JSON.
  package static func unit(_ specification: UnitSpecification) throws -> Digest {
    sha256(try CanonicalJSON.encode(specification))
  }

  fileprivate static func digest(_ hash: SHA256Digest) -> Digest {
    // The type has no other length, whatever was hashed.
    guard let digest = Digest(bytes: Array(hash)) else {
      preconditionFailure("SHA-256 gives 32 bytes")
    }
    return digest
  }
}

/// Names a blob that arrives in pieces.
package struct BlobHasher: Sendable {
  private var hash = SHA256()

  package init() {}

  /// Takes the next piece.
  package mutating func update(_ bytes: some DataProtocol) { hash.update(data: bytes) }

  /// Takes the next piece.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    hash.update(bufferPointer: bytes)
  }

  /// The name of all pieces together.
  package consuming func finalize() -> Digest { BlobDigest.digest(hash.finalize()) }
}
