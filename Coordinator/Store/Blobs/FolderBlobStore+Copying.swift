import Foundation
import Glibc
import WirePayloads
import WireProtocol

package extension FolderBlobStore {
  /// Takes a blob of another folder as it is: as a second name of the same file where both are on
  /// one disk, else as a copy. A blob's file is never written again, so both names stay what they
  /// are.
  ///
  /// The caller makes names durable (`syncNames`).
  /// - Returns: the bytes that were copied, 0 for a second name or a blob that is here already; nil
  ///   when the other folder has none.
  /// - Throws: `FileIOError`.
  func link(_ digest: Digest, of other: FolderBlobStore) async throws -> Int? {
    let (source, target) = (other.path(of: digest), path(of: digest))
    return try await FileIO.blocking(on: queue) { [self] in
      if Glibc.link(source, target) == 0 || errno == EEXIST { return 0 }
      switch errno {
      case ENOENT: return nil
      // Another disk, one without such names, or a file that has too many.
      case EXDEV, EPERM, EMLINK, EOPNOTSUPP: return try copyFile(source, as: digest).bytes
      default: throw FileIO.failure("link", target)
      }
    }
  }

  /// Copies a blob of another folder and checks its bytes.
  ///
  /// The caller makes names durable (`syncNames`).
  /// - Returns: the bytes; nil when they do not have the digest, and then nothing is kept.
  /// - Throws: `FileIOError`.
  func copy(_ digest: Digest, of other: FolderBlobStore) async throws -> Int? {
    let source = other.path(of: digest)
    return try await FileIO.blocking(on: queue) { [self] in
      let copied = try copyFile(source, as: digest)
      if copied.digest == digest { return copied.bytes }
      unlink(path(of: digest))
      return nil
    }
  }

  /// Makes all names of blobs durable.
  ///
  /// - Throws: `FileIOError`.
  func syncNames() async throws {
    try await FileIO.blocking(on: queue) { [folder] in
      for shard in 0..<Self.shards {
        try FileIO.syncFolder(folder + (shard < 16 ? "/0" : "/") + String(shard, radix: 16))
      }
    }
  }
}

extension FolderBlobStore {
  fileprivate func copyFile(
    _ source: String, as digest: Digest
  ) throws -> (digest: Digest, bytes: Int) {
    let temporary = temporaryPath()
    do {
      let copied = try FileIO.copy(source, to: temporary)
      try FileIO.move(temporary, to: path(of: digest))
      return copied
    } catch {
      unlink(temporary)
      throw error
    }
  }
}

extension FileIO {
  /// Copies a file to one that does not exist; gives what was copied.
  static func copy(_ source: String, to target: String) throws -> (digest: Digest, bytes: Int) {
    let output = try create(target)
    defer { close(output) }
    var bytes = 0
    let digest = try digest(of: source) { part in
      try writeAll(output, part, target)
      bytes += part.count
    }
    try sync(output, target)
    return (digest, bytes)
  }

  /// - Parameter body: called with each part of the file.
  fileprivate static func digest(
    of path: String, _ body: (Data) throws -> Void = { _ in }
  ) throws -> Digest {
    let input = open(path, O_RDONLY | O_CLOEXEC)
    guard input >= 0 else { throw failure("open", path) }
    defer { close(input) }
    var hasher = BlobHasher()
    var piece = Data(count: 1 << 20)
    while true {
      let got = piece.withUnsafeMutableBytes { Glibc.read(input, $0.baseAddress, $0.count) }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw failure("read", path) }
      if got == 0 { return hasher.finalize() }
      let part = piece.prefix(got)
      hasher.update(part)
      try body(part)
    }
  }
}

/// Copies of files, for backups.
package enum DurableCopy {
  /// Copies a file to one that does not exist, readable by its owner only; gives the copy's digest.
  ///
  /// - Throws: `FileIOError`.
  package static func file(_ source: URL, to target: URL) throws -> Digest {
    try FileIO.copy(source.path, to: target.path).digest
  }

  /// - Throws: `FileIOError`.
  package static func digest(of file: URL) throws -> Digest { try FileIO.digest(of: file.path) }

  /// Makes the names in a folder durable.
  ///
  /// - Throws: `FileIOError`.
  package static func syncFolder(_ folder: URL) throws { try FileIO.syncFolder(folder.path) }
}
