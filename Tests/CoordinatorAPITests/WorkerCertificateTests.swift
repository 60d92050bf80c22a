import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing
import WirePayloads
import WireProtocol
import X509

/// How workers get, renew and lose their certificates.
@Suite struct WorkerCertificateTests {
  @Test func enrolmentIssuesAndRenewsCertificates() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      let refused = try await worker.post(
        WorkerRoute.enroll,
        EnrolmentRequest(
          secret: "wrong", signingRequest: try worker.signingRequest(), workerName: "w"), client)
      #expect(refused.status == 403)
      #expect(refused.errorCode == WorkerErrorCode.invitationInvalid)
      let rubbish = try await worker.post(
        WorkerRoute.enroll,
        EnrolmentRequest(secret: "wrong", signingRequest: "rubbish", workerName: "w"), client)
      #expect(rubbish.errorCode == "signing_request_invalid")
      try await worker.enrol(coordinator, client, account: "ada")

      let renewed = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(renewed.status == 200)
      let response = try CanonicalJSON.decode(EnrolmentResponse.self, from: renewed.body)
      #expect(response.accountName == "ada")
      #expect(response.notAfter == 1_800_000_000 + 30 * 86400)
      #expect(response.validSeconds == 30 * 86400)
      let named = try await worker.post(
        WorkerRoute.renew,
        RenewalRequest(signingRequest: try worker.signingRequest(), workerName: "attic"), client)
      #expect(
        try CanonicalJSON.decode(EnrolmentResponse.self, from: named.body).workerName == "attic")
      let fleet = try await coordinator.store.fleet(now: coordinator.clock.now)
      #expect(fleet.workers.map(\.name) == ["attic"])
      #expect(try await worker.lease(client).reasons == [.noWork: 1])

      // A worker that was away renews what has ended; a clock that was set back changes nothing.
      for seconds in [-400 * 86400, 400 * 86400 + 119 * 86400] {
        coordinator.clock.advance(seconds: seconds)
        let late = try await worker.post(
          WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
        #expect(late.status == 200)
      }
      // A clock that is set right does not end a membership.
      try await coordinator.store.moveDeadlines(
        seconds: 9000 * 86400, now: coordinator.clock.now.adding(seconds: 9000 * 86400))
      coordinator.clock.advance(seconds: 9000 * 86400)
      #expect(try await worker.lease(client).reasons == [.noWork: 1])
      // The certificate's time is checked for each request, not for each connection.
      coordinator.clock.advance(seconds: 86400)
      let late = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(late.status == 401)
      #expect(late.errorCode == WorkerErrorCode.certificateRequired)
    }
  }

  @Test func aCertificateThatARestoredDatabaseDoesNotKnowIsGood() async throws {
    let (coordinator, restored) = (try await TestCoordinator(), try await TestCoordinator())
    let worker = TestWorker("one")
    let renewed = try await coordinator.test { client in
      try await worker.enrol(coordinator, client, account: "ada")
      let id = try #require(
        try await coordinator.store.fleet(now: coordinator.clock.now).workers.first).id
      // Signed by the authority after the backup.
      return try coordinator.environment.authority.issueWorkerCertificate(
        workerID: id, request: VerifiedSigningRequest(pem: worker.signingRequest()),
        now: coordinator.clock.now.date, validSeconds: 3600)
    }
    try coordinator.know("one", certificatePEM: renewed.pem)
    try await coordinator.test { client in
      let answer = try await worker.lease(client)
      #expect(answer.reasons == [.noWork: 1])
    }
    // A coordinator that never knew the worker does not say that it is the end.
    try restored.know("one", certificatePEM: renewed.pem)
    try await restored.test { client in
      let answer = try await worker.post(WorkerRoute.lease, ["x": 1], client)
      #expect(answer.status == 401)
      #expect(String(decoding: answer.body, as: UTF8.self).contains("restored from a backup"))
    }
  }

  @Test func revokedAndUnknownCertificatesAreRefused() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      let id = try #require(
        try await coordinator.store.statistics(now: coordinator.clock.now).workers.first).id
      _ = try await coordinator.store.revokeWorker(id, now: coordinator.clock.now)
      let answer = try await worker.post(WorkerRoute.lease, ["x": 1], client)
      #expect(answer.status == 401)
      // Signed by the authority, but never recorded.
      let forged = try coordinator.environment.authority.issueWorkerCertificate(
        workerID: "worker_" + RandomName.suffix(),
        request: VerifiedSigningRequest(pem: worker.signingRequest()),
        now: coordinator.clock.now.date, validSeconds: 3600)
      try coordinator.know("forged", certificatePEM: forged.pem)
      let refused = try await TestWorker("forged").post(WorkerRoute.lease, ["x": 1], client)
      #expect(refused.status == 401)
    }
  }

  @Test func aRevokedKeyIsToldSoWhenItJoinsAgain() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      let id = try #require(
        try await coordinator.store.fleet(now: coordinator.clock.now).workers.first).id
      _ = try await coordinator.store.revokeWorker(id, now: coordinator.clock.now)
      let again = try await worker.post(
        WorkerRoute.enroll,
        EnrolmentRequest(
          secret: "secret-one", signingRequest: try worker.signingRequest(), workerName: "one"),
        client)
      #expect(again.status == 403)
      #expect(again.errorCode == WorkerErrorCode.membershipEnded)
      #expect(String(decoding: again.body, as: UTF8.self).contains("new invitation"))
      let renewal = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(renewal.status == 401)
      // The operator's new invitation admits the machine, which makes a new key.
      let fresh = TestWorker("fresh")
      try await fresh.enrol(coordinator, client, account: "ada")
      #expect(try await fresh.lease(client).reasons == [.noWork: 1])
    }
  }

  @Test func aNameThatComesTooOftenIsNotTaken() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      func renew(as name: String?) async throws -> Int {
        try await worker.post(
          WorkerRoute.renew,
          RenewalRequest(signingRequest: try worker.signingRequest(), workerName: name), client
        ).status
      }
      var statuses: [Int] = []
      for number in 0..<6 { statuses.append(try await renew(as: "name \(number)")) }
      #expect(statuses == [200, 200, 200, 200, 429, 429])
      let names = try await coordinator.store.fleet(now: coordinator.clock.now).workers.map(\.name)
      #expect(names == ["name 3"])
      #expect(try await renew(as: nil) == 200)
      #expect(try await renew(as: "name 3") == 200, "it has that name")
    }
  }

  @Test func renewalsAreLimited() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      var statuses: [Int] = []
      for _ in 0..<20 {
        statuses.append(
          try await worker.post(
            WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client
          ).status)
      }
      #expect(statuses.count { $0 == 200 } == StoreLimit.certificatesAtOnce - 1)
      #expect(statuses.last == 429)
      // It works on with what it has, and is served again later.
      #expect(try await worker.lease(client).reasons == [.noWork: 1])
      coordinator.clock.advance(seconds: 86_401)
      let later = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(later.status == 200)
    }
  }
}
