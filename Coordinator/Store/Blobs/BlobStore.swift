import CoordinatorCore
import Foundation
import WireProtocol

/// Bytes named by their SHA-256. What `put`, `finish` and `persist` return is durable: a database
/// row may name it.
package protocol BlobStore: Sendable {
  func contains(_ digest: Digest) async throws -> Bool
  /// Bytes of a blob; nil when there is none.
  func size(of digest: Digest) async throws -> Int?
  /// Makes a blob count as stored just now, before a row names it that did not; false when there is
  /// none.
  func refresh(_ digest: Digest) async throws -> Bool
  /// Bytes `range` of a blob, the whole blob for nil.
  ///
  /// - Throws: `StoreError.notFound`; `.invalid` for a range that is not within the blob.
  func read(_ digest: Digest, range: Range<Int>?) async throws -> Data
  /// Stores bytes; does nothing when they are there already.
  func put(_ data: Data) async throws -> Digest
  /// Stores bytes that arrive in pieces, without holding them in memory.
  func makeWriter() async throws -> any BlobWriter
  /// Removes a blob unless its bytes were stored at this time or later; tells whether it did.
  func remove(_ digest: Digest, unlessWrittenSince youngest: Timestamp) async throws -> Bool
  /// Stores several blobs at once, blocking the calling thread: for a transaction that is about to
  /// name them.
  func persist(_ blobs: [Digest: Data]) throws
}

extension BlobStore {
  /// A whole blob.
  package func read(_ digest: Digest) async throws -> Data { try await read(digest, range: nil) }
}

/// A blob in the making. Use from one task; end with `finish` or `cancel`.
package protocol BlobWriter: AnyObject, Sendable {
  func write(_ data: Data) async throws
  /// The name of what was written so far.
  func digest() async throws -> Digest
  /// What was written from byte `offset` on, at most `count` bytes; empty at the end. Blocks the
  /// calling thread.
  func read(from offset: Int, count: Int) throws -> Data
  /// Makes the blob durable and gives its name and size.
  ///
  /// - Parameter expected: what the sender said it would be.
  /// - Throws: `StoreError.invalid` when it is something else; nothing is stored then.
  func finish(expected: Digest?) async throws -> (digest: Digest, bytes: Int)
  /// Drops what was written.
  func cancel() async
}

extension BlobWriter {
  /// Makes the blob durable, whatever it turned out to be.
  package func finish() async throws -> (digest: Digest, bytes: Int) {
    try await finish(expected: nil)
  }
}
