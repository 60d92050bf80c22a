import APIObjects
import CoordinatorCore
import CoordinatorStatistics
import CoordinatorStore
import Foundation
import HTTPTypes
import Hummingbird
import WireProtocol

/// What everyone contributed, for people, for statistics sites, and for the operator's monitoring.
/// No key is needed, and only accounts are named that agreed to it.
struct StatisticsRoutes {
  let environment: APIEnvironment

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route("/stats", [.get: statistics])
    router.route("/stats/history", [.get: history])
    router.route("/statistics/{name}", [.get: file])
    router.route("/metrics", [.get: metrics])
  }

  @Sendable private func statistics(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    try await environment.shared.responses.value(for: "stats") { [environment] in
      try .json(StatisticsObject(await environment.store.statistics(now: environment.now())))
    }
  }

  /// `?days=30&account=NAME`, or `team=NAME`, or neither for everyone.
  @Sendable private func history(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    let query = request.uri.queryParameters
    var days = 30
    if let text = query["days"] {
      guard let number = Int(text), (1...3660).contains(number) else {
        throw APIError.invalid(
          "Invalid 'days': expected an integer from 1 to 3660.", param: "days",
          code: "invalid_value")
      }
      days = number
    }
    let account = query["account"].map(String.init)
    let team = account == nil ? query["team"].map(String.init) : nil
    // By what is meant, not by how it is spelled.
    let scope = try await scope(account: account, team: team)
    return try await environment.shared.histories.value(for: "\(days) \(scope.key)") { [days] in
      try .json(HistoryObject(await environment.history(of: scope, days: days)))
    }
  }

  private func scope(account: String?, team: String?) async throws -> HistoryScope {
    if account == nil, team == nil { return .everyone }
    if let account {
      guard let found = try await environment.store.account(named: account), found.isNamed
      else { throw APIError.noSuch("account", account, param: "account") }
      return .account(id: found.account.id)
    }
    let teams = try await environment.ranking().teams
    guard let found = teams.first(where: { $0.name == team }) else {
      throw APIError.noSuch("team", team ?? "", param: "team")
    }
    return .team(id: found.id)
  }

  @Sendable private func file(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    let name = try context.pathID("name")
    guard let bytes = environment.statistics?.read(name) else {
      throw APIError.noSuch("statistics file", name, param: nil)
    }
    return Response(
      status: .ok,
      headers: [.contentType: name.hasSuffix(".gz") ? "application/gzip" : "application/xml"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  @Sendable private func metrics(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    try await environment.shared.responses.value(for: "metrics") { [environment] in
      var text = MetricsText()
      text.metric(
        "tally_build_info", .gauge, "The program's version.",
        [([("version", ProtocolVersion.program)], 1)])
      try await environment.store.gauges(now: environment.now()).write(to: &text)
      environment.metrics.write(to: &text)
      text.metric(
        "tally_clock_jump_seconds", .gauge,
        "Seconds that the system's clock is ahead by since it was set, until that is believed.",
        environment.clockJumpSeconds() ?? 0)
      if let end = environment.serverCertificateEnd() {
        text.metric(
          "tally_server_certificate_end_timestamp_seconds", .gauge,
          "When the server's certificate ends, in seconds since 1970.", Double(end.seconds))
      }
      ProcessGauges.read().write(to: &text)
      return Response(
        status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: text.text)))
    }
  }
}
