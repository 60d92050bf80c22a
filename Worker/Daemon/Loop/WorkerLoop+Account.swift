import NIOHTTP1
import WireProtocol
import WorkerCore

// What the machine's owner sees and decides of the account, at the coordinator.
extension WorkerLoop {
  /// - Throws: `RequestFailure`.
  func account() async throws(RequestFailure) -> OwnAccount {
    try CoordinatorClient.decode(OwnAccount.self, from: await member().get(WorkerRoute.account))
  }

  /// - Throws: `RequestFailure`.
  func changeAccount(_ change: OwnAccountChange) async throws(RequestFailure) -> OwnAccount {
    try await member().post(WorkerRoute.account, change, for: OwnAccount.self)
  }

  /// A new key for the account's page. Nothing of it is kept here.
  ///
  /// - Throws: `RequestFailure`.
  func makeAccountKey() async throws(RequestFailure) -> AccountKeyNote {
    let client = try member()
    let answer = try await client.send(client.request(.POST, WorkerRoute.accountKey))
    let made = try CoordinatorClient.decode(OwnAccountKey.self, from: answer)
    return AccountKeyNote(key: made.key, page: client.url + made.page)
  }

  /// - Throws: `RequestFailure`.
  func revokeAccountKeys() async throws(RequestFailure) -> RevokedAccountKeys {
    let client = try member()
    let answer = try await client.send(client.request(.DELETE, WorkerRoute.accountKey))
    return try CoordinatorClient.decode(RevokedAccountKeys.self, from: answer)
  }

  private func member() throws(RequestFailure) -> CoordinatorClient {
    guard let client else { throw Self.notJoined }
    return client
  }
}

/// A key for an account's page, and the page's address.
package struct AccountKeyNote: Codable, Hashable, Sendable {
  package var key: String
  package var page: String
}
