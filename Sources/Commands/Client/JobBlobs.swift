import Foundation
import ModelFormats
import WirePayloads
import WireProtocol

/// The blobs that a fine-tuning job's transcript names, fetched once and checked by their names.
struct JobBlobs: Sendable {
  let client: APIClient
  let job: String
  let folder: URL

  init(_ client: APIClient, job: String, folder: URL) throws {
    (self.client, self.job, self.folder) = (client, job, folder)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  /// Where a blob's file is or will be.
  func file(_ digest: Digest) -> URL { folder.appendingPathComponent(digest.hex) }

  /// A blob's bytes.
  func read(_ digest: Digest) async throws -> Data {
    try await fetch(digest)
    return try Data(contentsOf: file(digest))
  }

  /// Makes sure that a blob is there. What an interrupted call left goes on where it was.
  ///
  /// - Throws: `CommandError` for bytes that do not have the name.
  func fetch(_ digest: Digest) async throws {
    let file = file(digest)
    let manager = FileManager.default
    if manager.fileExists(atPath: file.path) {
      if try Self.digest(of: file) == digest { return }
      try manager.removeItem(at: file)
    }
    let partial = file.appendingPathExtension("partial")
    if !manager.fileExists(atPath: partial.path) {
      _ = manager.createFile(atPath: partial.path, contents: nil)
    }
    let handle = try FileHandle(forWritingTo: partial)
    defer { try? handle.close() }
    let offset = Int(try handle.seekToEnd())
    // Its last byte may have come just before the end.
    let isWhole = offset > 0 ? try Self.digest(of: partial) == digest : false
    if !isWhole {
      do {
        _ = try await client.download(
          "/tally/v1/fine_tuning/jobs/\(job)/blobs/\(digest)", to: handle, from: offset)
      } catch let error as APIError where error.status == 416 {
        try manager.removeItem(at: partial)
        throw CommandError("what was left of \(digest) was too long; try again")
      }
    }
    guard try isWhole || Self.digest(of: partial) == digest else {
      try manager.removeItem(at: partial)
      throw CommandError("the coordinator's bytes for \(digest) are others")
    }
    guard rename(partial.path, file.path) == 0 else {
      throw CommandError("cannot write \(file.path): \(String(cString: strerror(errno)))")
    }
  }

  private static func digest(of file: URL) throws -> Digest {
    var hasher = BlobHasher()
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    while let piece = try handle.read(upToCount: 1 << 20), !piece.isEmpty { hasher.update(piece) }
    return hasher.finalize()
  }
}
