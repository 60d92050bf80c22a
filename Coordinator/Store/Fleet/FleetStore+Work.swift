import CoordinatorCore
import Foundation
import WireProtocol

// Units.
package extension FleetStore {
  func lease(
    worker: String, request: LeaseRequest, now: Timestamp
  ) async throws -> LeaseResponse {
    try await service.handle(LeaseUnits(worker: worker, request: request), now: now)
  }

  func heartbeat(
    lease: String, worker: String, flopsDone: Double, now: Timestamp
  ) async throws -> HeartbeatResponse {
    try await service.handle(
      HeartbeatLease(lease: lease, worker: worker, flopsDone: flopsDone), now: now)
  }

  func abandon(
    lease: String, worker: String, reason: Abandonment.Reason, detail: String, now: Timestamp
  ) async throws {
    try await service.handle(
      AbandonLease(lease: lease, worker: worker, reason: reason, detail: detail), now: now)
  }

  func noteInvalidResult(of worker: String, now: Timestamp) async throws {
    try await service.handle(NoteInvalidResult(worker: worker), now: now)
  }

  func leaseRecord(_ lease: String, worker: String) async throws -> LeaseRecord {
    try await service.read { try $0.leaseRecord(lease, worker: worker) }
  }

  func submit(_ submission: ResultSubmission, now: Timestamp) async throws -> ResultReceipt {
    try await service.handle(SubmitResult(submission), now: now)
  }

  func mayRead(blob: Digest, worker: String, now: Timestamp) async throws -> Bool {
    try await service.read { $0.mayRead(blob: blob, worker: worker) }
  }

  func takeReplay(now: Timestamp) async throws -> ReplayJob? {
    try await service.handle(TakeReplay(), now: now)
  }

  func settleReplay(
    _ job: String, result: NewResult, now: Timestamp
  ) async throws -> ReplayOutcome? {
    try await service.handle(SettleReplay(job: job, result: result), now: now)
  }

  func failReplay(_ job: String, detail: String, now: Timestamp) async throws {
    try await service.handle(FailReplay(job: job, detail: detail), now: now)
  }

  func failedAudits(limit: Int) async throws -> [FailedAudit] {
    let units = try await storage.failedAudits(limit: limit)
    return try await service.read { fleet in units.map { fleet.failedAudit(of: $0) } }
  }

  func tick(now: Timestamp, calendar: Timestamp) async throws -> TickReport {
    var report = TickReport()
    // Slices, so that a fleet that vanished at once does not hold up everyone else.
    while true {
      let slice = try await service.handle(ExpireLeases(limit: 100), now: now)
      report.expiredLeases += slice.handled
      for failure in slice.failures { report.note(failure) }
      if !slice.hasMore { break }
    }
    let batches = try await service.handle(ExpireBatches(), now: now)
    report.expiredBatches = batches.handled
    for failure in batches.failures { report.note(failure) }
    while true {
      let slice = try await service.handle(NoteLateLeases(limit: 100), now: now)
      for failure in slice.failures { report.note(failure) }
      if !slice.hasMore { break }
    }
    report.deletedFiles = try await service.handle(ExpireFiles(), now: now)
    try await service.handle(KeepClock(calendar: calendar), now: now)
    report.nextDue = try await service.read { fleet in
      [fleet.nextLeaseDue, fleet.nextBatchEnd, fleet.nextFileEnd].compactMap(\.self).min()
    }
    return report
  }

  func keptClock() async throws -> KeptClock? { try await service.read { $0.setting.clock } }

  func moveDeadlines(seconds: Double, now: Timestamp) async throws {
    try await service.handle(MoveDeadlines(seconds: seconds), now: now)
  }

  func uses(of blobs: [Digest], now: Timestamp) async throws -> [Digest: [BlobUse]] {
    var uses: [Digest: [BlobUse]] = [:]
    for blob in blobs {
      let units = try await storage.units(naming: blob)
      let found = try await service.read { $0.uses(of: blob, units: units) }
      if !found.isEmpty { uses[blob] = found }
    }
    return uses
  }

  func forgetUnused(_ blobs: [Digest], now: Timestamp) async throws {
    try await service.handle(ForgetUnusedBlobs(blobs, endedBy: now), now: now)
  }

  func runningLeases() async throws -> Int {
    try await service.read { $0.runningLeases }
  }

  func activeMachines(
    pool: WorkPool, now: Timestamp
  ) async throws -> (count: Int, flopsPerSecond: Double) {
    try await service.read { $0.activeMachines(pool: pool, at: now) }
  }
}
