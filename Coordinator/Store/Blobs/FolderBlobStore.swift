import CoordinatorCore
import Foundation
import Synchronization
import WirePayloads
import WireProtocol

/// Blobs as files `ab/abcdef…` in a folder. A blob is written to a temporary file, synced, renamed,
/// and its folder synced, so that a name always means whole, durable bytes. Several processes may
/// share the folder.
package final class FolderBlobStore: BlobStore {
  let folder: String
  private let temporary: String
  /// Where blobs lie while they are removed.
  let trash: String
  let queue = DispatchQueue(label: "tallystick.blobs", attributes: .concurrent)

  /// Opens a folder, which is made if it is missing; the folder around it must exist.
  ///
  /// - Throws: `FileIOError`.
  package init(folder: URL) throws {
    self.folder = folder.path
    temporary = self.folder + "/temporary"
    try FileIO.makeFolder(self.folder)
    trash = self.folder + "/trash"
    try FileIO.makeFolder(temporary)
    try FileIO.makeFolder(trash)
    for shard in 0..<256 {
      let digits = String(shard, radix: 16)
      try FileIO.makeFolder(self.folder + (shard < 16 ? "/0" : "/") + digits)
    }
    try FileIO.syncFolder(self.folder)
  }

  /// Removes what interrupted writers left before `date`. No writer takes a day.
  package func removeAbandoned(before date: Date) throws {
    let manager = FileManager.default
    for name in try manager.contentsOfDirectory(atPath: temporary) {
      let path = temporary + "/" + name
      guard let changed = try? manager.attributesOfItem(atPath: path)[.modificationDate] as? Date,
        changed < date
      else { continue }
      try? manager.removeItem(atPath: path)
    }
  }

  /// Where a blob's file is, for servers that send files themselves.
  package func path(of digest: Digest) -> String { "\(shard(digest))/\(digest.hex)" }

  private func shard(_ digest: Digest) -> String { "\(folder)/\(digest.hex.prefix(2))" }

  func temporaryPath() -> String { "\(temporary)/\(UUID().uuidString)" }
}

package extension FolderBlobStore {
  func contains(_ digest: Digest) async throws -> Bool {
    try await size(of: digest) != nil
  }

  func size(of digest: Digest) async throws -> Int? {
    let path = path(of: digest)
    return try await FileIO.blocking(on: queue) { try FileIO.size(path) }
  }

  func refresh(_ digest: Digest) async throws -> Bool {
    let path = path(of: digest)
    return try await FileIO.blocking(on: queue) { try FileIO.touch(path) }
  }

  func read(_ digest: Digest, range: Range<Int>?) async throws -> Data {
    let path = path(of: digest)
    return try await FileIO.blocking(on: queue) {
      guard let size = try FileIO.size(path) else {
        throw StoreError(.notFound, "There is no blob \(digest).")
      }
      let range = range ?? 0..<size
      guard range.lowerBound >= 0, range.upperBound <= size else {
        throw StoreError(.invalid, "Bytes \(range) are not within blob \(digest) of \(size) bytes.")
      }
      return try FileIO.read(path, offset: range.lowerBound, count: range.count)
    }
  }

  func put(_ data: Data) async throws -> Digest {
    try await FileIO.blocking(on: queue) {
      let digest = BlobDigest.sha256(data)
      try self.persist([digest: data])
      return digest
    }
  }

  func persist(_ blobs: [Digest: Data]) throws {
    var shards: Set<String> = []
    for (digest, data) in blobs {
      // A blob that is there becomes a new one, which a sweep spares.
      if try !FileIO.touch(path(of: digest)) {
        let source = temporaryPath()
        let descriptor = try FileIO.create(source)
        do {
          defer { close(descriptor) }
          try FileIO.writeAll(descriptor, data, source)
          try FileIO.sync(descriptor, source)
        } catch {
          unlink(source)
          throw error
        }
        try publish(source, as: digest)
      }
      shards.insert(shard(digest))
    }
    // Also where the file was there already: whoever wrote it may not have come this far yet.
    for shard in shards { try FileIO.syncFolder(shard) }
  }

  func makeWriter() async throws -> any BlobWriter {
    let path = temporaryPath()
    return try await FileIO.blocking(on: queue) {
      FolderBlobWriter(store: self, path: path, descriptor: try FileIO.create(path), self.queue)
    }
  }
}

extension FolderBlobStore {
  /// Gives a synced file its name; its folder is still to be synced.
  private func publish(_ source: String, as digest: Digest) throws {
    try FileIO.move(source, to: path(of: digest))
  }

  fileprivate func publishDurably(_ source: String, as digest: Digest) throws {
    try publish(source, as: digest)
    try FileIO.syncFolder(shard(digest))
  }
}

/// A temporary file that becomes a blob.
private final class FolderBlobWriter: BlobWriter {
  private struct Open {
    let descriptor: Int32
    var hasher = BlobHasher()
    var bytes = 0
  }
  private let store: FolderBlobStore
  private let path: String
  private let queue: DispatchQueue
  /// Nil once finished or cancelled.
  private let open: Mutex<Open?>

  init(store: FolderBlobStore, path: String, descriptor: Int32, _ queue: DispatchQueue) {
    self.store = store
    self.path = path
    self.queue = queue
    open = Mutex(Open(descriptor: descriptor))
  }

  deinit { discard() }

  private func discard() {
    open.withLock { state in
      guard let present = state else { return }
      close(present.descriptor)
      unlink(path)
      state = nil
    }
  }

  func write(_ data: Data) async throws {
    try await FileIO.blocking(on: queue) {
      try self.open.withLock { state in
        guard state != nil else { throw StoreError(.conflict, "This blob is finished.") }
        try FileIO.writeAll(state!.descriptor, data, self.path)
        state!.hasher.update(data)
        state!.bytes += data.count
      }
    }
  }

  func digest() async throws -> Digest {
    try open.withLock { state in
      guard let present = state else { throw StoreError(.conflict, "This blob is finished.") }
      return present.hasher.finalize()
    }
  }

  func read(from offset: Int, count: Int) throws -> Data {
    try open.withLock { state in
      guard let state else { throw StoreError(.conflict, "This blob is finished.") }
      let count = max(0, min(count, state.bytes - offset))
      return try FileIO.read(state.descriptor, offset: offset, count: count, path)
    }
  }

  func finish(expected: Digest?) async throws -> (digest: Digest, bytes: Int) {
    try await FileIO.blocking(on: queue) {
      defer { self.discard() }
      return try self.open.withLock { state in
        guard let present = state else { throw StoreError(.conflict, "This blob is finished.") }
        let digest = present.hasher.finalize()
        if let expected, expected != digest {
          throw StoreError(.invalid, "The bytes have the digest \(digest), not \(expected).")
        }
        // A blob counts as stored now, however long its bytes took to come.
        _ = try FileIO.touch(self.path)
        try FileIO.sync(present.descriptor, self.path)
        try self.store.publishDurably(self.path, as: digest)
        close(present.descriptor)
        state = nil
        return (digest, present.bytes)
      }
    }
  }

  func cancel() async { discard() }
}
