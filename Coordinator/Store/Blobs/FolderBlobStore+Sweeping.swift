import CoordinatorCore
import Foundation
import WireProtocol

/// A blob as its folder lists it.
package struct BlobListing: Hashable, Sendable {
  package var digest: Digest
  package var bytes: Int
  /// When its bytes were stored last, whether or not they were there before.
  package var writtenAt: Timestamp
}

package extension FolderBlobStore {
  /// Folders that blobs are spread over.
  static let shards = 256

  /// The blobs of one folder, 0 to 255.
  func list(shard: Int) async throws -> [BlobListing] {
    let digits = String(shard, radix: 16)
    let folder = self.folder + (shard < 16 ? "/0" : "/") + digits
    return try await FileIO.blocking(on: queue) {
      try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { name in
        guard let digest = Digest(hex: name), let status = try FileIO.status(folder + "/" + name)
        else { return nil }
        return BlobListing(digest: digest, bytes: status.bytes, writtenAt: status.changedAt)
      }
    }
  }

  /// Removes a blob unless it was stored again since `youngest`; tells whether it did.
  ///
  /// The file is moved aside, looked at, and only then removed. Whoever stores the same bytes at
  /// this moment either finds the file and marks it as new before it is moved, and it comes back,
  /// or finds none and writes it anew.
  func remove(_ digest: Digest, unlessWrittenSince youngest: Timestamp) async throws -> Bool {
    let (path, aside) = (path(of: digest), trash + "/" + digest.hex)
    return try await FileIO.blocking(on: queue) {
      guard try FileIO.size(path) != nil else { return false }
      try FileIO.move(path, to: aside)
      guard let status = try FileIO.status(aside) else { return false }
      guard status.changedAt < youngest else {
        try FileIO.move(aside, to: path)
        return false
      }
      return unlink(aside) == 0
    }
  }

  /// Puts back what an interrupted removal left aside; the next one decides again.
  func restoreInterrupted() async throws {
    try await FileIO.blocking(on: queue) { [self] in
      for name in try FileManager.default.contentsOfDirectory(atPath: trash) {
        guard let digest = Digest(hex: name) else { continue }
        let target = path(of: digest)
        if try FileIO.size(target) == nil {
          try FileIO.move(trash + "/" + name, to: target)
        } else {
          unlink(trash + "/" + name)
        }
      }
    }
  }

  /// Bytes that are free on the disk; nil when the system does not tell.
  func freeBytes() -> Int? {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return nil }
    let (bytes, overflow) = Int(status.f_bavail).multipliedReportingOverflow(
      by: Int(status.f_frsize))
    return overflow ? nil : bytes
  }
}
