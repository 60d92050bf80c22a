import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import WireProtocol

/// The pages for people: the fleet, its jobs and models, and who contributed what.
package struct DashboardRoutes: Sendable {
  let environment: APIEnvironment
  let pages: PageResponder
  /// What the leaderboard's pages are cut from.
  let standings: ShortCache<LeaderboardPage.Standing>

  /// - Throws: when a template is wrong.
  package init(environment: APIEnvironment, live: LivePages) throws {
    self.environment = environment
    pages = PageResponder(renderer: try PageRenderer(), environment: environment, live: live)
    standings = ShortCache(interval: live.interval)
  }

  /// Adds every page.
  package func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route("/assets/{name}", [.get: asset])
    router.route("/", [.get: pages.handler(section: .fleet, fleet)])
    router.route("/jobs", [.get: pages.handler(section: .jobs, query: [.after], jobs)])
    router.route("/jobs/{id}", [.get: pages.handler(section: .jobs, job)])
    router.route("/tuning/{id}", [.get: pages.handler(section: .jobs, tuning)])
    router.route("/models", [.get: pages.handler(section: .models) { _ in try await models() }])
    router.route(
      "/leaderboard",
      [
        .get: pages.handler(
          section: .leaderboard, query: [.by, .page, .days], canonical: lastPage, leaderboard)
      ])
    router.route("/teams/{id}", [.get: pages.handler(section: .leaderboard, query: [.days], team)])
    router.route("/workers/{id}", [.get: pages.handler(section: .fleet, query: [.days], worker)])
    router.route(
      "/accounts/{id}", [.get: pages.handler(section: nil, query: [.days, .saved], account)])
    router.route("/account", [.get: ownAccount, .post: changeAccount])
    router.route("/sign-in", [.post: signIn])
    router.route("/sign-out", [.post: signOut])
  }

  @Sendable private func asset(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    let name = try context.pathID("name")
    guard let asset = Asset.named(name) else {
      throw APIError(.notFound, "There is no file '\(name.prefix(100))'.", code: "not_found")
    }
    return Response(
      status: .ok,
      headers: [
        .contentType: asset.contentType, .cacheControl: "public, max-age=31536000, immutable",
      ],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: asset.bytes)))
  }
}
