import CoordinatorCore
import CoordinatorStore
import Foundation
import GRDB
import TestSupport
import Testing
import WireProtocol

@Suite("Sweeping blobs")
struct BlobSweepingTests {
  private let folder: TemporaryFolder
  private let blobs: FolderBlobStore

  init() throws {
    folder = try TemporaryFolder()
    blobs = try FolderBlobStore(folder: folder.url)
  }

  /// Makes a blob look as if it had been stored then.
  private func age(_ digest: Digest, _ time: TimeInterval) throws {
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: time)], ofItemAtPath: blobs.path(of: digest))
  }

  @Test("an old blob goes; one that was stored again at the last moment stays")
  func remove() async throws {
    let youngest = Timestamp(seconds: 1_000_000)
    let digest = try await blobs.put(Data("x".utf8))
    try age(digest, 999_999)
    // The same bytes, uploaded again after somebody judged them.
    #expect(try await blobs.put(Data("x".utf8)) == digest)
    #expect(try await !blobs.remove(digest, unlessWrittenSince: youngest))
    #expect(try await blobs.read(digest) == Data("x".utf8))
    try age(digest, 999_999)
    #expect(try await blobs.refresh(digest))
    #expect(try await !blobs.remove(digest, unlessWrittenSince: youngest))
    try age(digest, 999_999)
    #expect(try await blobs.remove(digest, unlessWrittenSince: youngest))
    #expect(try await !blobs.contains(digest))
    #expect(try await !blobs.remove(digest, unlessWrittenSince: youngest))
    #expect(try await !blobs.refresh(digest))
  }

  @Test("a removal that a crash cut short is undone")
  func interrupted() async throws {
    let digest = try await blobs.put(Data("x".utf8))
    try FileManager.default.moveItem(
      atPath: blobs.path(of: digest), toPath: folder.path("trash/\(digest.hex)"))
    #expect(try await !blobs.contains(digest))
    try await blobs.restoreInterrupted()
    #expect(try await blobs.read(digest) == Data("x".utf8))
    try await blobs.restoreInterrupted()
  }

  @Test("every blob is listed once, and nothing that is none")
  func listing() async throws {
    var digests: Set<Digest> = []
    for number in 0..<50 { digests.insert(try await blobs.put(Data("blob \(number)".utf8))) }
    try Data().write(to: URL(filePath: folder.path("00/notes.txt")))
    var listed: [BlobListing] = []
    for shard in 0..<FolderBlobStore.shards { listed += try await blobs.list(shard: shard) }
    #expect(listed.count == 50 && Set(listed.map(\.digest)) == digests)
    #expect(listed.allSatisfy { $0.bytes == 6 || $0.bytes == 7 })
  }

  @Test("inputs and results are needed until every batch that takes answers from them has ended")
  func units() async throws {
    try await StoreKind.file.withLaboratory { lab async throws in
      let store = lab.store
      let now = Laboratory.start
      let workers = [
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob"),
      ]
      let batch = try await lab.runningBatch(lines: 3)
      let lease = try #require(try await lab.lease(workers[0]).first)
      let inputs = lease.specification.inputs
      let result = try await lab.result(of: lease.specification).digest
      let file = Laboratory.digest("input")
      try await lab.submit(lease, by: workers[0])
      var uses = try await store.uses(of: [inputs, result, file], now: now)
      #expect(uses == [inputs: [.openUnit], result: [.openUnit], file: [.openBatch]])
      try await lab.drain(workers)
      #expect(try await lab.batch(batch.id).completed == 3)
      // Its output file is still to be written from them.
      uses = try await store.uses(of: [inputs, result], now: now)
      #expect(uses == [inputs: [.openUnit], result: [.openUnit]])
      try await lab.finalizeAll(now: now)
      uses = try await store.uses(of: [inputs, result, file], now: now)
      #expect(uses.keys.count == 2)
      for blob in [inputs, result] {
        let ended = try #require(uses[blob]?.first)
        guard case .endedUnit = ended else {
          Issue.record("\(ended)")
          continue
        }
      }
      let model = lab.model
      uses = try await store.uses(of: [model.manifest, model.tokenizer, model.vocabulary], now: now)
      #expect(uses.values.allSatisfy { $0 == [.model] } && uses.count == 3)
      // Batches of a removed model go on.
      #expect(try await store.removeModel(model.id))
      #expect(try await store.uses(of: [model.tokenizer], now: now).count == 1)
    }
  }

  @Test("a database of before knows the tokenizers of its models and of those it had")
  func olderDatabase() async throws {
    let (path, blobs) = (folder.path("coordinator.sqlite"), blobs)
    let store = try SQLiteStore.open(path: path, blobs: blobs)
    let lab = try await Laboratory(store, blobs)
    _ = try await lab.runningBatch(lines: 3)
    try store.close()
    let replaced = Laboratory.digest("the tokenizer of a model that was replaced")
    let database = try DatabaseQueue(path: path)
    try await database.write { db in
      for index in ["file_blob", "batch_input", "unit_result", "replica_result"] {
        try db.execute(sql: "DROP INDEX \(index)")
      }
      try db.execute(sql: "DROP TABLE tokenizer")
      try db.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = '6: storage'")
      // The other renderings of the laboratory are no JSON.
      try db.execute(
        sql: "UPDATE request SET rendering = ? WHERE line = 2",
        arguments: [Data(#"{"tokenizer":"\#(replaced.hex)"}"#.utf8)])
    }
    try database.close()
    let reopened = try SQLiteStore.open(path: path, blobs: blobs)
    let uses = try await reopened.uses(
      of: [replaced, lab.model.tokenizer], now: Laboratory.start)
    #expect(uses == [replaced: [.model], lab.model.tokenizer: [.model]])
    try reopened.close()
  }
}
