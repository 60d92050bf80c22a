import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WireProtocol

@Suite("Store contract: a clock that is set")
struct ClockContractTests {
  private static let start = Laboratory.start
  private static let days = [40, -40]

  private static func at(_ seconds: Int, days: Int = 0) -> Timestamp {
    start.adding(seconds: days * 86_400 + seconds)
  }

  private func set(_ lab: Laboratory, days: Int, at seconds: Int) async throws {
    try await lab.store.moveDeadlines(
      seconds: Double(days * 86_400), now: Self.at(seconds, days: days))
  }

  @Test("files and invitations end as much later or earlier", arguments: StoreKind.allCases, days)
  func ends(kind: StoreKind, days: Int) async throws {
    try await kind.withLaboratory { lab async throws in
      let store = lab.store
      let file = try await store.createFile(
        NewFile(
          keyID: lab.key.id, purpose: .batch, filename: "f", bytes: 1,
          blob: Laboratory.digest("f"), expiresAt: Self.at(3600)), now: Self.start)
      func invite(_ name: String) async throws -> InvitationRecord {
        try await store.createInvitation(
          NewInvitation(
            secretHash: Laboratory.digest(name), accountName: name, uses: 1,
            expiresAt: Self.at(3600), trusted: false), now: Self.start)
      }
      let (kept, revoked) = (try await invite("kept"), try await invite("revoked"))
      #expect(try await store.revokeInvitation(revoked.id))
      try await set(lab, days: days, at: 0)
      #expect(try await store.tick(now: Self.at(3599, days: days)).deletedFiles.isEmpty)
      let found = try await store.file(file.id, key: lab.key.id, now: Self.at(3599, days: days))
      #expect(found?.expiresAt == Self.at(3600, days: days))
      let open = try await store.invitations(now: Self.at(3599, days: days))
      #expect(open.map(\.id) == [kept.id] && open.first?.expiresAt == Self.at(3600, days: days))
      #expect(try await store.invitations(now: Self.at(3600, days: days)).isEmpty)
      #expect(try await store.tick(now: Self.at(3600, days: days)).deletedFiles.count == 1)
      await #expect(throws: StoreError.self) {
        try await store.enrol(
          NewWorker(
            secretHash: Laboratory.digest("revoked"), publicKey: Laboratory.digest("key"),
            name: "late"), now: Self.at(1, days: days))
      }
    }
  }

  @Test(
    "an account is held back, and admits nobody, for as long as before",
    arguments: StoreKind.allCases, days)
  func penalties(kind: StoreKind, days: Int) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 400, windowSeconds: 40 * 86_400)
      let secret = Laboratory.digest("invitation of mallory")
      _ = try await lab.store.createInvitation(
        NewInvitation(
          secretHash: secret, accountName: "mallory", uses: 10, expiresAt: Self.at(90 * 86_400),
          trusted: false), now: Self.start)
      func join(_ name: String, _ now: Timestamp) async throws -> WorkerRecord {
        try await lab.store.enrol(
          NewWorker(secretHash: secret, publicKey: Laboratory.digest(name), name: name), now: now)
      }
      let honest = try await lab.worker("a", account: "ann")
      let twin = try await join("twin", Self.start)
      let liar = try await join("liar", Self.start)
      let lie = try #require(try await lab.lease(liar).first)
      try await lab.submit(lie, by: liar, lyingAs: "liar", now: Self.at(1))
      var isDisputed = false
      while !isDisputed {
        let lease = try #require(try await lab.lease(honest).first)
        isDisputed = lease.unit == lie.unit
        try await lab.submit(lease, by: honest, now: Self.at(1))
      }
      #expect(try await lab.replayAll(now: Self.at(2)) == 1)
      try await set(lab, days: days, at: 3)
      func reasons(_ worker: WorkerRecord, _ seconds: Int) async throws -> [IdleReason: Int] {
        try await lab.store.lease(
          worker: worker.id, request: Laboratory.leaseRequest(),
          now: Self.at(seconds, days: days)
        ).reasons
      }
      #expect(try await reasons(twin, 590) == [.suspended: 1])
      #expect(try await reasons(liar, 3590) == [.suspended: 1])
      #expect(try await reasons(twin, 610)[.suspended] == nil)
      await #expect(throws: StoreError.self) { try await join("again", Self.at(3590, days: days)) }
      _ = try await join("again", Self.at(3610, days: days))
    }
  }

  @Test(
    "who was there is there still, and nobody was seen in the future",
    arguments: StoreKind.allCases, days)
  func presence(kind: StoreKind, days: Int) async throws {
    try await kind.withLaboratory { lab async throws in
      let (gone, present) = (
        try await lab.worker("gone", account: "ann"),
        try await lab.worker("present", account: "bob")
      )
      _ = try await lab.lease(gone)
      _ = try await lab.lease(present, now: Self.at(20_000))
      // A row of a time that the clock never came to.
      let ahead = try await lab.worker("ahead", account: "eve")
      _ = try await lab.lease(ahead, now: Self.at(30_000))
      try await set(lab, days: days, at: 20_010)
      let fleet = try await lab.store.fleet(now: Self.at(20_010, days: days)).workers
      func seen(_ worker: WorkerRecord) -> Timestamp? {
        fleet.first { $0.id == worker.id }?.lastSeen
      }
      #expect(seen(gone) == Self.at(0, days: days))
      #expect(seen(present) == Self.at(20_000, days: days))
      #expect(seen(ahead) == Self.at(20_010, days: days))
    }
  }

  @Test("the recent average and the streak go on", arguments: StoreKind.allCases, days)
  func standing(kind: StoreKind, days: Int) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 8, pool: .trusted, windowSeconds: 40 * 86_400)
      let worker = try await lab.worker("t", account: "lab", trusted: true)
      let lease = try #require(try await lab.lease(worker).first)
      try await lab.submit(lease, by: worker)
      func look(_ now: Timestamp) async throws -> (average: Double, streak: Int) {
        let overview = try await lab.store.accountOverview(worker.accountID, now: now)
        return (overview.contribution.recentAverageCredit, overview.streakDays)
      }
      let before = try await look(Self.at(20))
      #expect(before.average > 0 && before.streak == 1)
      try await set(lab, days: days, at: 20)
      let after = try await look(Self.at(20, days: days))
      #expect(after.average == before.average && after.streak == before.streak)
    }
  }

  @Test("a round of fine-tuning took as long as before", arguments: StoreKind.allCases, days)
  func rounds(kind: StoreKind, days: Int) async throws {
    try await kind.withLaboratory { lab async throws in
      let id = try await FineTuningContractTests.running(lab)
      func published() async throws -> Timestamp? {
        try await lab.store.fineTuningRounds(of: id, key: nil).first?.publishedAt
      }
      let before = try #require(try await published())
      try await set(lab, days: days, at: 100)
      #expect(try await published() == before.adding(seconds: days * 86_400))
    }
  }

  @Test("a certificate ends as much later or earlier", arguments: StoreKind.allCases, days)
  func certificates(kind: StoreKind, days: Int) async throws {
    try await kind.withLaboratory { lab async throws in
      let worker = try await lab.worker("a", account: "ann")
      let fingerprint = Laboratory.digest("certificate")
      #expect(
        try await lab.store.recordCertificate(
          CertificateRecord(
            fingerprint: fingerprint, workerID: worker.id, notAfter: Self.at(86_400),
            der: Data("certificate".utf8)), now: Self.start))
      try await set(lab, days: days, at: 0)
      #expect(try await lab.store.certificateEnd(fingerprint) == Self.at(86_400, days: days))
      #expect(try await lab.store.certificateEnd(Laboratory.digest("other")) == nil)
    }
  }

  @Test(
    "what was created before the clock was set back counts against no quota, and is no retry's",
    arguments: StoreKind.allCases)
  func quotas(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var new = lab.newBatch()
      new.lines = 5
      let first = try await lab.store.createBatch(new, isRetry: false, now: Self.start)
      #expect(try await lab.store.usage(ofKey: lab.key.id, now: Self.start).requests == 5)
      try await set(lab, days: -40, at: 0)
      let now = Self.at(1, days: -40)
      #expect(try await lab.store.usage(ofKey: lab.key.id, now: now).requests == 0)
      let second = try await lab.store.createBatch(new, isRetry: true, now: now)
      #expect(second.id != first.id)
      #expect(try await lab.store.createBatch(new, isRetry: true, now: now).id == second.id)
    }
  }

  @Test("ticks keep the time now and then, and at once after a jump", arguments: StoreKind.allCases)
  func keeps(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let store = lab.store
      #expect(try await store.keptClock() == nil)
      func tick(_ seconds: Int, ahead: Int = 0) async throws -> KeptClock? {
        _ = try await store.tick(now: Self.at(seconds), calendar: Self.at(seconds + ahead))
        return try await store.keptClock()
      }
      let first = KeptClock(time: Self.start, calendar: Self.start)
      #expect(try await tick(0) == first)
      #expect(try await tick(59) == first)
      #expect(try await tick(60) == KeptClock(time: Self.at(60), calendar: Self.at(60)))
      let jumped = KeptClock(time: Self.at(62), calendar: Self.at(3662))
      #expect(try await tick(62, ahead: 3600) == jumped)
      #expect(try await tick(64, ahead: 3600) == jumped)
      // When it is believed, that is kept with the rows that are moved.
      try await store.moveDeadlines(seconds: 3600, now: Self.at(3700))
      let now = Self.at(3700)
      #expect(try await store.keptClock() == KeptClock(time: now, calendar: now, setAt: now))
      #expect(try await tick(3800)?.setAt == now)
    }
  }
}
