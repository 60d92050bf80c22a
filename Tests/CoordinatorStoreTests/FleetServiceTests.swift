import CoordinatorCore
import CoordinatorStore
import Foundation
import Synchronization
import TestSupport
import Testing
import WireProtocol

/// A disk that fails when it is told to.
private final class FailingDisk: Sendable {
  struct Full: Error {}

  private let state = Mutex((writes: 0, failing: nil as Int?))

  var writes: Int { state.withLock { $0.writes } }

  /// Fails at the write with this number, counted from 0.
  func fail(at number: Int?) { state.withLock { $0.failing = number } }

  func write() throws {
    try state.withLock { state in
      defer { state.writes += 1 }
      if state.writes == state.failing { throw Full() }
    }
  }
}

/// Decisions over a storage that fails, or that is opened again by another process.
@Suite("Fleet service")
struct FleetServiceTests {
  private static let lines = 12

  /// Repeats a call for as long as the coordinator says that it could not write.
  private static func insist<Value>(
    _ refusals: inout Int, _ call: () async throws -> Value
  ) async throws -> Value {
    while true {
      do {
        return try await call()
      } catch is FleetUnavailable {
        refusals += 1
      }
    }
  }

  /// Two accounts compute a batch; gives how often a call was refused.
  private static func computeBatch(_ lab: Laboratory) async throws -> Int {
    var refusals = 0
    var workers: [WorkerRecord] = []
    for account in ["ada", "bob"] {
      let secret = Laboratory.digest("invitation for \(account)")
      let invitation = NewInvitation(
        secretHash: secret, accountName: account, uses: 1,
        expiresAt: Laboratory.start.adding(seconds: 3_600), trusted: false)
      _ = try await insist(&refusals) {
        try await lab.store.createInvitation(invitation, now: Laboratory.start)
      }
      let machine = NewWorker(
        secretHash: secret, publicKey: Laboratory.digest("key of \(account)"), name: account)
      workers.append(
        try await insist(&refusals) { try await lab.store.enrol(machine, now: Laboratory.start) })
    }
    let batch = try await insist(&refusals) {
      try await lab.store.createBatch(lab.newBatch(), isRetry: true, now: Laboratory.start)
    }
    let requests = (1...lines).map { lab.request($0) }
    try await insist(&refusals) { try await lab.store.appendRequests(requests, to: batch.id) }
    _ = try await insist(&refusals) {
      let known = try await lab.batch(batch.id)
      if known.state != .validating { return known }
      return try await lab.store.finishValidation(
        batch.id, model: lab.model.id, now: Laboratory.start)
    }
    var now = Laboratory.start
    for _ in 0..<200 where try await lab.batch(batch.id).state == .inProgress {
      now = now.adding(seconds: 60)
      for worker in workers {
        let leases = try await insist(&refusals) { try await lab.lease(worker, now: now) }
        for lease in leases {
          _ = try await insist(&refusals) { try await lab.submit(lease, by: worker, now: now) }
        }
      }
      // A lease whose answer was lost ends by itself.
      _ = try await insist(&refusals) { try await lab.store.tick(now: now) }
    }
    let ended = try await lab.batch(batch.id)
    #expect(ended.state == .finalizing(.completed))
    #expect((ended.completed, ended.failed) == (lines, 0))
    try await check(lab, batch.id)
    return refusals
  }

  /// Nothing is lost or doubled: every request has one answer, and credit is what receipts say.
  private static func check(_ lab: Laboratory, _ batch: String) async throws {
    let outcomes = try await lab.store.outcomes(of: batch, afterLine: 0, limit: 1_000)
    #expect(outcomes.map(\.line) == Array(1...lines))
    guard case .intact = try await lab.store.verifyReceiptChain() else {
      Issue.record("the chain of receipts is broken")
      return
    }
    if let store = lab.store as? FleetStore {
      #expect(try await store.service.read { $0.inconsistencies() } == [])
    }
    let receipts = try await lab.store.receipts(after: 0, limit: 10_000)
    var credit: [String: Int64] = [:]
    for receipt in receipts {
      credit[receipt.body.account ?? "", default: 0] += receipt.body.microcredit
    }
    for account in try await lab.store.statistics(now: Laboratory.start).accounts {
      let granted = Double(credit[account.id] ?? 0) / 1e6
      #expect(abs(account.contribution.credit - granted) < 1e-9)
    }
    let accepted = receipts.filter { $0.body.verdict == .accepted }
    let granted = Set(accepted.map { "\($0.body.unit) \($0.body.account ?? "")" })
    #expect(granted.count == accepted.count)
  }

  @Test("a write that fails, whichever it is, is refused and loses or doubles nothing")
  func failingWrites() async throws {
    var number = 0
    var isFailing = true
    while isFailing {
      let disk = FailingDisk()
      let blobs = MemoryBlobStore()
      let storage = MemoryStorage(blobs: blobs) { _ in try disk.write() }
      let lab = try await Laboratory(FleetStore(storage: storage, lots: .never), blobs)
      let first = disk.writes
      disk.fail(at: first + number)
      let refusals = try await Self.computeBatch(lab)
      isFailing = disk.writes > first + number
      #expect(refusals == (isFailing ? 1 : 0), "write \(number)")
      number += 1
    }
    #expect(number > 10)
  }

  @Test("a service that is killed between any two decisions goes on where it was")
  func restarts() async throws {
    let blobs = MemoryBlobStore()
    let storage = MemoryStorage(blobs: blobs)
    let first = FleetStore(storage: storage, lots: .never)
    var lab = try await Laboratory(first, blobs)
    let workers = [
      try await lab.worker("one", account: "ada"), try await lab.worker("two", account: "bob"),
    ]
    let batch = try await lab.runningBatch(lines: Self.lines)
    var now = Laboratory.start
    for _ in 0..<200 where try await lab.batch(batch.id).state == .inProgress {
      now = now.adding(seconds: 60)
      for worker in workers {
        for lease in try await lab.lease(worker, now: now) {
          lab = Laboratory(
            store: FleetStore(storage: storage, lots: .never), blobs: blobs, key: lab.key,
            model: lab.model)
          try await lab.submit(lease, by: worker, now: now)
        }
      }
    }
    #expect(try await lab.batch(batch.id).completed == Self.lines)
    try await Self.check(lab, batch.id)
  }

  @Test("what the storage does not have either is not found", arguments: StoreKind.allCases)
  func absence(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("one", account: "ada")
      for call in [
        { _ = try await lab.store.progress(of: "nothing", key: nil, now: Laboratory.start) },
        { _ = try await lab.store.leaseRecord("nothing", worker: worker.id) },
        {
          _ = try await lab.store.waitReasons(
            ofFineTuningJob: "nothing", key: nil, now: Laboratory.start)
        },
      ] as [() async throws -> Void] {
        let error = await #expect(throws: StoreError.self) { try await call() }
        #expect(error?.code == .notFound || error?.code == .leaseUnknown)
      }
    }
  }

  @Test("the fleet that a storage gives back is the one that was written")
  func loading() async throws {
    let blobs = MemoryBlobStore()
    let storage = MemoryStorage(blobs: blobs)
    let store = FleetStore(storage: storage, lots: .never)
    let lab = try await Laboratory(store, blobs)
    let worker = try await lab.worker("one", account: "ada")
    _ = try await lab.runningBatch(lines: 40)
    _ = try await lab.lease(worker)
    let again = FleetStore(storage: storage, lots: .never)
    let time = Laboratory.start
    #expect(try await store.gauges(now: time) == again.gauges(now: time))
    #expect(try await store.fleet(now: time) == again.fleet(now: time))
    #expect(try await store.statistics(now: time) == again.statistics(now: time))
  }
}
