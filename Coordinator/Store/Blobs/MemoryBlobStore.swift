import CoordinatorCore
import Foundation
import Synchronization
import WirePayloads
import WireProtocol

/// Blobs in memory, for tests.
package final class MemoryBlobStore: BlobStore {
  private struct Blob {
    var data: Data
    var writtenAt: Timestamp
  }

  private let blobs = Mutex<[Digest: Blob]>([:])
  private let now: @Sendable () -> Timestamp

  /// - Parameter now: when blobs count as stored.
  package init(now: @escaping @Sendable () -> Timestamp = { Timestamp(milliseconds: 0) }) {
    self.now = now
  }
}

package extension MemoryBlobStore {
  /// Blobs that are there.
  var count: Int { blobs.withLock { $0.count } }

  func contains(_ digest: Digest) async throws -> Bool {
    blobs.withLock { $0[digest] != nil }
  }

  func size(of digest: Digest) async throws -> Int? {
    blobs.withLock { $0[digest]?.data.count }
  }

  func refresh(_ digest: Digest) async throws -> Bool {
    let now = now()
    return blobs.withLock { blobs in
      blobs[digest]?.writtenAt = now
      return blobs[digest] != nil
    }
  }

  func read(_ digest: Digest, range: Range<Int>?) async throws -> Data {
    guard let data = blobs.withLock({ $0[digest]?.data }) else {
      throw StoreError(.notFound, "There is no blob \(digest).")
    }
    let range = range ?? 0..<data.count
    guard range.lowerBound >= 0, range.upperBound <= data.count else {
      throw StoreError(.invalid, "Bytes \(range) are not within blob \(digest).")
    }
    return Data(data.dropFirst(range.lowerBound).prefix(range.count))
  }

  func put(_ data: Data) async throws -> Digest {
    let digest = BlobDigest.sha256(data)
    try persist([digest: data])
    return digest
  }

  func remove(_ digest: Digest, unlessWrittenSince youngest: Timestamp) async throws -> Bool {
    blobs.withLock { blobs in
      guard let blob = blobs[digest], blob.writtenAt < youngest else { return false }
      blobs[digest] = nil
      return true
    }
  }

  func persist(_ new: [Digest: Data]) throws {
    let now = now()
    blobs.withLock { $0.merge(new.mapValues { Blob(data: $0, writtenAt: now) }) { $1 } }
  }

  func makeWriter() async throws -> any BlobWriter { MemoryBlobWriter(store: self) }
}

private final class MemoryBlobWriter: BlobWriter {
  private let store: MemoryBlobStore
  private let data = Mutex<Data?>(Data())

  init(store: MemoryBlobStore) { self.store = store }

  func write(_ more: Data) async throws {
    try data.withLock {
      guard $0 != nil else { throw StoreError(.conflict, "This blob is finished.") }
      $0!.append(more)
    }
  }

  func digest() async throws -> Digest {
    guard let written = data.withLock({ $0 }) else {
      throw StoreError(.conflict, "This blob is finished.")
    }
    return BlobDigest.sha256(written)
  }

  func read(from offset: Int, count: Int) throws -> Data {
    try data.withLock { data in
      guard let data else { throw StoreError(.conflict, "This blob is finished.") }
      return Data(data.dropFirst(offset).prefix(count))
    }
  }

  func finish(expected: Digest?) async throws -> (digest: Digest, bytes: Int) {
    let whole = data.withLock { data in
      defer { data = nil }
      return data
    }
    guard let whole else { throw StoreError(.conflict, "This blob is finished.") }
    let digest = BlobDigest.sha256(whole)
    if let expected, expected != digest {
      throw StoreError(.invalid, "The bytes have the digest \(digest), not \(expected).")
    }
    try store.persist([digest: whole])
    return (digest, whole.count)
  }

  func cancel() async { data.withLock { $0 = nil } }
}
