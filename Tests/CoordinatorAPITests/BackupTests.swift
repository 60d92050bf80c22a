import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WirePayloads
import WireProtocol

@Suite struct BackupTests {
  private let temporary: TemporaryFolder
  private var backup: URL { temporary.url.appending(path: "backup") }
  private var restored: URL { temporary.url.appending(path: "restored") }

  init() throws {
    temporary = try TemporaryFolder()
    try FileManager.default.createDirectory(at: backup, withIntermediateDirectories: true)
  }

  /// A data folder with a key and two blobs, and its backup.
  private func backedUp() async throws -> (folder: DataFolder, blobs: [WireProtocol.Digest]) {
    let folder = try DataFolder(opening: temporary.url.appending(path: "data"))
    let blobs = [
      try await folder.blobs.put(Data("one".utf8)), try await folder.blobs.put(Data("two".utf8)),
    ]
    _ = try await folder.store.createKey(
      NewKey(name: "before", hash: BlobDigest.sha256([1])), now: APIEnvironment.systemTime())
    try Data(#"{"quorum": 3}"#.utf8).write(to: folder.url.appending(path: "coordinator.json"))
    let written = try await Backup.write(of: folder, to: backup, now: Date())
    #expect(written.blobs == 2 && written.blobBytes == 6 && written.copiedBytes == 0)
    #expect(
      written.files.keys.sorted() == [
        "ca.key.pem", "ca.pem", "coordinator.json", "coordinator.sqlite",
      ])
    return (folder, blobs)
  }

  @Test func aBackupOfARunningCoordinatorBecomesOneWithTheSameAuthority() async throws {
    let (folder, blobs) = try await backedUp()
    // What happens afterwards is not in it.
    _ = try await folder.store.createKey(
      NewKey(name: "after", hash: BlobDigest.sha256([2])), now: APIEnvironment.systemTime())
    let later = APIEnvironment.systemTime().adding(seconds: 3600)
    #expect(try await folder.blobs.remove(blobs[0], unlessWrittenSince: later))
    let found = try Backup(at: backup)
    #expect(try await found.restore(from: backup, to: restored) == [])
    let again = try DataFolder(opening: restored)
    #expect(try again.authority.fingerprint() == folder.authority.fingerprint())
    #expect(try await again.store.keys().map(\.name) == ["before"])
    #expect(try await again.blobs.read(blobs[0], range: nil) == Data("one".utf8))
    #expect(
      try Data(contentsOf: restored.appending(path: "coordinator.json"))
        == Data(#"{"quorum": 3}"#.utf8))
    // Only its owner reads it, as there is a key in it.
    for name in found.files.keys + [Backup.name] {
      let mode = try FileManager.default.attributesOfItem(
        atPath: backup.appending(path: name).path)[.posixPermissions] as? Int
      #expect(mode == 0o600, "\(name)")
    }
  }

  @Test func nothingIsWrittenOverACoordinatorsData() async throws {
    let (folder, _) = try await backedUp()
    let found = try Backup(at: backup)
    await #expect(throws: BackupError.inUse(folder.url.path)) {
      try await found.restore(from: backup, to: folder.url)
    }
  }

  @Test func damageIsFoundBeforeAnythingIsACoordinator() async throws {
    let (_, blobs) = try await backedUp()
    let found = try Backup(at: backup)
    let blob = backup.appending(path: "blobs/\(blobs[0].hex.prefix(2))/\(blobs[0].hex)")
    // A file of its own, since the backup's is the data folder's too.
    try Data("onE".utf8).write(to: blob, options: .atomic)
    await #expect(throws: BackupError.damagedBlobs([blobs[0]])) {
      try await found.restore(from: backup, to: restored)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: restored.path).isEmpty)
    #expect(
      try await found.restore(from: backup, to: restored, leavesOutDamaged: true) == [blobs[0]])
    let again = try DataFolder(opening: restored)
    #expect(try await again.blobs.contains(blobs[1]))
    #expect(try await !again.blobs.contains(blobs[0]))

    let (other, database) = (
      temporary.url.appending(path: "other"), backup.appending(path: "coordinator.sqlite")
    )
    try FileManager.default.removeItem(at: blob)
    await #expect {
      try await found.restore(from: backup, to: other)
    } throws: { "\($0)".contains("1 of its 2 blobs are missing") }
    var bytes = try Data(contentsOf: database)
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: database)
    await #expect(throws: BackupError.damaged(database.path)) {
      try await found.restore(from: backup, to: other)
    }
    try FileManager.default.removeItem(at: backup.appending(path: Backup.name))
    #expect { try Backup(at: backup) } throws: { "\($0)".contains("no whole backup") }
  }
}
