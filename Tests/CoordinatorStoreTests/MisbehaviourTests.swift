import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WireProtocol

/// Accounts that take work and do not do it, for hours of virtual time: nobody else notices.
@Suite("Accounts that do not do their work")
struct MisbehaviourTests {
  private static let speed = FleetHours.Temper.honest(flopsPerSecond: 1e9)

  /// An hour of one honest account beside `others` of one account, then a second honest account
  /// ends the batch. No replay ever runs, as with a coordinator that has no thread for them.
  private func hour(beside others: [FleetHours.Temper], accounts: Int = 1) async throws {
    let blobs = MemoryBlobStore()
    let store = FleetStore.inMemory(blobs: blobs)
    let lab = try await Laboratory(store, blobs)
    // An honest machine computes a request in twenty seconds.
    let batch = try await lab.runningBatch(lines: 400)
    let fleet = FleetHours(lab)
    let honest = try await fleet.join("honest", Self.speed)
    for (index, temper) in others.enumerated() {
      try await fleet.join("other-\(index % accounts)", temper)
    }
    try await fleet.run(seconds: 3_600)
    let taken = fleet.leases.filter { $0.key != honest }.values.reduce(0, +)
    print(
      "\(others.count) x \(others[0]) of \(accounts): honest idle for "
        + "\(fleet.idleSeconds[honest] ?? 0) s, \(fleet.leases[honest] ?? 0) units; "
        + "others \(taken) units, units for the replay \(fleet.replays)")
    #expect((fleet.idleSeconds[honest] ?? 0) == 0, "the honest one is never without work")
    #expect(fleet.replays == 0)
    #expect(taken > 0)
    for index in 0..<3 { try await fleet.join("helper-\(index)", Self.speed) }
    try await fleet.run(seconds: 12 * 3_600) {
      try await lab.batch(batch.id).state != .inProgress
    }
    let ended = try await lab.batch(batch.id)
    #expect(ended.completed == 400 && ended.failed == 0)
    #expect(try await store.service.read { $0.inconsistencies() } == [])
    #expect(fleet.replays == 0)
    #expect(try await fleet.verifications(of: batch.id) == [.quorum: 400])
  }

  @Test("one silent worker")
  func silent() async throws { try await hour(beside: [.silent]) }

  @Test("twenty silent workers of one account")
  func manySilent() async throws {
    try await hour(beside: Array(repeating: .silent, count: 20))
  }

  @Test("three silent accounts")
  func silentAccounts() async throws {
    try await hour(beside: Array(repeating: .silent, count: 3), accounts: 3)
  }

  @Test("a worker whose results come when its lease has ended")
  func tardy() async throws { try await hour(beside: [.tardy]) }

  @Test("a worker that heartbeats and gets no further")
  func zombie() async throws { try await hour(beside: [.zombie]) }

  @Test(
    "a worker that gives everything back",
    arguments: [
      Abandonment.Reason.failed, .outOfMemory, .blobUnavailable, .shuttingDown, .invalidUnit,
    ])
  func givingBack(reason: Abandonment.Reason) async throws {
    try await hour(beside: [.givingBack(reason), .givingBack(reason)])
  }
}
