import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

@Suite("Store contract: leases")
struct LeaseContractTests {
  private func reasons(
    _ lab: Laboratory, _ worker: WorkerRecord, memory: Int = 1 << 30, disk: Int = 1 << 30,
    now: Timestamp = Laboratory.start
  ) async throws -> [IdleReason: Int] {
    let response = try await lab.store.lease(
      worker: worker.id, request: Laboratory.leaseRequest(memory: memory, disk: disk), now: now)
    #expect(response.leases.isEmpty && response.retryAfterSeconds > 0)
    return response.reasons
  }

  @Test("who gets nothing is told why, with counts", arguments: StoreKind.allCases)
  func reasons(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let a = try await lab.worker("a", account: "ann")
      let twin = try await lab.worker("twin", account: "ann")
      #expect(try await reasons(lab, a) == [.noWork: 1])
      _ = try await lab.runningBatch(lines: 3, pool: .trusted)
      #expect(try await reasons(lab, a) == [.otherPool: 3])
      _ = try await lab.runningBatch(lines: 3)
      #expect(try await reasons(lab, a, memory: 64 << 20) == [.otherPool: 3, .needsMoreMemory: 3])
      #expect(try await reasons(lab, a, disk: 1 << 20) == [.otherPool: 3, .needsMoreDisk: 3])
      #expect(try await lab.lease(a).count == 1)
      #expect(try await reasons(lab, twin) == [.otherPool: 3, .sameAccount: 1])
      await #expect {
        try await lab.store.lease(
          worker: "worker_unknown", request: Laboratory.leaseRequest(), now: Laboratory.start)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }

  @Test(
    "a unit holds the requests' sequences, in order and exactly; replicas run the same",
    arguments: StoreKind.allCases)
  func inputs(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let requests = [
        lab.request(1, choices: 2), lab.request(2, maxTokens: 3, seed: -5),
        lab.request(3, prompt: 700),
      ]
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      try await lab.store.appendRequests(requests, to: batch.id)
      _ = try await lab.store.finishValidation(batch.id, model: nil, now: Laboratory.start)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(b).first)
      #expect(first.unit == second.unit && first.specification == second.specification)
      #expect(first.id != second.id)
      #expect(first.unit == (try BlobDigest.unit(first.specification)))
      #expect(first.specification.vocabulary == nil)
      let expected = requests.flatMap { request -> [GenerateInputs.Sequence] in
        if case .run(let work) = request.content { work.sequences } else { [] }
      }
      // Guided sizing leaves the end to others: the unit is a prefix.
      let inputs = try await lab.inputs(first.specification)
      #expect(!inputs.sequences.isEmpty)
      #expect(inputs.sequences == Array(expected.prefix(inputs.sequences.count)))
      try await lab.submit(first, by: a)
      try await lab.submit(second, by: b)
      try await lab.drain([a, b])
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 10)
      for (outcome, request) in zip(outcomes, requests) {
        guard case .completed(let done) = outcome.ending, case .run(let work) = request.content
        else {
          Issue.record("line \(outcome.line)")
          continue
        }
        let stored = try GenerateInputs(decoding: try await lab.blobs.read(done.inputs))
        let range = done.firstSequence..<done.firstSequence + done.sequenceCount
        #expect(Array(stored.sequences[range]) == work.sequences)
      }
    }
  }

  @Test("units with stop strings name the model's vocabulary", arguments: StoreKind.allCases)
  func vocabulary(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      try await lab.store.appendRequests([lab.request(1, stops: ["\n\n", "é"])], to: batch.id)
      _ = try await lab.store.finishValidation(batch.id, model: nil, now: Laboratory.start)
      let a = try await lab.worker("a", account: "ann")
      let lease = try #require(try await lab.lease(a).first)
      #expect(lease.specification.vocabulary == lab.model.vocabulary)
      #expect(
        try await lab.inputs(lease.specification).sequences[0].stopStrings.map {
          String(decoding: $0, as: UTF8.self)
        } == ["\n\n", "é"])
    }
  }

  @Test(
    "small batches of one model share a unit; cancelling one leaves the others their answers",
    arguments: StoreKind.allCases)
  func sharedUnit(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let other = try await lab.withKey("other")
      let one = try await lab.runningBatch(lines: 1)
      let two = try await other.runningBatch(lines: 1)
      let three = try await lab.runningBatch(lines: 1, pool: .trusted)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(a).first)
      #expect(try await lab.inputs(lease.specification).sequences.count == 2)
      _ = try await lab.store.cancelBatch(one.id, key: lab.key.id, now: Laboratory.start)
      try await lab.submit(lease, by: a)
      try await lab.submit(try #require(try await lab.lease(b).first), by: b)
      #expect(try await lab.batch(one.id).completed == 0)
      #expect(try await lab.batch(two.id).completed == 1)
      #expect(try await lab.batch(two.id).state == .finalizing(.completed))
      #expect(try await lab.batch(three.id).completed == 0)
    }
  }

  @Test(
    "a lease ends in silence, lives on heartbeats, and its unit goes to another",
    arguments: StoreKind.allCases)
  func expiry(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let start = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let c = try await lab.worker("c", account: "carl")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(b).first)
      let half = start.adding(seconds: first.deadlineSeconds - 1)
      #expect(try await lab.store.tick(now: half).expiredLeases == 0)
      let alive = try await lab.store.heartbeat(
        lease: first.id, worker: a.id, flopsDone: 5, now: half)
      #expect(alive.verdict == .proceed && alive.deadlineSeconds == 120)
      let later = half.adding(seconds: 10)
      #expect(try await lab.store.tick(now: later).expiredLeases == 1)
      let third = try #require(try await lab.lease(c, now: later).first)
      #expect(third.unit == first.unit)
      #expect(
        try await lab.store.heartbeat(lease: second.id, worker: b.id, flopsDone: 0, now: later)
          .verdict == .abandon)
      try await lab.submit(first, by: a, now: later)
      #expect(try await lab.submit(third, by: c, now: later).state == .accepted)
      // Too late to be needed, right all the same: paid once, like the others.
      let late = try await lab.submit(second, by: b, now: later)
      #expect(late.state == .accepted && late.credit > 0)
      #expect(try await lab.submit(second, by: b, now: later) == late)
    }
  }

  @Test(
    "after an outage of the coordinator, workers that are still at it go on",
    arguments: StoreKind.allCases)
  func outage(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let c = try await lab.worker("c", account: "carl")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(b).first)
      let back = Laboratory.start.adding(seconds: 1_200)
      #expect(try await lab.store.tick(now: back).expiredLeases == 2)
      let alive = try await lab.store.heartbeat(
        lease: first.id, worker: a.id, flopsDone: first.estimatedFlops / 2, now: back)
      #expect(alive.verdict == .proceed && alive.deadlineSeconds == 120)
      #expect(
        try await lab.store.mayRead(
          blob: first.specification.inputs, worker: a.id, now: back))
      // The other's place is taken before it is heard of; when its result comes, it counts.
      let third = try #require(try await lab.lease(c, now: back).first)
      #expect(third.unit == second.unit)
      #expect(
        try await lab.store.heartbeat(lease: second.id, worker: b.id, flopsDone: 5, now: back)
          .verdict == .abandon)
      try await lab.submit(second, by: b, now: back)
      #expect(try await lab.submit(first, by: a, now: back).state == .accepted)
      let tooLong = Laboratory.start.adding(seconds: 4_000)
      #expect(
        try await lab.store.heartbeat(lease: third.id, worker: c.id, flopsDone: 5, now: tooLong)
          .verdict == .abandon)
    }
  }

  @Test(
    "a worker cannot hoard leases, and gets more when it has given some back",
    arguments: StoreKind.allCases)
  func hoarding(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 1_000, pool: .trusted)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      var held: [Lease] = []
      while let lease = try await lab.lease(t).first, held.count < 100 { held.append(lease) }
      #expect(held.count == CoordinatorPolicy().maximumRunningLeases)
      #expect(try await reasons(lab, t) == [.paused: 1])
      try await lab.store.abandon(
        lease: held[0].id, worker: t.id, reason: .shuttingDown, detail: "", now: Laboratory.start)
      #expect(try await lab.lease(t).count == 1)
    }
  }

  @Test("leases are their worker's own", arguments: StoreKind.allCases)
  func ownership(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(a).first)
      func unknown(_ body: () async throws -> Void) async {
        await #expect {
          try await body()
        } throws: { ($0 as? StoreError)?.code == .leaseUnknown }
      }
      await unknown {
        _ = try await lab.store.heartbeat(lease: lease.id, worker: b.id, flopsDone: 0, now: now)
      }
      await unknown { _ = try await lab.store.leaseRecord(lease.id, worker: b.id) }
      await unknown { try await lab.submit(lease, by: b) }
      await unknown {
        try await lab.store.abandon(
          lease: lease.id, worker: b.id, reason: .failed, detail: "", now: now)
      }
      let record = try await lab.store.leaseRecord(lease.id, worker: a.id)
      #expect(record.specification == lease.specification && record.submitted == nil)
      #expect(record.estimatedFlops == lease.estimatedFlops)
    }
  }

  @Test(
    "workers read models, and inputs only while they hold a lease", arguments: StoreKind.allCases)
  func reading(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(a).first)
      let inputs = lease.specification.inputs
      for blob in [lab.model.manifest, lab.model.vocabulary, Laboratory.digest("a chunk")] {
        #expect(try await lab.store.mayRead(blob: blob, worker: b.id, now: now))
      }
      #expect(try await lab.store.mayRead(blob: inputs, worker: a.id, now: now))
      #expect(try await !lab.store.mayRead(blob: inputs, worker: b.id, now: now))
      #expect(try await !lab.store.mayRead(blob: lab.model.tokenizer, worker: a.id, now: now))
      try await lab.submit(lease, by: a)
      #expect(try await !lab.store.mayRead(blob: inputs, worker: a.id, now: now))
    }
  }

  @Test(
    "a worker that fails waits longer each time; one that shuts down does not",
    arguments: StoreKind.allCases)
  func backoff(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      func abandon(_ reason: Abandonment.Reason) async throws {
        let lease = try #require(try await lab.lease(a, now: now).first)
        for _ in 0..<2 {
          try await lab.store.abandon(
            lease: lease.id, worker: a.id, reason: reason, detail: "why", now: now)
        }
      }
      try await abandon(.shuttingDown)
      for wait in [30, 60, 120] {
        try await abandon(.outOfMemory)
        #expect(
          try await reasons(lab, a, now: now.adding(seconds: wait - 1)) == [.failedLately: 1])
        now = now.adding(seconds: wait)
      }
      let lease = try #require(try await lab.lease(a, now: now).first)
      try await lab.submit(lease, by: a, now: now)
      _ = try await lab.lease(a, now: now)
    }
  }

  @Test(
    "a lease that ends in silence is a failure; a machine that goes away with several failed once",
    arguments: StoreKind.allCases)
  func silence(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var now = Laboratory.start
      _ = try await lab.runningBatch(lines: 400, pool: .trusted)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      for _ in 0..<3 { #expect(try await lab.lease(t, now: now).count == 1) }
      now = now.adding(seconds: 300)
      #expect(try await lab.store.tick(now: now).expiredLeases == 3)
      #expect(try await reasons(lab, t, now: now.adding(seconds: 29)) == [.failedLately: 1])
      for wait in [60, 120] {
        now = now.adding(seconds: wait)
        // Who failed holds one unit at a time until a result of it is accepted.
        #expect(try await lab.lease(t, now: now).count == 1)
        #expect(try await lab.lease(t, now: now).isEmpty)
        now = now.adding(seconds: 300)
        #expect(try await lab.store.tick(now: now).expiredLeases == 1)
        let almost = now.adding(seconds: wait - 1)
        #expect(try await reasons(lab, t, now: almost) == [.failedLately: 1])
      }
    }
  }

  @Test(
    "only an accepted result that came after a row of failures ends it, of worker and account",
    arguments: StoreKind.allCases)
  func rowOfFailures(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var now = Laboratory.start
      _ = try await lab.runningBatch(lines: 40)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      func fail() async throws -> Int {
        let lease = try #require(try await lab.lease(a, now: now).first)
        try await lab.store.abandon(
          lease: lease.id, worker: a.id, reason: .failed, detail: "", now: now)
        return try await lab.store.lease(
          worker: a.id, request: Laboratory.leaseRequest(), now: now
        ).retryAfterSeconds
      }
      /// Bob computes what he gets until a unit has both results.
      func accept() async throws {
        var isAccepted = false
        while !isAccepted {
          let lease = try #require(try await lab.lease(b, now: now).first)
          isAccepted = try await lab.submit(lease, by: b, now: now).state == .accepted
        }
      }
      #expect(try await fail() == 30)
      now = now.adding(seconds: 30)
      let waiting = try #require(try await lab.lease(a, now: now).first)
      #expect(try await lab.submit(waiting, by: a, now: now).state == .awaitingReplica)
      now = now.adding(seconds: 1)
      #expect(try await fail() == 60, "an unverified result shows nothing")
      now = now.adding(seconds: 60)
      try await accept()
      #expect(try await fail() == 120, "nor does one from before the last failure")
      now = now.adding(seconds: 120)
      let last = try #require(try await lab.lease(a, now: now).first)
      if try await lab.submit(last, by: a, now: now).state != .accepted { try await accept() }
      #expect(try await fail() == 30)
    }
  }

  @Test(
    "an account waits when as many failures in a row are its as it has workers",
    arguments: StoreKind.allCases)
  func accountBackoff(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 400)
      let one = try await lab.worker("one", account: "ann")
      let two = try await lab.worker("two", account: "ann")
      let three = try await lab.worker("three", account: "ann")
      var leases: [(Lease, WorkerRecord)] = []
      for worker in [one, two, three] {
        let lease = try #require(try await lab.lease(worker).first)
        leases.append((lease, worker))
      }
      for (index, (lease, worker)) in leases.enumerated() {
        if index == 2 { #expect(try await lab.lease(three).count == 1, "two of three failed") }
        try await lab.store.abandon(
          lease: lease.id, worker: worker.id, reason: .failed, detail: "", now: now)
      }
      let fresh = try await lab.worker("fresh", account: "ann")
      #expect(try await reasons(lab, fresh) == [.failedLately: 1])
      let other = try await lab.worker("other", account: "bob")
      #expect(try await lab.lease(other).count == 1)
    }
  }

  @Test(
    "what an account gave up goes to others first, and back when nobody else is there",
    arguments: StoreKind.allCases)
  func goingBack(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let lease = try #require(try await lab.lease(a).first)
      func giveBack(_ lease: Lease) async throws {
        try await lab.store.abandon(
          lease: lease.id, worker: a.id, reason: .shuttingDown, detail: "", now: now)
      }
      try await giveBack(lease)
      let again = try #require(try await lab.lease(a).first, "nobody else is there")
      #expect(again.unit == lease.unit)
      try await giveBack(again)
      let b = try await lab.worker("b", account: "bob")
      _ = try await lab.store.lease(
        worker: b.id, request: Laboratory.leaseRequest(memory: 1), now: now)
      #expect(try await reasons(lab, a) == [.sameAccount: 2])
      #expect(try await lab.lease(b).first?.unit == lease.unit)
      #expect(try await lab.lease(a).first?.unit == lease.unit, "Bob has it already")
    }
  }

  @Test(
    "machines that may be given nothing are nobody whom a unit waits for",
    arguments: StoreKind.allCases)
  func heldBackIsNobody(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let c = try await lab.worker("c", account: "carl")
      let failed = try #require(try await lab.lease(c).first)
      try await lab.store.abandon(
        lease: failed.id, worker: c.id, reason: .failed, detail: "", now: now)
      let lease = try #require(try await lab.lease(a).first)
      try await lab.store.abandon(
        lease: lease.id, worker: a.id, reason: .shuttingDown, detail: "", now: now)
      // The account waits after its failure, and so does its other machine.
      let twin = try await lab.worker("twin", account: "carl")
      #expect(try await reasons(lab, twin) == [.failedLately: 1])
      let banned = try await lab.worker("b", account: "bob")
      _ = try await lab.store.lease(
        worker: banned.id, request: Laboratory.leaseRequest(memory: 1), now: now)
      #expect(try await reasons(lab, a) == [.sameAccount: 2])
      try await lab.store.ban(.worker(banned.id), reason: "", now: now)
      #expect(try await lab.lease(a).first?.unit == lease.unit)
    }
  }

  @Test(
    "more units given back than restarts explain hold an account back",
    arguments: StoreKind.allCases)
  func givingBack(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 400)
      let a = try await lab.worker("a", account: "ann")
      for index in 0..<11 {
        let lease = try #require(try await lab.lease(a).first, "\(index)")
        try await lab.store.abandon(
          lease: lease.id, worker: a.id, reason: .shuttingDown, detail: "", now: now)
      }
      #expect(try await reasons(lab, a, now: now.adding(seconds: 119)) == [.failedLately: 1])
      #expect(try await lab.lease(a, now: now.adding(seconds: 120)).count == 1)
    }
  }

  @Test(
    "a unit called invalid is held against unit and model, and the worker goes on elsewhere",
    arguments: StoreKind.allCases)
  func invalidUnits(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let broken = Laboratory.model("broken")
      try await lab.store.registerModel(
        broken, provenance: nil, blobs: [Laboratory.digest("another chunk")])
      let batch = try await lab.store.createBatch(
        lab.newBatch(priority: 9), isRetry: false, now: now)
      try await lab.store.appendRequests(
        (1...100).map { lab.request($0, model: broken.manifest) }, to: batch.id)
      _ = try await lab.store.finishValidation(batch.id, model: broken.id, now: now)
      let healthy = try await lab.runningBatch(lines: 40)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      for worker in [a, b] {
        for index in 0...CoordinatorPolicy().maximumRefusals {
          let lease = try #require(try await lab.lease(worker).first, "no backoff")
          guard lease.specification.model == broken.manifest else {
            #expect(index == CoordinatorPolicy().maximumRefusals)
            try await lab.submit(lease, by: worker)
            break
          }
          try await lab.store.abandon(
            lease: lease.id, worker: worker.id, reason: .invalidUnit, detail: "type F64", now: now)
        }
      }
      let failed = try await lab.batch(batch.id)
      #expect(failed.failed >= 4 && failed.completed == 0)
      let progress = try await lab.store.progress(of: batch.id, key: lab.key.id, now: now)
      #expect(progress.waitReasons.contains { $0.contains("broken") && $0.contains("invalid") })
      _ = try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 4)
      #expect(outcomes.allSatisfy { $0.ending == .failed(.gaveUp("type F64")) })
      try await lab.drain([a, b])
      #expect(try await lab.batch(healthy.id).completed == 40)
    }
  }

  @Test(
    "nobody holds more than a share of a queue, and one alone may hold all of it",
    arguments: StoreKind.allCases)
  func shares(kind: StoreKind) async throws {
    for accounts in [1, 2, 11] {
      try await kind.withLaboratory { lab async throws in
        _ = try await lab.runningBatch(lines: 400)
        var workers: [WorkerRecord] = []
        for index in 0..<accounts {
          let worker = try await lab.worker("w\(index)", account: "account-\(index)")
          // Everyone is there; nobody else has the memory now.
          _ = try await lab.store.lease(
            worker: worker.id, request: Laboratory.leaseRequest(memory: 1), now: Laboratory.start)
          workers.append(worker)
        }
        var held = 0
        while let lease = try await lab.lease(workers[0]).first {
          held += try await lab.inputs(lease.specification).sequences.count
        }
        let share = min(1, 2 / Double(accounts + 1))
        let most = min(Double(CoordinatorPolicy().maximumRunningLeases * 4), share * 400 + 4)
        #expect(Double(held) <= most && Double(held) >= min(most - 8, 120), "\(accounts): \(held)")
      }
    }
  }

  @Test(
    "a unit that has one result waits no longer for a late replica", arguments: StoreKind.allCases)
  func lateReplica(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let zombie = try await lab.worker("zombie", account: "zoe")
      let c = try await lab.worker("c", account: "carl")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(zombie).first)
      try await lab.submit(first, by: a)
      var spare: Lease?
      // The silence, and a hundred seconds for 100 MiB of model.
      for seconds in [60, 160, 226] {
        let now = Laboratory.start.adding(seconds: seconds)
        let beat = try await lab.store.heartbeat(
          lease: second.id, worker: zombie.id, flopsDone: 0, now: now)
        #expect(beat.verdict == .proceed)
        _ = try await lab.store.tick(now: now)
        spare = try await lab.lease(c, now: now).first
        #expect((spare == nil) == (seconds < 226), "\(seconds)")
      }
      let taken = try #require(spare)
      #expect(taken.unit == first.unit)
      #expect(try await lab.submit(taken, by: c, now: Laboratory.start.adding(seconds: 250)).state
        == .accepted)
    }
  }

  @Test(
    "a worker that dragged its first unit out holds the next ones no longer than others would",
    arguments: StoreKind.allCases)
  func feignedSlowness(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let start = Laboratory.start
      _ = try await lab.runningBatch(lines: 40)
      let zoe = try await lab.worker("zombie", account: "zoe")
      let a = try await lab.worker("a", account: "ann")
      let c = try await lab.worker("c", account: "carl")
      func beat(_ lease: Lease, share: Double, at seconds: Int) async throws
        -> HeartbeatResponse.Verdict
      {
        try await lab.store.heartbeat(
          lease: lease.id, worker: zoe.id, flopsDone: share * lease.estimatedFlops,
          now: start.adding(seconds: seconds)
        ).verdict
      }
      let dragged = try #require(try await lab.lease(zoe).first)
      for seconds in stride(from: 100, to: 3_500, by: 100) {
        #expect(try await beat(dragged, share: Double(seconds) / 3_500, at: seconds) == .proceed)
      }
      let ended = start.adding(seconds: 3_500)
      try await lab.submit(dragged, by: zoe, now: ended)
      let other = try #require(try await lab.lease(a, now: ended).first)
      #expect(try await lab.submit(other, by: a, now: ended.adding(seconds: 10)).state == .accepted)

      // At the speed that this shows, its next unit takes a quarter of an hour.
      let now = ended.adding(seconds: 20)
      let held = try #require(try await lab.lease(zoe, now: now).first)
      let machine = try await lab.store.fleet(now: now).workers.first { $0.id == zoe.id }
      let speed = try #require(machine?.flopsPerSecond)
      #expect(held.estimatedFlops / speed > 600)
      #expect(held.deadlineSeconds == 600)
      let second = try #require(try await lab.lease(a, now: now).first)
      #expect(second.unit == held.unit)
      try await lab.submit(second, by: a, now: now.adding(seconds: 10))
      // It says at once that it is done, and sends nothing.
      var end: Int?
      for seconds in stride(from: 30, through: 6_000, by: 30) where end == nil {
        let time = now.adding(seconds: seconds)
        _ = try await lab.store.tick(now: time)
        if try await beat(held, share: 1, at: 3_520 + seconds) == .abandon { end = seconds }
        if seconds == 840 {
          // Three times what a unit may usually take, and a download.
          #expect(try await lab.lease(c, now: time).first?.unit == held.unit)
        }
      }
      let seconds = try #require(end)
      #expect(seconds <= 3_750)
    }
  }

  @Test(
    "a worker that says at once that it is nearly done gains minutes", arguments: StoreKind.allCases)
  func claimedProgress(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      let zoe = try await lab.worker("zombie", account: "zoe")
      let lease = try #require(try await lab.lease(zoe).first)
      var end: Int?
      for seconds in stride(from: 30, through: 3_600, by: 30) where end == nil {
        let answer = try await lab.store.heartbeat(
          lease: lease.id, worker: zoe.id, flopsDone: 0.99 * lease.estimatedFlops,
          now: Laboratory.start.adding(seconds: seconds))
        if answer.verdict == .abandon { end = seconds }
      }
      // The patience of ten minutes, and a hundred seconds for 100 MiB of model.
      let seconds = try #require(end)
      #expect(seconds > 600 && seconds <= 750)
    }
  }

  @Test("a worker that gets no further loses its lease", arguments: StoreKind.allCases)
  func noProgress(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 8)
      let zombie = try await lab.worker("zombie", account: "zoe")
      let slow = try await lab.worker("slow", account: "sue")
      let stuck = try #require(try await lab.lease(zombie).first)
      let moving = try #require(try await lab.lease(slow).first)
      // 100 MiB of model may have to be fetched first.
      var ended: Int?
      for seconds in stride(from: 30, through: 3_000, by: 30) {
        let now = Laboratory.start.adding(seconds: seconds)
        _ = try await lab.store.tick(now: now)
        let beat = try await lab.store.heartbeat(
          lease: stuck.id, worker: zombie.id, flopsDone: 0, now: now)
        if beat.verdict == .abandon, ended == nil { ended = seconds }
        let share = Double(seconds) / 3_600
        let other = try await lab.store.heartbeat(
          lease: moving.id, worker: slow.id, flopsDone: share * moving.estimatedFlops, now: now)
        #expect(other.verdict == .proceed, "\(seconds)")
      }
      let end = try #require(ended)
      #expect(end > 600 && end < 800)
    }
  }

  @Test("units grow with the speed that a worker has shown", arguments: StoreKind.allCases)
  func sizing(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 2_000, pool: .trusted, maxTokens: 10)
      let fast = try await lab.worker("fast", account: "lab", trusted: true)
      let slow = try await lab.worker("slow", account: "lab", trusted: true)
      // A request is about 15 tokens of 1 GFLOP.
      for (worker, seconds) in [(fast, 0.4), (slow, 400)] {
        let lease = try #require(try await lab.lease(worker).first)
        #expect(try await lab.inputs(lease.specification).sequences.count == 4)
        try await lab.submit(
          lease, by: worker, seconds: seconds, now: Laboratory.start.adding(seconds: seconds))
      }
      let big = try #require(try await lab.lease(fast).first)
      let small = try #require(try await lab.lease(slow).first)
      #expect(try await lab.inputs(big.specification).sequences.count == 256)
      #expect(try await lab.inputs(small.specification).sequences.count == 1)
      let several = try await lab.lease(fast, units: 3)
      #expect(several.count == 3 && Set(several.map(\.unit)).count == 3)
    }
  }

  @Test(
    "speed is learnt from accepted results alone, and at most doubles with one",
    arguments: StoreKind.allCases)
  func claimedSpeed(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 6_000)
      let liar = try await lab.worker("liar", account: "mallory")
      let other = try await lab.worker("other", account: "ann")
      func size(_ lease: Lease) async throws -> Int {
        try await lab.inputs(lease.specification).sequences.count
      }
      func speed(now: Timestamp) async throws -> Double? {
        try await lab.store.fleet(now: now).workers.first { $0.id == liar.id }?.flopsPerSecond
      }
      var now = Laboratory.start
      for _ in 0..<10 {
        let lease = try #require(try await lab.lease(liar, now: now).first)
        #expect(try await size(lease) == 4)
        now = now.adding(seconds: 10)
        try await lab.submit(lease, by: liar, seconds: 1e-12, now: now)
        #expect(try await speed(now: now) == nil, "an unverified claim shows nothing")
      }
      // Its results are right: it gets units of what it did in the time since the lease.
      for _ in 0..<10 {
        let lease = try #require(try await lab.lease(other, now: now).first)
        now = now.adding(seconds: 10)
        try await lab.submit(lease, by: other, seconds: 10, now: now)
      }
      let learnt = try #require(try await speed(now: now))
      #expect(learnt > 3e9 && learnt < 2e10, "about 60 GFLOP in 10 seconds: \(learnt)")
      let lease = try #require(try await lab.lease(liar, now: now).first)
      #expect(try await size(lease) < 80)
    }
  }

  @Test(
    "a slow worker is given units of its size, and a large replica only when nothing else is left",
    arguments: StoreKind.allCases)
  func largeReplicas(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 300)
      let fast = try await lab.worker("fast", account: "ann")
      let slow = try await lab.worker("slow", account: "bob")
      for (worker, seconds) in [(fast, 0.1), (slow, 1_000)] {
        try await lab.submit(
          try #require(try await lab.lease(worker).first), by: worker, seconds: seconds,
          now: Laboratory.start.adding(seconds: seconds))
      }
      let large = try #require(try await lab.lease(fast).first)
      #expect(try await lab.inputs(large.specification).sequences.count > 100)
      var sizes: [Int] = []
      var last: Lease?
      while let lease = try await lab.lease(slow).first {
        sizes.append(try await lab.inputs(lease.specification).sequences.count)
        try await lab.submit(
          lease, by: slow, seconds: 1_000, now: Laboratory.start.adding(seconds: 2_000))
        last = lease
      }
      #expect(sizes.count > 100 && sizes.dropLast().allSatisfy { $0 <= 4 }, "\(sizes)")
      #expect(last?.unit == large.unit)
    }
  }

  @Test("a batch of 5,000 lines does not starve ten of another key", arguments: StoreKind.allCases)
  func fairShares(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 5_000)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      // Ann runs far ahead: hundreds of units wait for a second account.
      for _ in 0..<100 {
        for lease in try await lab.lease(a) { try await lab.submit(lease, by: a, seconds: 1000) }
      }
      let small = try await lab.withKey("small").runningBatch(lines: 10)
      var leases = 0
      while try await lab.batch(small.id).state == .inProgress, leases < 100 {
        for worker in [a, b] {
          for lease in try await lab.lease(worker) {
            try await lab.submit(lease, by: worker, seconds: 1000)
            leases += 1
          }
        }
      }
      #expect(leases < 60, "ten requests, twice each, in turns with the other key")
      #expect(try await lab.batch(small.id).completed == 10)
    }
  }

  @Test(
    "within a key, priority decides, then the batches take turns", arguments: StoreKind.allCases)
  func priorities(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let normal = try await lab.runningBatch(lines: 100, pool: .trusted)
      let urgent = try await lab.runningBatch(lines: 8, pool: .trusted, priority: 5)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      let lease = try #require(try await lab.lease(t).first)
      try await lab.submit(lease, by: t)
      #expect(try await lab.batch(urgent.id).completed == 4)
      #expect(try await lab.batch(normal.id).completed == 0)
    }
  }

  @Test(
    "leases, replays and windows move with a clock that was set", arguments: StoreKind.allCases)
  func clockIsSet(kind: StoreKind) async throws {
    for days in [40, -40] {
      try await kind.withLaboratory { lab async throws in
        let now = Laboratory.start
        let batch = try await lab.runningBatch(lines: 1, windowSeconds: 3600)
        let a = try await lab.worker("a", account: "ann")
        let lease = try #require(try await lab.lease(a).first)
        try await lab.store.moveDeadlines(seconds: Double(days * 86_400))
        let set = now.adding(seconds: days * 86_400 + 10)
        let report = try await lab.store.tick(now: set)
        #expect(report.expiredLeases == 0 && report.expiredBatches == 0)
        let answer = try await lab.store.heartbeat(
          lease: lease.id, worker: a.id, flopsDone: 1, now: set)
        #expect(answer.verdict == .proceed && answer.deadlineSeconds <= 86_400)
        let late = try await lab.store.tick(now: set.adding(seconds: 3600))
        #expect(late.expiredBatches == 1)
        #expect(try await lab.batch(batch.id).state != .inProgress)
      }
    }
  }
}
