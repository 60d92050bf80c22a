import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Testing
import WirePayloads
import WireProtocol

/// Blobs, bytes and tokens of fine-tuning jobs: what is kept, and what counts for the key.
extension FineTuningContractTests {
  @Test("blobs of a job are kept as long as it runs, and as evidence after it")
  func storage() async throws {
    let blobs = MemoryBlobStore()
    let store = FleetStore.inMemory(blobs: blobs)
    let lab = try await Laboratory(store, blobs)
    let id = try await Self.running(lab)
    try await store.publish(
      Self.round(1, lab), joining: Self.joined(0), ofFineTuningJob: id, now: Self.at(5))
    let names = ["training", "examples", "held out", "adapter 0", "train 0 0", "velocity 0"]
    let digests = names.map(Laboratory.digest)
    var uses = try await store.uses(of: digests, now: Self.at(6))
    for (name, digest) in zip(names, digests) {
      let open = (uses[digest] ?? []).contains { $0 == .openBatch || $0 == .openUnit }
      #expect(open, "\(name)")
    }
    _ = try await store.ask(.cancel, ofFineTuningJob: id, key: lab.key.id, now: Self.at(7))
    uses = try await store.uses(of: digests, now: Self.at(8))
    for (name, digest) in zip(names, digests) where name != "velocity 0" {
      let ended = (uses[digest] ?? []).allSatisfy {
        if case .endedUnit = $0 { true } else { false }
      }
      #expect(ended && uses[digest] != nil, "\(name)")
    }
    #expect(uses[Laboratory.digest("velocity 0")] == nil)
  }

  /// A first round whose blobs have sizes.
  private static func sized(_ lab: Laboratory, adapterBytes: Int, tokens: Int = 0)
    -> NewFineTuningRound
  {
    var first = round(0, lab)
    first.blobBytes = [
      first.adapter: adapterBytes, Laboratory.digest("examples"): 100,
      Laboratory.digest("train 0 0"): 10,
    ]
    first.jobTokens = tokens
    return first
  }

  private static func began(
    _ lab: Laboratory, _ first: NewFineTuningRound, at seconds: Int = 0
  ) async throws -> String {
    let record = try await lab.store.createFineTuningJob(job(lab), isRetry: false, now: at(seconds))
    try await lab.store.beginFineTuning(
      record.id, plan: plan(lab), base: lab.model, first, now: at(seconds))
    return record.id
  }

  @Test("what is kept for jobs counts for their key once, until it is swept",
    arguments: StoreKind.allCases)
  func keptBytes(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (store, key) = (lab.store, lab.key.id)
      func stored(_ seconds: Int) async throws -> Int {
        try await store.usage(ofKey: key, now: Self.at(seconds)).storedBytes
      }
      let first = Self.sized(lab, adapterBytes: 1000)
      let jobs = [try await Self.began(lab, first), try await Self.began(lab, first, at: 1)]
      #expect(try await stored(1) == 1110, "the same blobs are there once")
      let stranger = try await lab.withKey("stranger")
      #expect(try await store.usage(ofKey: stranger.key.id, now: Self.at(1)).storedBytes == 0)
      for job in jobs {
        _ = try await store.ask(.cancel, ofFineTuningJob: job, key: key, now: Self.at(2))
      }
      // Nothing was made of them, so that nothing needs them; they are on the disk all the same.
      let blobs = [
        first.adapter, Laboratory.digest("examples"), Laboratory.digest("train 0 0"),
        Laboratory.digest("training"), Laboratory.digest("held out"),
      ]
      #expect(try await store.uses(of: blobs, now: Self.at(3)).isEmpty)
      #expect(try await stored(3) == 1110)
      try await store.forgetUnused(blobs, now: Self.at(1))
      #expect(try await stored(3) == 1110, "they were used then")
      try await store.forgetUnused(blobs, now: Self.at(3))
      #expect(try await stored(3) == 0)
    }
  }

  @Test("a quota of bytes ends what tuning would store beyond it", arguments: StoreKind.allCases)
  func storageQuota(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let store = lab.store
      try await store.setQuota(Quota(storedBytes: 1110), ofKey: lab.key.id)
      let waiting = try await store.createFineTuningJob(
        Self.job(lab), isRetry: false, now: Self.start)
      _ = try await Self.began(lab, Self.sized(lab, adapterBytes: 1000))
      await #expect {
        try await store.createFineTuningJob(Self.job(lab), isRetry: false, now: Self.at(1))
      } throws: { ($0 as? QuotaRefusal)?.resource == .storedBytes }
      // It was made before.
      await #expect {
        try await store.beginFineTuning(
          waiting.id, plan: Self.plan(lab), base: lab.model, Self.sized(lab, adapterBytes: 1),
          now: Self.at(1))
      } throws: { ($0 as? QuotaRefusal)?.resource == .storedBytes }
      #expect(try await store.fineTuningJob(waiting.id, key: nil)?.state == .validating)
    }
  }

  @Test("a running job reserves the tokens that it may take", arguments: StoreKind.allCases)
  func reservedTokens(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (store, key) = (lab.store, lab.key.id)
      func tokens() async throws -> Int {
        try await store.usage(ofKey: key, now: Self.at(9)).tokens
      }
      try await store.setQuota(Quota(tokensPerDay: 100), ofKey: key)
      let waiting = try await store.createFineTuningJob(
        Self.job(lab), isRetry: false, now: Self.start)
      let first = Self.sized(lab, adapterBytes: 1, tokens: 60)
      let jobs = [try await Self.began(lab, first), try await Self.began(lab, first, at: 1)]
      #expect(try await tokens() == 120)
      await #expect {
        try await store.beginFineTuning(
          waiting.id, plan: Self.plan(lab), base: lab.model, first, now: Self.at(1))
      } throws: { ($0 as? QuotaRefusal)?.resource == .tokensPerDay }
      _ = try await store.ask(.pause, ofFineTuningJob: jobs[0], key: key, now: Self.at(2))
      #expect(try await tokens() == 120)
      // What was not taken is given back.
      for job in jobs {
        _ = try await store.ask(.cancel, ofFineTuningJob: job, key: key, now: Self.at(3))
      }
      #expect(try await tokens() == 0)
    }
  }

  @Test("a deleted file that a job keeps goes on counting; a job gives nobody its files",
    arguments: StoreKind.allCases)
  func keptFile(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (store, key) = (lab.store, lab.key.id)
      let file = try await store.createFile(
        NewFile(
          keyID: key, purpose: .fineTune, filename: "f", bytes: 50,
          blob: Laboratory.digest("training")), now: Self.start)
      var job = Self.job(lab)
      job.trainingFileID = file.id
      let record = try await store.createFineTuningJob(job, isRetry: false, now: Self.start)
      #expect(try await store.usage(ofKey: key, now: Self.at(1)).storedBytes == 50)
      #expect(try await store.deleteFile(file.id, key: key))
      #expect(try await store.usage(ofKey: key, now: Self.at(1)).storedBytes == 50)
      #expect(try await !store.isOfFineTuningJob(record.id, blob: file.blob))
    }
  }

  @Test("what somebody computed stays as evidence, also of a job that came to nothing",
    arguments: StoreKind.allCases)
  func computedEvidence(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let id = try await Self.running(lab)
      let worker = try await lab.worker("w", account: "ada", trusted: true)
      let lease = try #require(try await lab.lease(worker).first)
      _ = try await submit(lease, by: worker, lab, saying: "done", at: 5)
      _ = try await lab.store.ask(.cancel, ofFineTuningJob: id, key: lab.key.id, now: Self.at(6))
      let (inputs, adapter) = (lease.specification.inputs, Laboratory.digest("adapter 0"))
      let others = [Laboratory.digest("train 0 0"), Laboratory.digest("train 0 1")]
        .filter { $0 != inputs }
      let uses = try await lab.store.uses(
        of: [inputs, adapter, Laboratory.digest("done"), Laboratory.digest("examples")] + others,
        now: Self.at(7))
      #expect(Set(uses.keys) == [inputs, adapter, Laboratory.digest("done")])
    }
  }
}
