import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Testing
import WirePayloads
import WireProtocol

/// What the key that a job belongs to may do with it, and other keys may not.
extension FineTuningContractTests {
  @Test("pausing hands out nothing, resuming goes on, cancelling drops everything",
    arguments: StoreKind.allCases)
  func wishes(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (store, key) = (lab.store, lab.key.id)
      let id = try await Self.running(lab)
      let worker = try await lab.worker("w", account: "ada", trusted: true)
      #expect(
        try await store.ask(.pause, ofFineTuningJob: id, key: key, now: Self.at(1)).state == .paused
      )
      #expect(try await lab.lease(worker, now: Self.at(2)).isEmpty)
      #expect(try await store.openFineTuningJobs(limit: 5).isEmpty)
      await #expect(throws: StoreError.self) {
        try await store.publish(
          Self.round(1, lab), joining: Self.joined(0), ofFineTuningJob: id, now: Self.at(2))
      }
      #expect(
        try await store.ask(.resume, ofFineTuningJob: id, key: key, now: Self.at(3)).state
          == .running)
      let lease = try #require(try await lab.lease(worker, now: Self.at(4)).first)
      for _ in 0..<2 {
        let record = try await store.ask(.cancel, ofFineTuningJob: id, key: key, now: Self.at(5))
        #expect(record.state == .cancelled && record.endedAt == Self.at(5))
      }
      #expect(try await lab.lease(worker, now: Self.at(6)).isEmpty)
      let beat = try await store.heartbeat(
        lease: lease.id, worker: worker.id, flopsDone: 1, now: Self.at(7))
      #expect(beat.verdict == .abandon)
      await #expect(throws: StoreError.self) {
        try await store.ask(.resume, ofFineTuningJob: id, key: key, now: Self.at(8))
      }
      // A service that comes too late ends nothing twice.
      try await store.end(
        .failed(.init(code: "late", message: "late")), ofFineTuningJob: id, now: Self.at(9))
      #expect(try await store.fineTuningJob(id, key: nil)?.state == .cancelled)
    }
  }

  @Test("a job belongs to its key, and a retry makes no second one", arguments: StoreKind.allCases)
  func owners(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let store = lab.store
      let first = try await store.createFineTuningJob(
        Self.job(lab), isRetry: false, now: Self.start)
      let again = try await store.createFineTuningJob(
        Self.job(lab), isRetry: true, now: Self.at(60))
      let second = try await store.createFineTuningJob(
        Self.job(lab), isRetry: false, now: Self.at(61))
      #expect(first.id == again.id && first.id != second.id)
      let stranger = try await lab.withKey("stranger")
      #expect(try await store.fineTuningJob(first.id, key: stranger.key.id) == nil)
      await #expect(throws: StoreError.self) {
        try await store.ask(
          .cancel, ofFineTuningJob: first.id, key: stranger.key.id, now: Self.at(62))
      }
      await #expect(throws: StoreError.self) {
        try await store.fineTuningEvents(of: first.id, key: stranger.key.id, after: nil, limit: 5)
      }
      func list(
        _ metadata: ExactDictionary<String>, after: String? = nil
      ) async throws -> [String] {
        try await store.fineTuningJobs(
          key: lab.key.id, metadata: metadata, page: PageRequest(after: after, limit: 1)
        ).items.map(\.id)
      }
      #expect(try await list([:]) == [second.id])
      #expect(try await list([:], after: second.id) == [first.id])
      #expect(try await list(["who": "a test"]) == [second.id])
      #expect(try await list(["who": "a test", "what": "none"]).isEmpty)
      #expect(try await list(["who": "nobody"]).isEmpty)
      // Keys and values are compared by code points.
      var named = Self.job(lab)
      named.metadata = ["\u{E9}": "e\u{301}"]
      let third = try await store.createFineTuningJob(named, isRetry: false, now: Self.at(63))
      #expect(try await list(["\u{E9}": "e\u{301}"]) == [third.id])
      #expect(try await list(["e\u{301}": "e\u{301}"]).isEmpty)
      #expect(try await list(["\u{E9}": "\u{E9}"]).isEmpty)
    }
  }

  @Test("tuned models are deleted by their owner alone", arguments: StoreKind.allCases)
  func deletion(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let id = try await Self.running(lab)
      try await lab.store.publish(
        Self.round(1, lab), joining: Self.joined(0), ofFineTuningJob: id, now: Self.at(5))
      let stranger = try await lab.withKey("stranger")
      #expect(try await !lab.store.removeTunedModel("ft:tiny:1", key: stranger.key.id))
      #expect(try await !lab.store.removeTunedModel("tiny", key: lab.key.id))
      #expect(try await lab.store.removeTunedModel("ft:tiny:1", key: lab.key.id))
      #expect(try await lab.store.model("ft:tiny:1") == nil)
      #expect(try await lab.store.model("tiny") != nil)
    }
  }
}
