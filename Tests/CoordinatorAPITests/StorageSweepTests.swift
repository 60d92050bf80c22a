import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WireProtocol

@Suite struct StorageSweepTests {
  @Test func aSweepDeletesWhatNothingNeedsAndNothingElse() async throws {
    let temporary = try TemporaryFolder()
    let folder = try DataFolder(opening: temporary.url)
    let now = APIEnvironment.systemTime()
    let key = try await folder.store.createKey(
      NewKey(name: "k", hash: try await folder.blobs.put(Data("key".utf8))), now: now)
    func stored(_ text: String, old: Bool = true) async throws -> Digest {
      let digest = try await folder.blobs.put(Data(text.utf8))
      if old {
        try FileManager.default.setAttributes(
          [.modificationDate: Date(timeIntervalSinceNow: -2 * 86_400)],
          ofItemAtPath: folder.blobs.path(of: digest))
      }
      return digest
    }
    func file(_ blob: Digest, expires: Timestamp? = nil) async throws -> FileRecord {
      try await folder.store.createFile(
        NewFile(
          keyID: key.id, purpose: .batch, filename: "f", bytes: 1, blob: blob, expiresAt: expires),
        now: now)
    }
    let (kept, shared, deleted) = (
      try await stored("kept"), try await stored("shared"), try await stored("deleted")
    )
    let (abandoned, fresh) = (
      try await stored("abandoned"), try await stored("fresh", old: false)
    )
    let expired = try await stored("expired")
    _ = try await file(kept)
    let first = try await file(shared)
    _ = try await file(shared)
    let gone = try await file(deleted)
    _ = try await file(expired, expires: now)
    for id in [first.id, gone.id] { _ = try await folder.store.deleteFile(id, key: key.id) }
    _ = try await folder.store.tick(now: now)

    let sweep = StorageSweep(folder: folder, retention: BlobRetention())
    let look = try await sweep.run(deletes: false, now: now)
    #expect(look.kinds[.unused]?.blobs == 3 && look.deleted.blobs == 0)
    #expect(look.kinds[.files]?.blobs == 2)
    #expect(try await folder.blobs.contains(abandoned))
    let done = try await sweep.run(deletes: true, now: now)
    #expect(done.deleted.blobs == 3 && done.deleted.bytes == look.kinds[.unused]?.bytes)
    for blob in [kept, shared, fresh] { #expect(try await folder.blobs.contains(blob)) }
    for blob in [deleted, abandoned, expired] { #expect(try await !folder.blobs.contains(blob)) }
    #expect(try await sweep.run(deletes: true, now: now).deleted.blobs == 0)
    #expect(folder.blobs.freeBytes() ?? 0 > 0)
    try folder.store.close()
  }
}
