import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WireProtocol

/// Measured, not guessed: what one coordinator hands out from a batch of OpenAI's largest size.
@Suite("Throughput", .serialized)
struct ThroughputTests {
  @Test(
    "50,000 lines: stored in slices, leased and answered from indexes",
    arguments: StoreKind.allCases)
  func largestBatch(kind: StoreKind) async throws {
    try await kind.withLaboratory { try await measure($0, kind) }
  }

  private func measure(_ lab: Laboratory, _ kind: StoreKind) async throws {
    let store = lab.store
    let clock = ContinuousClock()
    var batch: BatchRecord?
    let stored = try await clock.measure {
      batch = try await lab.runningBatch(lines: 50_000, maxTokens: 5)
    }
    #expect(batch?.total == 50_000)
    var workers: [WorkerRecord] = []
    for index in 0..<16 {
      workers.append(try await lab.worker("w\(index)", account: "account-\(index)"))
    }
    // First units of four requests for everyone, then what the first two hundred units show of
    // speed.
    var results: [(lease: Lease, worker: WorkerRecord)] = []
    let team = workers
    let leased = try await clock.measure {
      results = try await withThrowingTaskGroup(of: [(Lease, WorkerRecord)].self) { group in
        for worker in team {
          group.addTask {
            var mine: [(Lease, WorkerRecord)] = []
            for _ in 0..<20 { mine += try await lab.lease(worker).map { ($0, worker) } }
            return mine
          }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
    }
    #expect(results.count == 320)
    let done = results
    let submitted = try await clock.measure {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for slice in 0..<16 {
          group.addTask {
            for index in stride(from: slice, to: done.count, by: 16) {
              try await lab.submit(done[index].lease, by: done[index].worker)
            }
          }
        }
        try await group.waitForAll()
      }
    }
    let progress = try await clock.measure {
      _ = try await store.progress(of: batch?.id ?? "", key: lab.key.id, now: Laboratory.start)
    }
    print(
      "\(kind): 50,000 lines stored in \(stored); 320 leases in \(leased); "
        + "320 results in \(submitted); progress in \(progress)")
    // At first only accounts that were drawn are given a unit's second replica: some units have
    // one.
    let pairs = Dictionary(grouping: results, by: \.lease.unit).values.count { $0.count == 2 }
    #expect(pairs > 50)
    #expect(try await store.statistics(now: Laboratory.start).totals.accepted == 2 * pairs)
    // Generous, for a machine under load: a scan of 50,000 requests for each lease would take
    // minutes.
    #expect(leased < .seconds(30) && submitted < .seconds(30))
  }
}
