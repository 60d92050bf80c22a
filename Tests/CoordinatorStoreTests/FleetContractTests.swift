import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WireProtocol

@Suite("Store contract: accounts and workers")
struct FleetContractTests {
  private func invitation(
    _ account: String, secret: String, uses: Int = 1, trusted: Bool = false
  ) -> NewInvitation {
    NewInvitation(
      secretHash: Laboratory.digest(secret), accountName: account, uses: uses,
      expiresAt: Laboratory.start.adding(seconds: 3_600), trusted: trusted)
  }

  private func joining(_ name: String, secret: String) -> NewWorker {
    NewWorker(
      secretHash: Laboratory.digest(secret), publicKey: Laboratory.digest("key of \(name)"),
      name: name)
  }

  @Test(
    "an invitation admits as many workers as it says, however many ask at once",
    arguments: StoreKind.allCases)
  func uses(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let record = try await lab.store.createInvitation(
        invitation("ann", secret: "s", uses: 3, trusted: true), now: now)
      let admitted = await withTaskGroup(of: WorkerRecord?.self) { group in
        for index in 0..<10 {
          group.addTask {
            try? await lab.store.enrol(joining("w\(index)", secret: "s"), now: now)
          }
        }
        return await group.reduce(into: [WorkerRecord]()) { if let one = $1 { $0.append(one) } }
      }
      #expect(admitted.count == 3)
      #expect(Set(admitted.map(\.id)).count == 3)
      #expect(admitted.allSatisfy { $0.accountID == record.account.id && $0.trusted })
      #expect(try await lab.store.invitations(now: now).isEmpty)
    }
  }

  @Test(
    "a repeated enrolment with the same key is the same worker and one use",
    arguments: StoreKind.allCases)
  func retried(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.store.createInvitation(invitation("ann", secret: "s", uses: 2), now: now)
      let first = try await lab.store.enrol(joining("w", secret: "s"), now: now)
      let again = try await lab.store.enrol(joining("w", secret: "s"), now: now)
      #expect(first == again)
      #expect(try await lab.store.invitations(now: now).map(\.usesLeft) == [1])
    }
  }

  @Test("unknown, revoked and expired invitations admit no one", arguments: StoreKind.allCases)
  func refused(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let record = try await lab.store.createInvitation(
        invitation("ann", secret: "revoked"), now: now)
      _ = try await lab.store.createInvitation(invitation("ann", secret: "old"), now: now)
      #expect(try await lab.store.revokeInvitation(record.id))
      for (secret, time) in [
        ("unknown", now), ("revoked", now), ("old", now.adding(seconds: 3_600)),
      ] {
        await #expect {
          try await lab.store.enrol(joining("w", secret: secret), now: time)
        } throws: { ($0 as? StoreError)?.code == .invitationInvalid }
      }
    }
  }

  @Test("invitations with one account's name join one account", arguments: StoreKind.allCases)
  func oneAccount(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let one = try await lab.worker("a", account: "ann")
      let two = try await lab.worker("b", account: "ann")
      let three = try await lab.worker("c", account: "bob")
      #expect(one.accountID == two.accountID && one.id != two.id)
      #expect(three.accountID != one.accountID)
      #expect(try await lab.store.worker(one.id) == one)
      #expect(try await lab.store.worker("worker_unknown") == nil)
    }
  }

  @Test(
    "a worker is known by each of its certificates until they end or it is revoked",
    arguments: StoreKind.allCases)
  func certificates(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let worker = try await lab.worker("a", account: "ann")
      for (name, days) in [("old", 1), ("new", 90)] {
        _ = try await lab.store.recordCertificate(
          CertificateRecord(
            fingerprint: Laboratory.digest(name), workerID: worker.id,
            notAfter: now.adding(seconds: days * 86_400), der: Data(name.utf8)), now: now)
      }
      func found(_ name: String, _ time: Timestamp) async throws -> String? {
        try await lab.store.worker(certificate: Laboratory.digest(name), now: time)?.id
      }
      #expect(try await found("old", now) == worker.id)
      #expect(try await found("old", now.adding(seconds: 86_400)) == nil)
      #expect(try await found("new", now.adding(seconds: 86_400)) == worker.id)
      #expect(try await found("foreign", now) == nil)

      let batch = try await lab.runningBatch(lines: 4)
      let lease = try #require(try await lab.lease(worker).first)
      #expect(try await lab.store.revokeWorker(worker.id, now: now))
      #expect(try await found("new", now) == nil)
      #expect(try await lab.submit(lease, by: worker).state == .notNeeded)
      #expect(try await lab.batch(batch.id).completed == 0)
    }
  }

  @Test(
    "a worker gets so many certificates a day, and those that ended are forgotten",
    arguments: StoreKind.allCases)
  func certificateRate(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      let other = try await lab.worker("b", account: "bob")
      let life = 30 * 86_400
      func record(_ name: String, of worker: WorkerRecord, at now: Timestamp) async throws -> Bool {
        try await lab.store.recordCertificate(
          CertificateRecord(
            fingerprint: Laboratory.digest(name), workerID: worker.id,
            notAfter: now.adding(seconds: life), der: Data(name.utf8)), now: now)
      }
      var now = Laboratory.start
      var given = 0
      for number in 0..<50 where try await record("\(number)", of: worker, at: now) { given += 1 }
      #expect(given == StoreLimit.certificatesAtOnce)
      #expect(try await record("other", of: other, at: now))
      #expect(
        try await lab.store.worker(certificate: Laboratory.digest("0"), now: now)?.id == worker.id)
      // A worker that renews as it should is never refused.
      for number in 0..<10 {
        now = now.adding(seconds: life * 2 / 3)
        #expect(try await record("later \(number)", of: worker, at: now))
      }
      // Asked about a time when they were valid, those that ended are not there any more.
      let first = try await lab.store.worker(
        certificate: Laboratory.digest("0"), now: Laboratory.start)
      #expect(first == nil)
    }
  }
}
