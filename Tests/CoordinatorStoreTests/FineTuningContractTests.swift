import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Testing
import WirePayloads
import WireProtocol

@Suite("Store contract: fine-tuning jobs")
struct FineTuningContractTests {
  static let start = Laboratory.start

  static func at(_ seconds: Int) -> Timestamp { start.adding(seconds: seconds) }

  static func job(_ lab: Laboratory, pool: WorkPool = .trusted) -> NewFineTuningJob {
    NewFineTuningJob(
      keyID: lab.key.id, model: "tiny", trainingFileID: "file-training",
      trainingBlob: Laboratory.digest("training"), seed: 3, metadata: ["who": "a test"], pool: pool)
  }

  static func plan(_ lab: Laboratory) -> FineTuningPlan {
    FineTuningPlan(
      model: lab.model.manifest, training: Laboratory.digest("examples"),
      validation: Laboratory.digest("held out"), trainingExamples: 24, validationExamples: 4,
      seed: 3, rank: 2, alpha: 4, isRankStabilised: false, targets: ["q_proj"], epochs: 1,
      batchSize: 2, localSteps: 3, shards: 2, learningRate: 1e-3, outerLearningRate: 0.7,
      outerMomentum: 0.9, patience: nil)
  }

  static func round(_ number: Int, _ lab: Laboratory, learns: Bool = true) -> NewFineTuningRound {
    func unit(_ kind: UnitKind, _ shard: Int) -> NewFineTuningUnit {
      NewFineTuningUnit(
        kind: kind, shard: shard, inputs: Laboratory.digest("\(kind) \(number) \(shard)"),
        tokens: [10, 20], flops: 1e9, memoryBytes: 200 << 20)
    }
    var checkpoint: ModelRecord?
    if number > 0 {
      checkpoint = lab.model
      checkpoint?.id = "ft:tiny:\(number)"
      checkpoint?.adapter = Laboratory.digest("adapter \(number)")
      checkpoint?.ownerKeyID = lab.key.id
      checkpoint?.isCheckpoint = true
    }
    return NewFineTuningRound(
      number: number, adapter: Laboratory.digest("adapter \(number)"),
      units: (learns ? [unit(.train, 0), unit(.train, 1)] : []) + [unit(.validate, 0)],
      checkpoint: checkpoint)
  }

  static func joined(_ number: Int, _ shards: Set<Int> = [0, 1]) -> JoinedRound {
    JoinedRound(
      number: number, shards: shards,
      metrics: RoundMetrics(losses: [3, 2.5, 2], tokens: 60, joined: shards.count, shards: 2),
      velocity: Laboratory.digest("velocity \(number)"))
  }

  /// A job whose first round is published.
  static func running(_ lab: Laboratory, pool: WorkPool = .trusted) async throws -> String {
    let record = try await lab.store.createFineTuningJob(
      job(lab, pool: pool), isRetry: false, now: start)
    try await lab.store.beginFineTuning(
      record.id, plan: plan(lab), base: lab.model, round(0, lab), now: start)
    return record.id
  }

  func submit(
    _ lease: Lease, by worker: WorkerRecord, _ lab: Laboratory, saying what: String, at seconds: Int
  ) async throws -> ResultReceipt {
    let one = SequenceSummary(tokens: 15, nonFinite: false)
    return try await lab.store.submit(
      ResultSubmission(
        leaseID: lease.id, workerID: worker.id,
        result: NewResult(digest: Laboratory.digest(what), sequences: [one, one]),
        signature: Data([1]), seconds: 5), now: Self.at(seconds))
  }

  @Test("a job says why it waits", arguments: StoreKind.allCases)
  func waiting(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let record = try await lab.store.createFineTuningJob(
        Self.job(lab), isRetry: false, now: Self.start)
      func reasons() async throws -> WaitReasons? {
        try await lab.store.waitReasons(
          ofFineTuningJob: record.id, key: lab.key.id, now: Self.start)
      }
      #expect(try await reasons() == nil, "its files are being read")
      try await lab.store.beginFineTuning(
        record.id, plan: Self.plan(lab), base: lab.model, Self.round(0, lab), now: Self.start)
      #expect(
        try await reasons()?.sentences()
          == ["No worker of the trusted pool has asked for work in the last 10 minutes."])
      let worker = try await lab.worker("w", account: "ada", trusted: true)
      _ = try await lab.store.lease(
        worker: worker.id, request: Laboratory.leaseRequest(memory: 1 << 20), now: Self.start)
      #expect(
        try await reasons()?.sentences().first?.contains("1 offers too little memory") == true)
      _ = try #require(try await lab.lease(worker, now: Self.start).first)
      #expect(try await reasons()?.sentences() == [], "it computes")
      try await lab.store.setLeasing(.paused)
      #expect(try await reasons()?.sentences().first?.contains("has paused") == true)
      await #expect {
        try await lab.store.waitReasons(
          ofFineTuningJob: record.id, key: "another", now: Self.start)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }

  @Test("a job's units are leased, verified and credited like any other; rounds follow one another",
    arguments: StoreKind.allCases)
  func lifeOfAJob(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let store = lab.store
      let id = try await Self.running(lab)
      #expect(try await store.openFineTuningJobs(limit: 5).map(\.id) == [id])
      #expect(try await store.gauges(now: Self.start).fineTuningJobs == ["running": 1])
      let worker = try await lab.worker("w", account: "ada", trusted: true)
      var leases: [Lease] = []
      for second in 0..<3 { leases += try await lab.lease(worker, now: Self.at(second)) }
      #expect(leases.count == 3 && Set(leases.map(\.specification.kind)) == [.train, .validate])
      #expect(leases.allSatisfy { $0.specification.adapter == Laboratory.digest("adapter 0") })
      #expect(leases.allSatisfy { $0.specification.cache == .f32 && $0.estimatedFlops == 1e9 })
      #expect(try await store.fineTuningJob(id, key: lab.key.id)?.hasBegun == true)
      // Inputs and adapter of what it runs, and nothing else.
      for (name, may) in [
        ("adapter 0", true), ("train 0 0", true), ("examples", false), ("adapter 1", false),
      ] {
        let found = try await store.mayRead(
          blob: Laboratory.digest(name), worker: worker.id, now: Self.at(3))
        #expect(found == may, "\(name)")
      }
      for (index, lease) in leases.enumerated() {
        let receipt = try await submit(
          lease, by: worker, lab, saying: "result \(index)", at: 10 + index)
        #expect(receipt.state == .accepted && receipt.credit == Credit(flops: 1e9).value)
      }
      var rounds = try await store.fineTuningRounds(of: id, key: nil)
      #expect(rounds.count == 1 && rounds[0].units.allSatisfy { $0.result != nil && !$0.isJoined })

      try await store.recordValidation(4, ofRound: 0, ofFineTuningJob: id, now: Self.at(20))
      try await store.publish(
        Self.round(1, lab), joining: Self.joined(0), ofFineTuningJob: id, now: Self.at(20))
      // Repeating either changes nothing.
      try await store.recordValidation(5, ofRound: 0, ofFineTuningJob: id, now: Self.at(21))
      try await store.publish(
        Self.round(1, lab), joining: Self.joined(0), ofFineTuningJob: id, now: Self.at(21))
      rounds = try await store.fineTuningRounds(of: id, key: nil)
      #expect(rounds.count == 2 && rounds[0].validationLoss == 4)
      #expect(rounds[0].units.filter(\.isJoined).count == 2 && rounds[0].metrics?.meanLoss == 2.5)
      let record = try #require(try await store.fineTuningJob(id, key: nil))
      #expect(record.trainedTokens == 60 && record.velocity == Laboratory.digest("velocity 0"))
      #expect(try await store.model("ft:tiny:1")?.adapter == Laboratory.digest("adapter 1"))
      // A tuned model's adapter is for those alone who run a unit of it.
      #expect(
        try await !store.mayRead(
          blob: Laboratory.digest("adapter 1"), worker: worker.id, now: Self.at(22)))
      let stranger = try await lab.withKey("stranger")
      var foreign = Self.job(lab)
      foreign.keyID = stranger.key.id
      let theirs = try await store.createFineTuningJob(foreign, isRetry: false, now: Self.at(22))
      try await store.beginFineTuning(
        theirs.id, plan: Self.plan(lab), base: lab.model,
        NewFineTuningRound(number: 0, adapter: Laboratory.digest("their adapter"), units: []),
        now: Self.at(22))
      #expect(try await !store.isOfFineTuningJob(theirs.id, blob: Laboratory.digest("adapter 1")))
      #expect(try await store.isOfFineTuningJob(id, blob: Laboratory.digest("adapter 1")))
      _ = try await store.ask(
        .cancel, ofFineTuningJob: theirs.id, key: stranger.key.id, now: Self.at(23))

      var model = lab.model
      model.id = "ft:tiny"
      (model.adapter, model.ownerKeyID) = (Laboratory.digest("adapter 1"), lab.key.id)
      let file = NewFile(
        keyID: lab.key.id, purpose: .fineTuneResults, filename: "metrics.csv", bytes: 3,
        blob: Laboratory.digest("csv"))
      for _ in 0..<2 {
        try await store.end(
          .succeeded(chosen: 1, model: model, files: [file]), ofFineTuningJob: id, now: Self.at(30))
      }
      let ended = try #require(try await store.fineTuningJob(id, key: nil))
      #expect(ended.state == .succeeded && ended.tunedModel == "ft:tiny" && ended.chosen == 1)
      #expect(ended.resultFileIDs.count == 1 && ended.velocity == nil)
      #expect(try await store.openFineTuningJobs(limit: 5).isEmpty)
      #expect(try await lab.lease(worker, now: Self.at(31)).isEmpty)
      let events = try await store.fineTuningEvents(of: id, key: lab.key.id, after: nil, limit: 50)
        .items
      #expect(events.first?.message == "The job has successfully completed")
      #expect(events.last?.message == "Created fine-tuning job: \(id)")
      #expect(events.contains { $0.metrics?["train_loss"] == 2.5 })
    }
  }

  @Test("replicas of a train unit are of two accounts, and their digests are compared",
    arguments: StoreKind.allCases)
  func replicas(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let id = try await Self.running(lab, pool: .public)
      let ada = try await lab.worker("a", account: "ada")
      let eve = try await lab.worker("e", account: "eve")
      let mine = try #require(try await lab.lease(ada).first)
      _ = try await submit(mine, by: ada, lab, saying: "truth", at: 5)
      var lie: Lease?
      for second in 6..<10 where lie == nil {
        lie = try await lab.lease(eve, now: Self.at(second)).first { $0.unit == mine.unit }
      }
      let other = try #require(lie)
      #expect(
        try await submit(other, by: eve, lab, saying: "a lie", at: 12).state == .awaitingReplay)
      let replay = try #require(try await lab.store.takeReplay(now: Self.at(13)))
      #expect(replay.specification == mine.specification)
      let one = SequenceSummary(tokens: 15, nonFinite: false)
      let outcome = try await lab.store.settleReplay(
        replay.id, result: NewResult(digest: Laboratory.digest("truth"), sequences: [one, one]),
        now: Self.at(14))
      #expect(outcome == ReplayOutcome(agreed: 1, rejected: 1))
      let units = try await lab.store.fineTuningRounds(of: id, key: nil)[0].units
      let settled = try #require(units.first { $0.digest == mine.unit })
      #expect(settled.result == Laboratory.digest("truth") && settled.verification == .replay)
    }
  }

  @Test(
    "a shard that two accounts forged is replaced before it is joined, and told about after",
    arguments: [false, true])
  func audited(isJoined: Bool) async throws {
    try await StoreKind.memory.withLaboratory(lots: .drawn([0])) { lab async throws in
      let id = try await Self.running(lab, pool: .public)
      let gang = [
        try await lab.worker("a", account: "ada"), try await lab.worker("e", account: "eve"),
      ]
      let mine = try #require(try await lab.lease(gang[0]).first)
      _ = try await submit(mine, by: gang[0], lab, saying: "a lie", at: 5)
      var same: Lease?
      for _ in 0..<4 where same == nil {
        same = try await lab.lease(gang[1], now: Self.at(6)).first { $0.unit == mine.unit }
      }
      let other = try #require(same)
      #expect(try await submit(other, by: gang[1], lab, saying: "a lie", at: 7).state == .accepted)
      func shard() async throws -> FineTuningRoundRecord.Unit {
        let units = try await lab.store.fineTuningRounds(of: id, key: nil)[0].units
        return try #require(units.first { $0.digest == mine.unit })
      }
      if isJoined {
        try await lab.store.publish(
          Self.round(1, lab), joining: Self.joined(0, [try await shard().shard]),
          ofFineTuningJob: id, now: Self.at(8))
      }
      let job = try #require(try await lab.store.takeReplay(now: Self.at(9)))
      #expect(job.isAudit && job.unit == mine.unit)
      let one = SequenceSummary(tokens: 15, nonFinite: false)
      let outcome = try await lab.store.settleReplay(
        job.id, result: NewResult(digest: Laboratory.digest("truth"), sequences: [one, one]),
        now: Self.at(10))
      #expect(outcome?.audit == .failed(delivered: isJoined))
      // What was joined is what whoever checks the job has to find.
      #expect(
        try await shard().result == Laboratory.digest(isJoined ? "a lie" : "truth"))
      let events = try await lab.store.fineTuningEvents(
        of: id, key: lab.key.id, after: nil, limit: 50).items
      #expect(events.contains { $0.level == .error } == isJoined)
      let found = try await lab.store.failedAudits(limit: 1)
      #expect(found.first?.jobs == [id] && (found.first?.delivered != nil) == isJoined)
    }
  }

  @Test("what is open of a round that goes on is given up, and late results cost nothing",
    arguments: StoreKind.allCases)
  func stragglers(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let id = try await Self.running(lab)
      let worker = try await lab.worker("w", account: "ada", trusted: true)
      let late = try #require(try await lab.lease(worker).first)
      #expect(late.specification.kind == .train)
      try await lab.store.publish(
        Self.round(1, lab), joining: Self.joined(0, [1]), ofFineTuningJob: id, now: Self.at(5))
      #expect(try await submit(late, by: worker, lab, saying: "late", at: 9).state == .notNeeded)
      let rounds = try await lab.store.fineTuningRounds(of: id, key: nil)
      let train = rounds[0].units.filter { $0.kind == .train }
      #expect(train.map(\.shown) == [.lost, .lost] && train.map(\.isJoined) == [false, true])
      // What measures the old adapter goes on.
      #expect(rounds[0].units.first { $0.kind == .validate }?.shown == .open)
      let events = try await lab.store.fineTuningEvents(
        of: id, key: lab.key.id, after: nil, limit: 50
      ).items
      #expect(events.contains { $0.level == .warn })
    }
  }

  @Test(
    "a worker that says that it is there does not hold up a round", arguments: StoreKind.allCases)
  func zombie(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await Self.running(lab, pool: .public)
      let zombie = try await lab.worker("zombie", account: "zoe")
      let lease = try #require(try await lab.lease(zombie).first)
      #expect(lease.specification.kind != .generate)
      var ended: Int?
      for seconds in stride(from: 30, through: 3_000, by: 30) where ended == nil {
        _ = try await lab.store.tick(now: Self.at(seconds))
        // Whatever it claims to have done.
        let beat = try await lab.store.heartbeat(
          lease: lease.id, worker: zombie.id, flopsDone: 1e12, now: Self.at(seconds))
        if beat.verdict == .abandon { ended = seconds }
      }
      // Four silences, since the unit should take less than a second, and a download of 100 MiB.
      let end = try #require(ended)
      #expect(end <= 600)
      let (ann, bob) = (
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")
      )
      var done = 0
      for step in 0..<20 {
        for worker in [ann, bob] {
          let now = end + 60 + step * 10
          for lease in try await lab.lease(worker, now: Self.at(now)) {
            done += 1
            _ = try await submit(
              lease, by: worker, lab, saying: "\(lease.unit)", at: now + 1)
          }
        }
      }
      #expect(done == 6, "two shards and what measures, twice each")
    }
  }
}
