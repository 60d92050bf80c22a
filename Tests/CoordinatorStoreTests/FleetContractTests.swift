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
    "one spelling is one account; what looks like another's name, or is none, is refused",
    arguments: StoreKind.allCases)
  func accountNames(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      func invite(_ name: String) async throws -> String {
        try await lab.store.createInvitation(
          invitation(name, secret: "secret of \(name)"), now: now
        ).account.name
      }
      for spelling in ["Zoë café", " Zoë  café ", "Zoe\u{308} cafe\u{301}"] {
        #expect(try await invite(spelling) == "Zoë café")
      }
      #expect(try await lab.store.accounts().count == 1)
      #expect(
        try await lab.store.account(named: "Zoe\u{308} cafe\u{301}")?.account.name == "Zoë café")
      for (name, code) in [
        ("Zоë café", StoreError.Code.conflict), ("ZOË CAFÉ", .conflict), ("", .invalid),
        (" ", .invalid), ("a\nb", .invalid), ("N\u{1}ul", .invalid), ("\u{202e}x", .invalid),
        (String(repeating: "x", count: 255), .invalid),
      ] {
        await #expect { try await invite(name) } throws: { ($0 as? StoreError)?.code == code }
      }
      #expect(try await lab.store.accounts().count == 1)
    }
  }

  @Test("a machine's name is stored as one harmless line", arguments: StoreKind.allCases)
  func machineNames(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      for (index, (sent, kept)) in [
        ("ev\u{1b}]0;pwned\u{7}il\nSECOND", "ev ]0;pwned il SECOND"), ("\u{202e}", "unnamed"),
        (String(repeating: "é", count: 80), String(repeating: "é", count: 50)),
      ].enumerated() {
        #expect(try await lab.worker(sent, account: "ann \(index)").name == kept)
      }
    }
  }

  private func admission(
    _ lab: Laboratory, _ name: String, _ worker: WorkerRecord, key: String = "key of a"
  ) async throws -> WorkerAdmission {
    try await lab.store.admission(
      of: certificate(name, worker), publicKey: Laboratory.digest(key))
  }

  private func certificate(_ name: String, _ worker: WorkerRecord) -> CertificateRecord {
    CertificateRecord(
      fingerprint: Laboratory.digest(name), workerID: worker.id,
      notAfter: Laboratory.start.adding(seconds: 86_400), der: Data(name.utf8))
  }

  @Test(
    "a worker is known by each of its certificates until it is revoked",
    arguments: StoreKind.allCases)
  func certificates(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let worker = try await lab.worker("a", account: "ann")
      let other = try await lab.worker("b", account: "bob")
      for name in ["old", "new"] {
        #expect(try await lab.store.recordCertificate(certificate(name, worker), now: now))
      }
      #expect(try await admission(lab, "old", worker) == .admitted(worker))
      #expect(try await admission(lab, "new", worker) == .admitted(worker))
      // A certificate speaks for the worker that it names.
      #expect(try await admission(lab, "new", other) == .unknown)

      let batch = try await lab.runningBatch(lines: 4)
      let lease = try #require(try await lab.lease(worker).first)
      #expect(try await lab.store.revokeWorker(worker.id, now: now))
      #expect(try await admission(lab, "new", worker) == .revoked)
      #expect(try await lab.submit(lease, by: worker).state == .notNeeded)
      #expect(try await lab.batch(batch.id).completed == 0)
    }
  }

  @Test(
    """
    a revoked worker gets no certificate any more, by whichever way, and joins with a new invitation
    """,
    arguments: StoreKind.allCases)
  func revocationIsFinal(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.store.createInvitation(invitation("ann", secret: "s", uses: 3), now: now)
      func ended(_ body: () async throws -> Void) async {
        await #expect {
          try await body()
        } throws: { ($0 as? StoreError)?.code == .membershipEnded }
      }
      // One has certificates when it is revoked, the other's enrolment is not answered yet.
      let worker = try await lab.store.enrol(joining("a", secret: "s"), now: now)
      let joiningOne = try await lab.store.enrol(joining("b", secret: "s"), now: now)
      #expect(try await lab.store.recordCertificate(certificate("first", worker), now: now))
      for one in [worker, joiningOne] {
        #expect(try await lab.store.revokeWorker(one.id, now: now))
        await ended {
          _ = try await lab.store.recordCertificate(certificate("of \(one.name)", one), now: now)
        }
        await ended {
          _ = try await lab.store.recordCertificate(
            certificate("of \(one.name)", one), renamingTo: "other", now: now)
        }
        await ended { _ = try await lab.store.enrol(joining(one.name, secret: "s"), now: now) }
        #expect(try await lab.store.worker(one.id)?.name == one.name)
      }
      #expect(try await admission(lab, "of b", joiningOne, key: "key of b") == .revoked)
      // Another key does not help with the same invitation.
      await #expect {
        try await lab.store.enrol(joining("c", secret: "s"), now: now)
      } throws: { ($0 as? StoreError)?.code == .invitationInvalid }
      _ = try await lab.store.createInvitation(invitation("ann", secret: "new"), now: now)
      let again = try await lab.store.enrol(joining("c", secret: "new"), now: now)
      #expect(again.accountID == worker.accountID && again.id != worker.id)
      #expect(try await lab.store.recordCertificate(certificate("again", again), now: now))
      #expect(try await admission(lab, "again", again, key: "key of c") == .admitted(again))
    }
  }

  @Test(
    "a machine is renamed a few times a day, which takes nothing from its renewals",
    arguments: StoreKind.allCases)
  func renames(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      var now = Laboratory.start
      func record(_ number: Int, name: String?) async throws -> Bool {
        try await lab.store.recordCertificate(
          CertificateRecord(
            fingerprint: Laboratory.digest("\(now) \(number) \(name ?? "")"), workerID: worker.id,
            notAfter: now.adding(seconds: 30 * 86_400), der: Data()), renamingTo: name, now: now)
      }
      for number in 0..<20 {
        let isRenamed = try await record(number, name: "name \(number)")
        #expect(isRenamed == (number < StoreLimit.renamesAtOnce))
      }
      let last = "name \(StoreLimit.renamesAtOnce - 1)"
      #expect(try await lab.store.worker(worker.id)?.name == last)
      for number in 0..<20 {
        #expect(try await record(number, name: nil) == (number < StoreLimit.certificatesAtOnce))
      }
      now = now.adding(seconds: 86_400)
      #expect(try await record(0, name: " an\u{1b}y\n name "))
      #expect(try await lab.store.worker(worker.id)?.name == "an y name")
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
      // It is known, whatever its key is.
      #expect(try await admission(lab, "0", worker, key: "another's") == .admitted(worker))
      // A worker that renews as it should is never refused.
      for number in 0..<10 {
        now = now.adding(seconds: life * 2 / 3)
        #expect(try await record("later \(number)", of: worker, at: now))
      }
      // Nobody is admitted with one that ended long ago, so it is forgotten.
      #expect(try await admission(lab, "0", worker, key: "another's") == .unknown)
      #expect(
        try await admission(lab, "later 9", worker, key: "another's") == .admitted(worker))
      // What it was given before the clock was set back does not count.
      for number in 0..<StoreLimit.certificatesAtOnce {
        #expect(try await record("earlier \(number)", of: worker, at: Laboratory.start))
      }
    }
  }

  @Test(
    "a certificate that is not known is good for a worker's own key, unless the worker was revoked",
    arguments: StoreKind.allCases)
  func restoredBackup(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      #expect(
        try await lab.store.recordCertificate(
          certificate("before the backup", worker), now: Laboratory.start))
      #expect(try await admission(lab, "renewed", worker, key: "another's") == .unknown)
      #expect(try await admission(lab, "renewed", worker) == .admitted(worker))
      // It is noted, and revoked like every other.
      #expect(try await lab.store.revokeWorker(worker.id, now: Laboratory.start))
      #expect(try await admission(lab, "renewed", worker) == .revoked)
      #expect(try await admission(lab, "renewed again", worker) == .revoked)

      let gone = try await lab.worker("b", account: "bob")
      try await lab.store.deleteAccount(named: "bob", now: Laboratory.start)
      #expect(try await admission(lab, "b", gone, key: "key of b") == .revoked)
      var stranger = worker
      stranger.id = "worker_joined_later"
      #expect(try await admission(lab, "c", stranger) == .unknown)
    }
  }
}
