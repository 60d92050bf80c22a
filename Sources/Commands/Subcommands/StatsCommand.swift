import APIObjects
import ArgumentParser
import Foundation

/// Shows what everyone has contributed.
struct StatsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "Show what accounts, teams and workers have contributed.",
    discussion: """
      RESULTS are verified ones; a unit verified by two accounts is a result of both. CREDIT is \
      200 for each day of computing at one GFLOPS, counted from the unit's operations when its \
      result is accepted, never from what a worker says. PER DAY is the recent average, with a \
      half-life of seven days. KWH is the energy that workers say those results took, from the \
      processors' counters where they can be read; ~ marks it where part of it is their estimate. \
      Accounts are named whose owners agreed; the totals count everyone.

      --days shows a history instead: each day of UTC on which something was contributed, for \
      everyone, or for one --account or --team.

      EXAMPLES:
        tally stats
        tally stats --teams
        tally stats --days 14 --account ada
        tally stats --json | jq '.accounts[] | [.name, .contribution.credit]'
      """)

  @Flag(help: "Show teams.")
  var teams = false

  @Option(help: "Show a history of this many days.")
  var days: Int?

  @Option(help: "The history of this account.")
  var account: String?

  @Option(help: "The history of this team.")
  var team: String?

  @Flag(help: "Print JSON as the coordinator gives it.")
  var json = false

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func validate() throws {
    if let days, !(1...3660).contains(days) { throw ValidationError("--days takes 1 to 3660") }
    if account != nil, team != nil {
      throw ValidationError("--account and --team exclude each other")
    }
    if teams, isHistory { throw ValidationError("--teams has no history: ask for one --team") }
  }

  private var isHistory: Bool { days != nil || account != nil || team != nil }

  private var path: String {
    guard isHistory else { return "/stats" }
    var url = URLComponents()
    url.path = "/stats/history"
    url.queryItems = [
      URLQueryItem(name: "days", value: "\(days ?? 30)"),
      account.map { URLQueryItem(name: "account", value: $0) },
      team.map { URLQueryItem(name: "team", value: $0) },
    ].compactMap { $0 }
    // A plus sign means a space in what forms send.
    return (url.string ?? url.path).replacing("+", with: "%2B")
  }

  func run() async throws {
    try await APIClient.with(connection) { client in
      if json {
        Terminal.output.json(try await client.data(path))
        return
      }
      if isHistory {
        Terminal.output.line(
          try await client.get(path, as: HistoryObject.self).table().rendered())
        return
      }
      let statistics = try await client.get(path, as: StatisticsObject.self)
      Terminal.output.line(
        "\(Spelled.count(statistics.unitsAccepted)) units verified, "
          + "\(Spelled.count(statistics.requestsCompleted)) requests answered")
      Terminal.output.line()
      Terminal.output.line((teams ? statistics.teamTable() : statistics.table()).rendered())
      if let unnamed = statistics.unnamed { Terminal.error.line(unnamed) }
    }
  }
}
