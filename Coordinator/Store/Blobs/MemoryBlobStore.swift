import Foundation
import Synchronization
import WirePayloads
import WireProtocol

/// Blobs in memory, for tests.
package final class MemoryBlobStore: BlobStore {
  private let blobs = Mutex<[Digest: Data]>([:])

  package init() {}
}

package extension MemoryBlobStore {
  func contains(_ digest: Digest) async throws -> Bool {
    blobs.withLock { $0[digest] != nil }
  }

  func size(of digest: Digest) async throws -> Int? {
    blobs.withLock { $0[digest]?.count }
  }

  func refresh(_ digest: Digest) async throws -> Bool { try await contains(digest) }

  func read(_ digest: Digest, range: Range<Int>?) async throws -> Data {
    guard let data = blobs.withLock({ $0[digest] }) else {
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

  func delete(_ digest: Digest) async throws -> Bool {
    blobs.withLock { $0.removeValue(forKey: digest) != nil }
  }

  func persist(_ new: [Digest: Data]) throws {
    blobs.withLock { $0.merge(new) { old, _ in old } }
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
