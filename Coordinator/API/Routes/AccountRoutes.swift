import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import Logging
import WireProtocol

/// What a volunteer sees and decides of the own account, by the certificate of any of its workers:
/// all of them were invited into it. A ban does not end this, nor does an old program: consent can
/// be taken back at any time.
struct AccountRoutes {
  let environment: APIEnvironment
  let worker: WorkerAuthentication

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route(
      RouterPath(WorkerRoute.account), [.get: worker(account), .post: worker(change)])
    router.route(
      RouterPath(WorkerRoute.accountKey), [.post: worker(makeKey), .delete: worker(revokeKeys)])
  }

  @Sendable private func account(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let name = peer.worker.accountName
    guard let profile = try await environment.store.account(named: name) else {
      throw APIError.noSuch("account", name, param: nil)
    }
    return try .json(OwnAccount(profile))
  }

  @Sendable private func change(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let message = try await request.message(OwnAccountChange.self, limit: 65536)
    let profile = try await environment.store.changeAccount(
      named: peer.worker.accountName,
      AccountChange(
        isNamed: message.isPublic, team: message.team, country: message.country, url: message.url,
        teamPauseSeconds: AccountChange.ownersTeamPauseSeconds),
      now: environment.now())
    context.logger.info("account changed by its owner", metadata: ["worker": "\(peer.worker.id)"])
    return try .json(OwnAccount(profile))
  }

  @Sendable private func makeKey(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let key = AccountKey()
    try await environment.store.createAccountKey(
      accountNamed: peer.worker.accountName, hash: key.hash, now: environment.now())
    context.logger.info("account key made", metadata: ["worker": "\(peer.worker.id)"])
    var response = try Response.json(OwnAccountKey(key: key.text, page: AccountKey.page))
    response.headers[.cacheControl] = "no-store"
    return response
  }

  @Sendable private func revokeKeys(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let count = try await environment.store.revokeAccountKeys(
      accountNamed: peer.worker.accountName, now: environment.now())
    context.logger.info(
      "account keys revoked", metadata: ["worker": "\(peer.worker.id)", "keys": "\(count)"])
    return try .json(RevokedAccountKeys(revoked: count))
  }
}

extension OwnAccount {
  init(_ profile: AccountProfile) {
    self.init(
      name: profile.account.name, isPublic: profile.isNamed, team: profile.team,
      country: profile.country, url: profile.url)
  }
}
