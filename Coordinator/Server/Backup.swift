import CoordinatorCore
import CoordinatorStore
import Foundation
import WireProtocol

/// A folder from which a coordinator can go on: a copy of a data folder at one moment.
///
/// It has the data folder's layout, and `backup.json`, which says what belongs to it and is written
/// last: a folder without it is not whole.
package struct Backup: Codable, Hashable, Sendable {
  package static let name = "backup.json"
  private static let database = "coordinator.sqlite"
  /// Files beside the database that a coordinator cannot make again, or that its operator wrote.
  private static let kept = [
    "ca.pem", "ca.key.pem", "server.pem", "server.key.pem", "coordinator.json", "url",
  ]
  /// Files that make a folder a coordinator's.
  private static let vital = [database, "ca.pem", "ca.key.pem"]
  private static let latestFormat = 1

  package var format: Int
  /// The version of the program that wrote it.
  package var program: String
  /// Seconds since 1970.
  package var createdAt: Int
  /// SHA-256 of each file but the blobs, which have theirs for a name.
  package var files: [String: Digest]
  package var databaseBytes: Int
  package var blobs: Int
  package var blobBytes: Int
  /// Bytes of blobs that were copied; the others are second names of the data folder's files.
  package var copiedBytes: Int

  /// How far a backup or restore is.
  package typealias Progress = (_ doneBytes: Int, _ allBytes: Int) -> Void

  /// What a backup would hold now, without writing anything.
  package static func estimate(of folder: DataFolder, now: Date) async throws -> Backup {
    var backup = Backup(
      format: latestFormat, program: ProtocolVersion.program,
      createdAt: Int(now.timeIntervalSince1970), files: [:],
      databaseBytes: bytes(folder.url.appending(path: database)), blobs: 0, blobBytes: 0,
      copiedBytes: 0)
    for shard in 0..<FolderBlobStore.shards {
      for blob in try await folder.blobs.list(shard: shard) {
        backup.blobs += 1
        backup.blobBytes += blob.bytes
      }
    }
    return backup
  }

  /// Writes a backup while the coordinator may run.
  ///
  /// - Parameter target: an empty folder.
  /// - Throws: `FileIOError`; what the database says.
  package static func write(
    of folder: DataFolder, to target: URL, now: Date, progress: Progress = { _, _ in }
  ) async throws -> Backup {
    var backup = try await estimate(of: folder, now: now)
    let blobs = try FolderBlobStore(folder: target.appending(path: "blobs"))
    let all = backup.blobBytes + backup.databaseBytes
    var done = 0
    // What is stored while the database is copied may be named in the copy, so blobs are looked
    // through before and after. A sweep takes nothing away that was new a day ago.
    backup.copiedBytes += try await take(folder.blobs, into: blobs) { bytes in
      done += bytes
      progress(done, all)
    }
    let copy = target.appending(path: database)
    try folder.store.copy(to: copy.path)
    backup.copiedBytes += try await take(folder.blobs, into: blobs) { _ in }
    backup.databaseBytes = bytes(copy)
    backup.files[database] = try digest(of: copy)
    for name in kept {
      let file = folder.url.appending(path: name)
      guard FileManager.default.fileExists(atPath: file.path) else { continue }
      backup.files[name] = try DurableCopy.file(file, to: target.appending(path: name))
    }
    (backup.blobs, backup.blobBytes) = (0, 0)
    for shard in 0..<FolderBlobStore.shards {
      for blob in try await blobs.list(shard: shard) {
        backup.blobs += 1
        backup.blobBytes += blob.bytes
      }
    }
    try await blobs.syncNames()
    try DurableCopy.syncFolder(target)
    let list = String(decoding: try CanonicalJSON.encode(backup), as: UTF8.self)
    try PrivateFile(target.appending(path: Self.name)).write(list + "\n")
    progress(all, all)
    return backup
  }

  private static func take(
    _ source: FolderBlobStore, into target: FolderBlobStore, _ progress: (Int) -> Void
  ) async throws -> Int {
    var copied = 0
    for shard in 0..<FolderBlobStore.shards {
      for blob in try await source.list(shard: shard) {
        try Task.checkCancellation()
        copied += try await target.link(blob.digest, of: source) ?? 0
        progress(blob.bytes)
      }
    }
    return copied
  }

  /// Makes a data folder of the backup, after every byte was compared with its digest.
  ///
  /// - Parameters:
  ///   - source: where the backup is.
  ///   - target: a folder that is missing or no coordinator's; a `coordinator.json` that is there
  ///     stays.
  ///   - leavesOutDamaged: whether blobs that are damaged are left out, else nothing is restored.
  /// - Returns: the damaged blobs.
  /// - Throws: `BackupError`; `FileIOError`.
  package func restore(
    from source: URL, to target: URL, leavesOutDamaged: Bool = false,
    progress: Progress = { _, _ in }
  ) async throws -> [Digest] {
    try Self.requireNoCoordinator(target)
    let manager = FileManager.default
    for (name, digest) in files {
      guard try Self.digest(of: source.appending(path: name)) == digest else {
        throw BackupError.damaged(source.appending(path: name).path)
      }
    }
    try manager.createDirectory(
      at: target, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let damaged = try await restoreBlobs(from: source, to: target, progress)
    guard damaged.isEmpty || leavesOutDamaged else {
      try? manager.removeItem(at: target.appending(path: "blobs"))
      throw BackupError.damagedBlobs(damaged)
    }
    // What makes the folder a coordinator's comes last: an interrupted restore can be repeated.
    for name in files.keys.sorted(by: { !Self.vital.contains($0) && Self.vital.contains($1) }) {
      let file = target.appending(path: name)
      guard !manager.fileExists(atPath: file.path) else { continue }
      _ = try DurableCopy.file(source.appending(path: name), to: file)
    }
    try DurableCopy.syncFolder(target)
    return damaged
  }

  /// - Returns: the damaged ones.
  private func restoreBlobs(
    from source: URL, to target: URL, _ progress: Progress
  ) async throws -> [Digest] {
    let held = try FolderBlobStore(folder: source.appending(path: "blobs"))
    let blobs = try FolderBlobStore(folder: target.appending(path: "blobs"))
    var (damaged, done, count) = ([Digest](), 0, 0)
    for shard in 0..<FolderBlobStore.shards {
      for blob in try await held.list(shard: shard) {
        try Task.checkCancellation()
        if try await blobs.copy(blob.digest, of: held) == nil { damaged.append(blob.digest) }
        done += blob.bytes
        count += 1
        progress(done, max(blobBytes, 1))
      }
    }
    try await blobs.syncNames()
    guard count >= self.blobs else {
      throw BackupError.notWhole(
        source.path, reason: "\(self.blobs - count) of its \(self.blobs) blobs are missing")
    }
    return damaged
  }

  /// - Throws: `BackupError.inUse`.
  package static func requireNoCoordinator(_ target: URL) throws {
    for name in vital
    where FileManager.default.fileExists(atPath: target.appending(path: name).path) {
      throw BackupError.inUse(target.path)
    }
  }

  private static func digest(of file: URL) throws -> Digest {
    do {
      return try DurableCopy.digest(of: file)
    } catch {
      throw BackupError.damaged(file.path)
    }
  }

  private static func bytes(_ file: URL) -> Int {
    (try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize) ?? 0
  }
}

extension Backup {
  /// Reads what a folder says of itself.
  ///
  /// - Throws: `BackupError`.
  package init(at folder: URL) throws {
    let file = folder.appending(path: Self.name)
    guard let data = try? Data(contentsOf: file) else {
      throw BackupError.notWhole(
        folder.path, reason: "there is no \(Self.name) in it that can be read")
    }
    do {
      self = try CanonicalJSON.decode(Backup.self, from: data)
    } catch {
      throw BackupError.notWhole(folder.path, reason: "its \(Self.name) is damaged")
    }
    let isOlder = ProgramVersion(program).flatMap { written in
      ProgramVersion(ProtocolVersion.program).map { written <= $0 }
    }
    guard format <= Self.latestFormat, isOlder ?? true else {
      throw BackupError.newer(program)
    }
    guard files[Self.database] != nil, Set(files.keys).isSubset(of: Self.kept + [Self.database])
    else {
      throw BackupError.notWhole(folder.path, reason: "its \(Self.name) is damaged")
    }
  }
}

/// Why a backup cannot be restored.
package enum BackupError: Error, Hashable, CustomStringConvertible {
  case notWhole(String, reason: String)
  case newer(String)
  case damaged(String)
  case damagedBlobs([Digest])
  case inUse(String)

  package var description: String {
    switch self {
    case .notWhole(let path, let reason): "\(path) is no whole backup: \(reason)"
    case .newer(let program):
      "the backup is of tally \(program), which is newer than this program: upgrade first"
    case .damaged(let path): "\(path) is damaged: its digest is not the one that the backup names"
    case .damagedBlobs(let digests):
      "\(digests.count) of the backup's blobs are damaged, and nothing was restored; "
        + "--leave-out-damaged goes on without them: "
        + digests.prefix(10).map(\.hex).joined(separator: ", ")
        + (digests.count > 10 ? ", ..." : "")
    case .inUse(let path):
      "\(path) holds a coordinator's data already: stop that coordinator and move the folder away "
        + "first (mv \(path) \(path).old)"
    }
  }
}
