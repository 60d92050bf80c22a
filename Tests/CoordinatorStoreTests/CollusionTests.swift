import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WireProtocol

/// Two accounts that belong together lease what they can, give back what the other does not hold,
/// and send the same false result for the rest.
@Suite("Two accounts that belong together")
struct CollusionTests {
  private struct Pair {
    var records: [WorkerRecord]
    var held: [[Lease]] = [[], []]
    var taken = 0
    var givenBack = 0
    var forged = 0
    var waited = 0
  }

  /// One round of the pair: lease, forge what both hold, give the rest back.
  private func step(_ pair: inout Pair, _ lab: Laboratory, now: Timestamp) async throws {
    for one in 0..<2 {
      while true {
        let response = try await lab.store.lease(
          worker: pair.records[one].id, request: Laboratory.leaseRequest(units: 16), now: now)
        if response.leases.isEmpty {
          if response.reasons[.failedLately] != nil { pair.waited += 1 }
          break
        }
        pair.held[one] += response.leases
        pair.taken += response.leases.count
      }
    }
    let shared = Set(pair.held[0].map(\.unit)).intersection(pair.held[1].map(\.unit))
    pair.forged += shared.count
    for one in 0..<2 {
      for lease in pair.held[one] {
        if shared.contains(lease.unit) {
          try await lab.submit(lease, by: pair.records[one], lyingAs: "gang", now: now)
        } else {
          pair.givenBack += 1
          try await lab.abandon(lease, by: pair.records[one], .shuttingDown, now: now)
        }
      }
      pair.held[one] = []
    }
  }

  @Test("with ten honest accounts present they meet as often as chance has it, and wait for it")
  func pairing() async throws {
    for seed in testSeeds(2) {
      let blobs = MemoryBlobStore()
      let store = FleetStore.inMemory(blobs: blobs, identifiers: .seeded(seed))
      let lab = try await Laboratory(store, blobs)
      let batch = try await lab.runningBatch(lines: 6_000)
      let fleet = FleetHours(lab)
      for index in 0..<10 {
        try await fleet.join("honest-\(index)", .honest(flopsPerSecond: 4e9))
      }
      try await fleet.run(seconds: 120)
      var pair = Pair(records: [
        try await lab.worker("m1", account: "mallory-1", now: fleet.now),
        try await lab.worker("m2", account: "mallory-2", now: fleet.now),
      ])
      var seconds = 0
      while seconds < 3_600, try await lab.batch(batch.id).state == .inProgress {
        try await step(&pair, lab, now: fleet.now)
        try await fleet.run(seconds: 5)
        seconds += 5
      }
      let units = Set(
        try await store.receipts(after: 0, limit: 100_000).lazy
          .filter { $0.body.verdict == .accepted }.map(\.body.unit)
      ).count
      print(
        "seed \(seed): forged \(pair.forged) of \(units) units in \(seconds) s, gave back "
          + "\(pair.givenBack), was held back \(pair.waited) times")
      // The other account of a unit is one of eleven.
      #expect(Double(pair.forged) <= 2 * Double(pair.taken) / 11 + 3, "seed \(seed)")
      #expect(Double(pair.forged) <= 0.05 * Double(units), "seed \(seed)")
      #expect(pair.waited > seconds / 10, "seed \(seed)")
    }
  }
}
