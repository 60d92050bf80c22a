import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Testing
import WirePayloads
import WireProtocol

/// What a volunteer decides of the own account with a worker's certificate.
@Suite struct AccountRouteTests {
  @Test func anyWorkerOfTheAccountGivesAndTakesConsent() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let (one, two, other) = (TestWorker("one"), TestWorker("two"), TestWorker("other"))
      for (worker, account) in [(one, "ann"), (two, "ann"), (other, "bob")] {
        try await worker.enrol(coordinator, client, account: account)
      }
      _ = try await coordinator.store.changeAccount(
        named: "ann", AccountChange(email: "ann@example.org"), now: coordinator.clock.now)
      let changed = try await one.post(
        WorkerRoute.account, OwnAccountChange(isPublic: false, team: "Engines"), client)
      #expect(changed.status == 200)
      // Nobody but the operator sees an address.
      #expect(!String(decoding: changed.body, as: UTF8.self).contains("example.org"))
      let seen = try await client.send(.get, WorkerRoute.account, key: nil, headers: two.headers)
      #expect(
        try CanonicalJSON.decode(OwnAccount.self, from: seen.body)
          == OwnAccount(name: "ann", isPublic: false, team: "Engines"))
      let bob = try await client.send(.get, WorkerRoute.account, key: nil, headers: other.headers)
      #expect(
        try CanonicalJSON.decode(OwnAccount.self, from: bob.body)
          == OwnAccount(name: "bob", isPublic: true))
      let stats = try await client.send(.get, "/stats", key: nil)
      #expect(!String(decoding: stats.body, as: UTF8.self).contains("ann"))
    }
  }

  @Test func aKeyOpensTheAccountUntilRevokedAndIsNoAPIKey() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ann")
      let answer = try await client.send(
        .post, WorkerRoute.accountKey, key: nil, headers: worker.headers)
      #expect(answer.status == 200)
      #expect(answer.headers[.cacheControl] == "no-store")
      let made = try CanonicalJSON.decode(OwnAccountKey.self, from: answer.body)
      #expect(made.key.hasPrefix("tally-account-") && made.page == "/account")
      let hash = BlobDigest.sha256(Array(made.key.utf8))
      #expect(try await coordinator.store.account(keyHash: hash)?.account.name == "ann")
      #expect(try await client.send(.get, "/v1/models", key: made.key).status == 401)
      let revoked = try await client.send(
        .delete, WorkerRoute.accountKey, key: nil, headers: worker.headers)
      #expect(revoked.json["revoked"] as? Int == 1)
      #expect(try await coordinator.store.account(keyHash: hash) == nil)
    }
  }

  @Test func aBannedWorkerMayStillTakeItsConsentBack() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ann")
      let account = try #require(await coordinator.store.account(named: "ann")).account
      try await coordinator.store.ban(
        .account(account.id), reason: "wrong results", now: coordinator.clock.now)
      let changed = try await worker.post(
        WorkerRoute.account, OwnAccountChange(isPublic: false), client)
      #expect(changed.json["isPublic"] as? Bool == false)
    }
  }

  @Test func strangersAndRubbishAreRefused() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      for (method, path) in [
        (HTTPRequest.Method.get, WorkerRoute.account), (.post, WorkerRoute.account),
        (.post, WorkerRoute.accountKey), (.delete, WorkerRoute.accountKey),
      ] {
        // Not even with an API key.
        #expect(try await client.send(method, path).status == 401)
      }
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ann")
      for change in [
        OwnAccountChange(url: "javascript:alert(1)"),
        OwnAccountChange(team: String(repeating: "x", count: 255)),
      ] {
        let refused = try await worker.post(WorkerRoute.account, change, client)
        #expect(refused.status == 400 && refused.errorCode == "invalid_value")
      }
    }
  }
}
