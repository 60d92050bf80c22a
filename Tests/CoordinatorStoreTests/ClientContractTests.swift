import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

@Suite("Store contract: files, keys and models")
struct ClientContractTests {
  private func file(
    _ lab: Laboratory, _ name: String, purpose: FilePurpose = .batch, expires: Timestamp? = nil
  ) async throws -> FileRecord {
    try await lab.store.createFile(
      NewFile(
        keyID: lab.key.id, purpose: purpose, filename: name, bytes: name.utf8.count,
        blob: Laboratory.digest(name), expiresAt: expires), now: Laboratory.start)
  }

  @Test(
    "files are kept, listed by purpose and deleted, each key's own", arguments: StoreKind.allCases)
  func files(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let other = try await lab.withKey("other")
      var files: [FileRecord] = []
      for index in 0..<5 {
        files.append(
          try await file(lab, "f\(index)", purpose: index % 2 == 0 ? .batch : .fineTune))
      }
      _ = try await file(other, "theirs")
      #expect(try await lab.store.file(files[0].id, key: lab.key.id, now: now) == files[0])
      #expect(try await lab.store.file(files[0].id, key: other.key.id, now: now) == nil)
      let tuned = try await lab.store.files(
        key: lab.key.id, purpose: .fineTune, page: PageRequest(), now: now)
      #expect(tuned.items == [files[3], files[1]] && !tuned.hasMore)
      let first = try await lab.store.files(
        key: lab.key.id, purpose: nil, page: PageRequest(limit: 3, order: .ascending), now: now)
      #expect(first.items == Array(files[..<3]) && first.hasMore)
      let rest = try await lab.store.files(
        key: lab.key.id, purpose: nil,
        page: PageRequest(after: files[2].id, limit: 3, order: .ascending), now: now)
      #expect(rest.items == Array(files[3...]) && !rest.hasMore)
      #expect(try await !lab.store.deleteFile(files[0].id, key: other.key.id))
      #expect(try await lab.store.deleteFile(files[0].id, key: lab.key.id))
      #expect(try await !lab.store.deleteFile(files[0].id, key: lab.key.id))
      await #expect {
        try await lab.store.files(
          key: lab.key.id, purpose: nil, page: PageRequest(after: files[0].id), now: now)
      } throws: { ($0 as? StoreError)?.code == .unknownCursor }
    }
  }

  @Test("an expired file is gone at its second, and swept later", arguments: StoreKind.allCases)
  func expiry(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let end = Laboratory.start.adding(seconds: 3_600)
      let file = try await file(lab, "short", expires: end)
      let before = end.adding(seconds: -1)
      #expect(try await lab.store.file(file.id, key: lab.key.id, now: before) == file)
      #expect(try await lab.store.file(file.id, key: lab.key.id, now: end) == nil)
      #expect(try await lab.store.tick(now: before).nextDue == end)
      #expect(try await lab.store.tick(now: end).deletedFiles.count == 1)
    }
  }

  @Test("keys are found by hash until they are revoked", arguments: StoreKind.allCases)
  func keys(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let hash = Laboratory.digest("secret of first")
      #expect(try await lab.store.key(hash: hash) == lab.key)
      #expect(try await lab.store.key(hash: Laboratory.digest("another")) == nil)
      await #expect(throws: (any Error).self) {
        try await lab.store.createKey(NewKey(name: "twin", hash: hash), now: Laboratory.start)
      }
      #expect(try await lab.store.revokeKey(lab.key.id, now: Laboratory.start))
      #expect(try await !lab.store.revokeKey(lab.key.id, now: Laboratory.start))
      #expect(try await lab.store.key(hash: hash) == nil)
      #expect(try await lab.store.keys().map(\.revokedAt) == [Laboratory.start])
    }
  }

  @Test(
    "a model's name can be given to other weights and taken away", arguments: StoreKind.allCases)
  func models(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      #expect(try await lab.store.models() == [lab.model])
      var newer = Laboratory.model("tiny v2")
      newer.id = lab.model.id
      try await lab.store.registerModel(newer, provenance: nil, blobs: [])
      #expect(try await lab.store.model("tiny") == newer)
      #expect(try await lab.store.models().count == 1)
      #expect(try await lab.store.removeModel("tiny"))
      #expect(try await !lab.store.removeModel("tiny"))
      #expect(try await lab.store.model("tiny") == nil)
    }
  }

  @Test("a request for a model that was never registered is refused", arguments: StoreKind.allCases)
  func unknownModel(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      await #expect {
        try await lab.store.appendRequests(
          [lab.request(1), lab.request(2, model: Laboratory.digest("unknown"))], to: batch.id)
      } throws: { ($0 as? StoreError)?.code == .invalid }
      // The slice is one transaction: its good line is not there either.
      try await lab.store.appendRequests([lab.request(2)], to: batch.id)
      let running = try await lab.store.finishValidation(
        batch.id, model: nil, now: Laboratory.start)
      #expect(running.total == 1)
    }
  }

  @Test(
    "a request that no unit could hold is refused before it can hold up the others",
    arguments: StoreKind.allCases)
  func unencodable(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      let spoilt: [(inout GenerateInputs.Sequence) -> Void] = [
        { $0.promptTokens = [] }, { $0.temperature = .nan }, { $0.maxTokens = 0 }, { $0.topP = 0 },
        { $0.stopStrings = [[]] }, { $0.topLogprobs = 21 },
      ]
      for spoil in spoilt {
        var request = lab.request(1)
        guard case .run(var work) = request.content else { continue }
        spoil(&work.sequences[0])
        request.content = .run(work)
        await #expect {
          try await lab.store.appendRequests([request], to: batch.id)
        } throws: { ($0 as? StoreError)?.code == .invalid }
      }
      await #expect {
        try await lab.store.appendRequests([lab.request(1, choices: 4_097)], to: batch.id)
      } throws: { ($0 as? StoreError)?.code == .invalid }
    }
  }
}
