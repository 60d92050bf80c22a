import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WireProtocol

@Suite("Store contract: administration")
struct AdministrationContractTests {
  private func answer(
    _ lab: Laboratory, _ worker: WorkerRecord, now: Timestamp = Laboratory.start
  ) async throws -> LeaseResponse {
    try await lab.store.lease(worker: worker.id, request: Laboratory.leaseRequest(), now: now)
  }

  @Test(
    "paused and draining give no lease; what runs is taken; open goes on",
    arguments: StoreKind.allCases)
  func pause(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (ann, bob) = (
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")
      )
      let batch = try await lab.runningBatch(lines: 4)
      let held = try #require(try await lab.lease(ann).first)
      for state in [LeasingState.paused, .draining] {
        try await lab.store.setLeasing(state)
        try await lab.store.setMessage("maintenance")
        #expect(try await lab.store.administration().leasing == state)
        let refused = try await answer(lab, bob)
        #expect(refused.leases.isEmpty && refused.reasons == [.paused: 1])
        #expect(refused.message == "maintenance")
        #expect(try await lab.store.runningLeases() == 1)
      }
      #expect(try await lab.submit(held, by: ann).state == .awaitingReplica)
      #expect(try await lab.store.runningLeases() == 0)
      try await lab.store.setLeasing(.open)
      try await lab.store.setMessage(nil)
      #expect(try await lab.store.administration() == Administration())
      try await lab.drain([ann, bob])
      #expect(try await lab.batch(batch.id).completed == 4)
    }
  }

  @Test(
    "a banned worker gets nothing, its unverified result is taken back and computed by others",
    arguments: StoreKind.allCases)
  func banned(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      var workers: [WorkerRecord] = []
      for name in ["a", "b", "c"] {
        workers.append(try await lab.worker(name, account: "account of \(name)"))
      }
      let batch = try await lab.runningBatch(lines: 4)
      let lease = try #require(try await lab.lease(workers[0]).first)
      #expect(
        try await lab.submit(lease, by: workers[0], lyingAs: "a").state == .awaitingReplica)
      try await lab.store.ban(.worker(workers[0].id), reason: "lies", now: now)
      let refused = try await answer(lab, workers[0])
      #expect(refused.leases.isEmpty && refused.reasons == [.banned: 1])
      #expect(refused.message?.contains("banned this worker: lies") == true)
      try await lab.drain(Array(workers[1...]))
      #expect(try await lab.batch(batch.id).completed == 4)
      #expect(try await lab.replayAll() == 0)
      let fleet = try await lab.store.fleet(now: now)
      #expect(fleet.workers.first { $0.id == workers[0].id }?.ban?.reason == "lies")
      #expect(fleet.accounts.allSatisfy { $0.ban == nil })

      #expect(try await lab.store.unban(.worker(workers[0].id)))
      #expect(try await !lab.store.unban(.worker(workers[0].id)))
      #expect(try await answer(lab, workers[0]).reasons == [.noWork: 1])
      await #expect { try await lab.store.ban(.worker("worker_x"), reason: "", now: now) } throws: {
        ($0 as? StoreError)?.code == .notFound
      }
    }
  }

  @Test(
    "a banned account's workers stop and its invitations admit nobody",
    arguments: StoreKind.allCases)
  func bannedAccount(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let worker = try await lab.worker("a", account: "mallory")
      let secret = Laboratory.digest("unused")
      let invitation = NewInvitation(
        secretHash: secret, accountName: "mallory", uses: 5, expiresAt: now.adding(seconds: 60),
        trusted: false)
      _ = try await lab.store.createInvitation(invitation, now: now)
      _ = try await lab.runningBatch(lines: 4)
      let lease = try #require(try await lab.lease(worker).first)
      try await lab.store.ban(.account(worker.accountID), reason: "", now: now)
      #expect(try await lab.store.runningLeases() == 0)
      #expect(try await answer(lab, worker).message?.contains("the account of this worker") == true)
      #expect(try await lab.submit(lease, by: worker).state == .notNeeded)
      let joining = NewWorker(secretHash: secret, publicKey: Laboratory.digest("k"), name: "n")
      await #expect { try await lab.store.enrol(joining, now: now) } throws: {
        ($0 as? StoreError)?.code == .invitationInvalid
      }
      let another = NewInvitation(
        secretHash: Laboratory.digest("another"), accountName: "mallory", uses: 5,
        expiresAt: now.adding(seconds: 60), trusted: false)
      await #expect { try await lab.store.createInvitation(another, now: now) } throws: {
        ($0 as? StoreError)?.code == .conflict
      }
      #expect(try await lab.store.unban(.account(worker.accountID)))
      #expect(try await lab.store.enrol(joining, now: now).accountID == worker.accountID)
    }
  }

  @Test("workers are told the coordinator's next address", arguments: StoreKind.allCases)
  func nextAddress(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      try await lab.store.setNextAddress("https://new.example")
      #expect(try await answer(lab, worker).nextAddress == "https://new.example")
      try await lab.store.setLeasing(.draining)
      #expect(try await answer(lab, worker).nextAddress == "https://new.example")
      try await lab.store.setNextAddress(nil)
      #expect(try await answer(lab, worker).nextAddress == nil)
    }
  }

  @Test("two processes with one worker's key are told", arguments: StoreKind.allCases)
  func clones(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      func asks(_ run: String?, after seconds: Int) async throws -> Bool {
        let now = Laboratory.start.adding(seconds: seconds)
        let request = LeaseRequest(
          threads: 1, memoryLimitBytes: 1, cacheFreeBytes: 1, cachedModels: [],
          measuredFlopsPerSecond: nil, secondsWanted: 1, maximumUnits: 1, run: run)
        let answer = try await lab.store.lease(worker: worker.id, request: request, now: now)
        let listed = try await lab.store.fleet(now: now).workers.first?.hasClones
        #expect((answer.message == WorkerRuns.message) == listed)
        return listed == true
      }
      // A start is a new process, and one of an older program says nothing.
      let asked: [(run: String?, second: Int)] = [
        ("a", 1), ("a", 2), (nil, 3), ("b", 4), ("b", 5), ("c", 6),
      ]
      for (run, second) in asked {
        #expect(try await !asks(run, after: second))
      }
      #expect(try await asks("b", after: 7))
      #expect(try await asks("c", after: 8))
      // The copy was stopped.
      #expect(try await asks("c", after: 3600))
      #expect(try await !asks("c", after: 3700))
    }
  }

  @Test("a worker older than admitted is told what to upgrade", arguments: StoreKind.allCases)
  func versions(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      try await lab.store.setMinimumWorkerVersion(ProgramVersion("999.0.0"))
      await #expect { try await answer(lab, worker) } throws: {
        let error = $0 as? StoreError
        return error?.code == .upgradeRequired && error?.message.contains("999.0.0") == true
      }
      try await lab.store.setMinimumWorkerVersion(ProgramVersion(ProtocolVersion.program))
      #expect(try await answer(lab, worker).reasons == [.noWork: 1])
    }
  }

  @Test(
    "a quota counts a batch from its creation on, and forgets it after a day",
    arguments: StoreKind.allCases)
  func requests(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      try await lab.store.setQuota(Quota(requestsPerDay: 10, openBatches: 2), ofKey: lab.key.id)
      func create(_ lines: Int, _ time: Timestamp, retry: Bool = false) async throws -> BatchRecord
      {
        var batch = lab.newBatch(windowSeconds: 3_600)
        batch.lines = lines
        return try await lab.store.createBatch(batch, isRetry: retry, now: time)
      }
      func refused(_ lines: Int, _ time: Timestamp) async -> QuotaRefusal.Resource? {
        do {
          _ = try await create(lines, time)
          return nil
        } catch {
          return (error as? QuotaRefusal)?.resource
        }
      }
      let first = try await create(6, now)
      #expect(await refused(5, now) == .requestsPerDay)
      // A repeated creation finds the first one and needs no more room.
      #expect(try await create(6, now, retry: true).id == first.id)
      _ = try await create(4, now)
      #expect(await refused(1, now) == .openBatches)
      let later = now.adding(seconds: Quota.daySeconds + 1)
      _ = try await lab.store.tick(now: later)
      let usage = try await lab.store.usage(ofKey: lab.key.id, now: later)
      #expect(usage == Quota.Usage())
      #expect(await refused(10, later) == nil)
      let other = try await lab.withKey("other")
      _ = try await other.store.createBatch(other.newBatch(), isRetry: false, now: later)
    }
  }

  @Test(
    "stored files count until they are deleted, also those of many uploads at once",
    arguments: StoreKind.allCases)
  func bytes(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      try await lab.store.setQuota(Quota(storedBytes: 30), ofKey: lab.key.id)
      let file = NewFile(
        keyID: lab.key.id, purpose: .batch, filename: "f", bytes: 10,
        blob: Laboratory.digest("f"))
      let stored = await withTaskGroup(of: FileRecord?.self) { group in
        for _ in 0..<10 { group.addTask { try? await lab.store.createFile(file, now: now) } }
        return await group.reduce(into: [FileRecord]()) { if let one = $1 { $0.append(one) } }
      }
      #expect(stored.count == 3)
      await #expect(throws: QuotaRefusal.self) {
        try await lab.store.checkQuota(.file(bytes: 1), key: lab.key.id, now: now)
      }
      #expect(try await lab.store.deleteFile(stored[0].id, key: lab.key.id))
      _ = try await lab.store.createFile(file, now: now)
    }
  }

  @Test(
    "tokens a day are judged by what running batches may take, however many were created at once",
    arguments: StoreKind.allCases)
  func tokens(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      try await lab.store.setQuota(Quota(tokensPerDay: 100), ofKey: lab.key.id)
      var batches: [BatchRecord] = []
      for number in 0..<4 {
        var batch = lab.newBatch()
        batch.inputFileID = "file-\(number)"
        batches.append(try await lab.store.createBatch(batch, isRetry: false, now: now))
      }
      var states: [BatchState] = []
      for batch in batches {
        // Ten tokens of the prompt and 70 of the answer.
        try await lab.store.appendRequests([lab.request(1, maxTokens: 70)], to: batch.id)
        let judged = try await lab.store.finishValidation(
          batch.id, model: lab.model.id, now: now)
        states.append(judged.state)
      }
      // The second began below the limit; the others did not.
      #expect(states == [.inProgress, .inProgress, .failed, .failed])
      #expect(try await lab.batch(batches[2].id).errors.map(\.code) == ["token_limit_exceeded"])
      #expect(try await lab.store.usage(ofKey: lab.key.id, now: now).tokens == 160)
      await #expect(throws: QuotaRefusal.self) {
        try await lab.store.createBatch(lab.newBatch(), isRetry: false, now: now)
      }
      // What a batch did not take is given back when it ends.
      for batch in batches.prefix(2) {
        _ = try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
        _ = try await lab.store.finishBatch(batch.id, output: nil, errors: nil, now: now)
      }
      #expect(try await lab.store.usage(ofKey: lab.key.id, now: now).tokens == 0)
    }
  }

  @Test("the batch that the operator moves ahead is served next", arguments: StoreKind.allCases)
  func priority(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      let first = try await lab.runningBatch(lines: 4, maxTokens: 10)
      let second = try await lab.runningBatch(lines: 2, maxTokens: 20)
      try await lab.store.setPriority(50, ofBatch: second.id)
      _ = try await lab.lease(worker)
      let (left, right) = (
        try await lab.store.progress(of: first.id, key: lab.key.id, now: Laboratory.start),
        try await lab.store.progress(of: second.id, key: lab.key.id, now: Laboratory.start)
      )
      #expect(right.units.total == 1 && left.units.total == 0)
      await #expect(throws: StoreError.self) {
        try await lab.store.setPriority(101, ofBatch: second.id)
      }
    }
  }

  @Test("a key of a changed weight gets its new share", arguments: StoreKind.allCases)
  func weight(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      try await lab.store.setWeight(4, ofKey: lab.key.id)
      #expect(try await lab.store.keys().map(\.weight) == [4])
      await #expect(throws: StoreError.self) {
        try await lab.store.setWeight(0, ofKey: lab.key.id)
      }
      await #expect { try await lab.store.setWeight(1, ofKey: "key_x") } throws: {
        ($0 as? StoreError)?.code == .notFound
      }
    }
  }

  @Test(
    "one key opens the operator's view, until another or none does", arguments: StoreKind.allCases)
  func operatorKey(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (first, second) = (Laboratory.digest("first"), Laboratory.digest("second"))
      #expect(try await lab.store.isOperatorKey(hash: first) == false)
      try await lab.store.setOperatorKey(hash: first)
      #expect(try await lab.store.isOperatorKey(hash: first))
      try await lab.store.setOperatorKey(hash: second)
      #expect(try await lab.store.isOperatorKey(hash: first) == false)
      #expect(try await lab.store.isOperatorKey(hash: second))
      // What else is set is read as before.
      #expect(try await lab.store.administration() == Administration())
      try await lab.store.setOperatorKey(hash: nil)
      #expect(try await lab.store.isOperatorKey(hash: second) == false)
    }
  }

  @Test("a manifest is known also once its name is gone", arguments: StoreKind.allCases)
  func manifests(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      #expect(try await lab.store.manifest(lab.model.manifest) == ManifestRecord())
      #expect(try await lab.store.manifest(lab.model.vocabulary) == nil)
      let provenance = Data(#"{"source":"x"}"#.utf8)
      try await lab.store.registerModel(lab.model, provenance: provenance, blobs: [])
      #expect(try await lab.store.removeModel(lab.model.id))
      #expect(try await lab.store.manifest(lab.model.manifest)?.provenance == provenance)
    }
  }
}
