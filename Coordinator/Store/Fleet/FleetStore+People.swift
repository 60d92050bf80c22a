import CoordinatorCore
import Foundation
import WireProtocol

// Members and accounts.
package extension FleetStore {
  func createInvitation(
    _ invitation: NewInvitation, now: Timestamp
  ) async throws -> InvitationRecord {
    try await service.handle(CreateInvitation(invitation), now: now)
  }

  func invitations(now: Timestamp) async throws -> [InvitationRecord] {
    try await service.read { $0.invitationRecords(at: now) }
  }

  func revokeInvitation(_ id: String) async throws -> Bool {
    try await handle(RevokeInvitation(id: id))
  }

  func enrol(_ worker: NewWorker, now: Timestamp) async throws -> WorkerRecord {
    try await service.handle(Enrol(worker), now: now)
  }

  func recordCertificate(
    _ certificate: CertificateRecord, renamingTo name: String?, now: Timestamp
  ) async throws -> Bool {
    try await service.handle(RecordCertificate(certificate, renamingTo: name), now: now)
  }

  func admission(
    of certificate: CertificateRecord, publicKey: Digest
  ) async throws -> WorkerAdmission {
    if let known = try await service.read({ $0.admission(of: certificate) }) { return known }
    return try await handle(AdmitCertificate(certificate, publicKey: publicKey))
  }

  func certificateEnd(_ fingerprint: Digest) async throws -> Timestamp? {
    try await service.read { $0.certificateEnd(fingerprint) }
  }

  func worker(_ id: String) async throws -> WorkerRecord? {
    try await service.read { fleet in fleet.workers[id].map { fleet.record(of: $0) } }
  }

  func revokeWorker(_ id: String, now: Timestamp) async throws -> Bool {
    try await service.handle(RevokeWorker(id: id), now: now)
  }

  func accounts() async throws -> [AccountProfile] {
    try await service.read { $0.accountProfiles }
  }

  func account(named name: String) async throws -> AccountProfile? {
    try await service.read { fleet in fleet.account(named: name).map { fleet.profile(of: $0) } }
  }

  func changeAccount(
    named name: String, _ change: AccountChange, now: Timestamp
  ) async throws -> AccountProfile {
    try await service.handle(ChangeAccount(named: name, change), now: now)
  }

  func deleteAccount(named name: String, now: Timestamp) async throws {
    try await service.handle(DeleteAccount(named: name), now: now)
  }

  func createAccountKey(accountNamed name: String, hash: Digest, now: Timestamp) async throws {
    try await service.handle(CreateAccountKey(accountNamed: name, hash: hash), now: now)
  }

  func account(keyHash: Digest) async throws -> AccountProfile? {
    try await service.read { $0.profile(keyHash: keyHash) }
  }

  func revokeAccountKeys(accountNamed name: String, now: Timestamp) async throws -> Int {
    try await service.handle(RevokeAccountKeys(accountNamed: name), now: now)
  }

  func ban(_ subject: BanSubject, reason: String, now: Timestamp) async throws {
    try await service.handle(BanMember(subject, reason: reason), now: now)
  }

  func unban(_ subject: BanSubject) async throws -> Bool {
    try await handle(UnbanMember(subject))
  }

  func fleet(now: Timestamp) async throws -> FleetOverview {
    try await service.read { $0.operatorOverview(at: now) }
  }
}

// What is shown of them.
package extension FleetStore {
  func statistics(now: Timestamp) async throws -> StatisticsSnapshot {
    try await service.read { $0.statistics(at: now) }
  }

  func ranking(now: Timestamp) async throws -> Ranking {
    try await service.read { $0.ranking(at: now) }
  }

  func history(
    of scope: HistoryScope, from first: Day, through last: Day
  ) async throws -> [DayContribution] {
    let workers: [String]? = try await service.read { fleet in
      switch scope {
      case .everyone: nil
      case .worker(let id): [id]
      case .account(let id): fleet.workers(ofAccount: id).map(\.id)
      case .team(let id):
        fleet.index.people.membersOfTeam[id].sorted()
          .flatMap { fleet.workers(ofAccount: $0).map(\.id) }
      }
    }
    return try await storage.history(of: workers, from: first, through: last)
  }

  func export(now: Timestamp) async throws -> StatisticsExport {
    try await service.read { $0.export(at: now) }
  }

  func gauges(now: Timestamp) async throws -> FleetGauges {
    try await service.read { $0.gauges(at: now) }
  }

  func standing(worker: String, now: Timestamp) async throws -> Standing {
    try await service.read { try $0.standing(ofWorker: worker, at: now) }
  }

  func receipts(after: Int, limit: Int) async throws -> [ReceiptRecord] {
    try await storage.receipts(after: after, limit: limit).map(\.record)
  }

  func verifyReceiptChain() async throws -> ReceiptChainCheck {
    var chain = ReceiptChain()
    while true {
      let rows = try await storage.receipts(after: chain.count, limit: 1_000)
      if rows.isEmpty { return .intact(count: chain.count, head: chain.head) }
      for row in rows {
        if let broken = chain.follow(row) { return broken }
      }
    }
  }

  func checkReady() async throws { try await storage.checkReady() }

  func fleetNow(
    for audience: Audience, listedWorkers: Int, now: Timestamp
  ) async throws -> FleetNow {
    try await service.read { fleet in
      fleet.overview(for: audience, listedWorkers: listedWorkers, at: now)
    }
  }

  func workerOverview(_ id: String, now: Timestamp) async throws -> WorkerOverview? {
    try await service.read { $0.overview(ofWorker: id, at: now) }
  }

  func accountOverview(_ id: String, now: Timestamp) async throws -> AccountOverview {
    try await service.read { try $0.overview(ofAccount: id, at: now) }
  }
}
