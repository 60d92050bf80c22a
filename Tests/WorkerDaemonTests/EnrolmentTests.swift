import enum Crypto.P256
import Foundation
import Testing
import TestSupport
import WireProtocol
import WorkerCore
import WorkerDaemon

@Suite(.timeLimit(.minutes(5))) struct EnrolmentTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  func configuration(_ invitation: Invitation?) -> WorkerConfiguration {
    var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
    configuration.invitation = invitation
    return configuration
  }

  @Test func joinsWithAnInvitationAndStartsAgainWithoutOne() async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      let invitation = try await state.invitation(url, authority)
      try await withWorker(configuration(invitation)) { reports in
        let report = try await reports.wait { $0.workerID != nil }
        #expect(report.accountName == "ada")
        // Idle means that a lease request was answered: the client certificate was taken.
        try await reports.wait { if case .idle = $0.activity { true } else { false } }
      }
      // The standing is asked for beside the work, before or after the first lease.
      let requests = await state.requests.filter { $0 != "standing" }
      #expect(Array(requests.prefix(3)) == ["authority", "enroll", "lease"])
      for name in ["worker.json", "client.pem", "ca.pem", "key.pem", "key.passphrase"] {
        let attributes = try FileManager.default.attributesOfItem(
          atPath: place.path("worker/\(name)"))
        #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
      }
      try await withWorker(configuration(nil)) { reports in
        try await reports.wait { if case .idle = $0.activity { true } else { false } }
      }
      #expect(await state.requests.filter { $0 == "enroll" }.count == 1)
    }
  }

  @Test func joinsWithoutWorkingAndKeepsToItsCoordinator() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      var invitation = try await state.invitation(url + "/", authority)
      let member = try await WorkerDaemon.join(configuration(invitation))
      #expect(member.record.url == url)
      #expect(await state.requests == ["authority", "enroll"])
      let stored = try Membership(in: WorkerFolder(place.path("worker")))
      #expect(stored == member)
      // A lost certificate is replaced by joining again; the key stays.
      let key = try Data(contentsOf: URL(fileURLWithPath: place.path("worker/key.pem")))
      _ = try await WorkerDaemon.join(configuration(invitation))
      #expect(try Data(contentsOf: URL(fileURLWithPath: place.path("worker/key.pem"))) == key)
      // Another authority is another coordinator.
      invitation.url = "https://elsewhere.example"
      invitation.authority = try TestAuthority(name: "other").fingerprint
      let elsewhere = ConfigurationError.otherCoordinator(
        folder: place.path("worker"), member: url, invitation: invitation.url)
      let other = configuration(invitation)
      await #expect(throws: elsewhere) { try await WorkerDaemon.join(other) }
    }
  }

  @Test func withoutMembershipAnInvitationIsNeeded() async throws {
    await #expect(throws: ConfigurationError.invitationNeeded) {
      try await withWorker(configuration(nil)) { _ in }
    }
  }

  @Test func aUsedUpInvitationIsAClearError() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      var invitation = try await state.invitation(url, authority)
      invitation.secret = "used up"
      let stopped = WorkerStopped(reason: .notAdmitted(message: "the invitation is used up"))
      await #expect(throws: stopped) {
        try await withWorker(configuration(invitation)) { reports in
          try await reports.wait { _ in false }
        }
      }
    }
  }

  @Test func noSecretGoesToACoordinatorWithAnotherFingerprint() async throws {
    let (authority, other) = (authority, try TestAuthority(name: "other"))
    try await StubCoordinator.run(authority: authority) { url, state in
      let invitation = try await state.invitation(url, other)
      let error = await #expect(throws: WorkerStopped.self) {
        try await withWorker(configuration(invitation)) { reports in
          try await reports.wait { _ in false }
        }
      }
      #expect("\(try #require(error))".contains(try authority.fingerprint.hex))
      #expect(await state.requests == ["authority"])
    }
  }

  @Test func waitsForACoordinatorThatIsNotUpYet() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let busy = StubState.Refusal(status: .serviceUnavailable, code: nil, message: "starting")
      await state.update { $0.refusals["authority"] = [busy, busy, busy] }
      try await withWorker(configuration(try state.invitation(url, authority))) { reports in
        try await reports.wait { $0.workerID != nil }
      }
      #expect(await state.requests.filter { $0 == "authority" }.count == 4)
    }
  }

  @Test func anUpgradeMessageIsShownAsItIs() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let message = "This worker (tally 0.1.0) speaks protocol 1; the coordinator needs 2."
      await state.update {
        $0.refusals["lease"] = [
          .init(
            status: .upgradeRequired, code: WorkerErrorCode.upgradeRequired, message: message)
        ]
      }
      let invitation = try await state.invitation(url, authority)
      let error = await #expect(throws: WorkerStopped.self) {
        try await withWorker(configuration(invitation)) { reports in
          try await reports.wait { _ in false }
        }
      }
      #expect("\(try #require(error))" == message)
    }
  }

  @Test func renewsBeforeTheCertificateEnds() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let invitation = try await state.invitation(url, authority)
      try await withWorker(configuration(invitation)) { reports in
        try await reports.wait { $0.workerID != nil }
      }
      // Three quarters of the hour that the certificate lasts are over.
      try await withWorker(configuration(nil), clock: Self.clock(ahead: 2700)) { reports in
        while await !state.requests.contains("renew") { try await reports.wait { _ in true } }
        // The next lease request uses the new certificate.
        try await reports.wait { if case .leasing = $0.activity { true } else { false } }
        try await reports.wait { if case .idle = $0.activity { true } else { false } }
      }
      #expect(await state.requests.filter { $0 == "renew" }.count == 1)
      // By a clock that is wrong it has ended, which the coordinator is asked about.
      try await withWorker(configuration(nil), clock: Self.clock(ahead: 40 * 86400)) { reports in
        try await reports.wait { if case .idle = $0.activity { true } else { false } }
      }
    }
  }

  @Test func aWrongClockAtJoiningDelaysNoRenewal() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      await state.update {
        $0.saysValidSeconds = true
        $0.validSeconds = 9
      }
      // An hour behind: by its clock the certificate lasts for an hour.
      let invitation = try await state.invitation(url, authority)
      try await withWorker(configuration(invitation), clock: Self.clock(ahead: -3000)) { reports in
        while await !state.requests.contains("renew") { try await reports.wait { _ in true } }
      }
    }
  }

  /// The machine's clocks, the calendar some seconds ahead.
  static func clock(ahead seconds: Int) -> WorkerClock {
    var clock = WorkerClock.system()
    clock.unixSeconds = { Int(Date().timeIntervalSince1970) + seconds }
    return clock
  }
}
