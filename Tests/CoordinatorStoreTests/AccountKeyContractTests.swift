import CoordinatorCore
import CoordinatorStore
import Testing

@Suite("Store contract: keys of account pages")
struct AccountKeyContractTests {
  private static let start = Laboratory.start

  private func refused(
    _ code: StoreError.Code, _ work: () async throws -> Void
  ) async {
    do {
      try await work()
      Issue.record("not refused")
    } catch {
      #expect((error as? StoreError)?.code == code)
    }
  }

  @Test("a key opens its own account and no other, until revoked", arguments: StoreKind.allCases)
  func opening(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let ann = try await lab.worker("a", account: "ann")
      _ = try await lab.worker("b", account: "bob")
      let (first, second, other) = (
        Laboratory.digest("first"), Laboratory.digest("second"), Laboratory.digest("other")
      )
      for (name, hash) in [("ann", first), ("ann", second), ("bob", other)] {
        try await lab.store.createAccountKey(accountNamed: name, hash: hash, now: Self.start)
      }
      #expect(try await lab.store.account(keyHash: first)?.account.id == ann.accountID)
      #expect(try await lab.store.account(keyHash: second)?.account.name == "ann")
      #expect(try await lab.store.account(keyHash: Laboratory.digest("none")) == nil)
      #expect(try await lab.store.revokeAccountKeys(accountNamed: "ann", now: Self.start) == 2)
      #expect(try await lab.store.revokeAccountKeys(accountNamed: "ann", now: Self.start) == 0)
      #expect(try await lab.store.account(keyHash: first) == nil)
      #expect(try await lab.store.account(keyHash: second) == nil)
      #expect(try await lab.store.account(keyHash: other)?.account.name == "bob")
    }
  }

  @Test("who is banned may look, who was deleted may not", arguments: StoreKind.allCases)
  func banned(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let ann = try await lab.worker("a", account: "ann")
      let hash = Laboratory.digest("key")
      try await lab.store.createAccountKey(accountNamed: "ann", hash: hash, now: Self.start)
      try await lab.store.ban(.account(ann.accountID), reason: "wrong results", now: Self.start)
      #expect(try await lab.store.account(keyHash: hash)?.account.name == "ann")
      try await lab.store.deleteAccount(named: "ann", now: Self.start)
      #expect(try await lab.store.account(keyHash: hash) == nil)
      #expect(try await lab.store.account(named: "ann") == nil)
      // Who takes the name next is somebody else.
      _ = try await lab.worker("n", account: "ann")
      #expect(try await lab.store.account(keyHash: hash) == nil)
    }
  }

  @Test(
    "only the newest keys of an account stay, other accounts keep theirs",
    arguments: StoreKind.allCases)
  func bounded(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.worker("a", account: "ann")
      _ = try await lab.worker("b", account: "bob")
      let other = Laboratory.digest("bob")
      try await lab.store.createAccountKey(accountNamed: "bob", hash: other, now: Self.start)
      let hashes = (0...StoreLimit.accountKeys).map { Laboratory.digest("key \($0)") }
      for hash in hashes {
        try await lab.store.createAccountKey(accountNamed: "ann", hash: hash, now: Self.start)
      }
      #expect(try await lab.store.account(keyHash: hashes[0]) == nil)
      for hash in hashes.dropFirst() {
        #expect(try await lab.store.account(keyHash: hash)?.account.name == "ann")
      }
      #expect(try await lab.store.account(keyHash: other)?.account.name == "bob")
    }
  }

  @Test("an unknown account has no keys", arguments: StoreKind.allCases)
  func unknown(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      await refused(.notFound) {
        try await lab.store.createAccountKey(
          accountNamed: "nobody", hash: Laboratory.digest("key"), now: Self.start)
      }
      await refused(.notFound) {
        _ = try await lab.store.revokeAccountKeys(accountNamed: "nobody", now: Self.start)
      }
      #expect(try await lab.store.account(named: "nobody") == nil)
    }
  }
}
