import ArgumentParser
import Foundation

/// Shows what everyone has contributed.
struct StatsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "Show what accounts and workers have contributed.",
    discussion: """
      RESULTS are verified ones; a unit verified by two accounts is a result of both. CREDIT is 200 for each day of \
      computing at one GFLOPS, counted from the unit's operations when its result is accepted, never from what a worker \
      says. PER DAY is the recent average, with a half-life of seven days.

      EXAMPLES:
        tally stats
        tally stats --json | jq '.accounts[] | [.name, .contribution.credit]'
      """)

  @Flag(help: "Print JSON as the coordinator gives it.")
  var json = false

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    try await APIClient.with(connection) { client in
      if json {
        Terminal.output.line(String(decoding: try await client.data("/stats"), as: UTF8.self))
        return
      }
      let statistics = try await client.get("/stats", as: StatisticsObject.self)
      Terminal.output.line(
        "\(Spelled.count(statistics.units_accepted)) units verified, "
          + "\(Spelled.count(statistics.requests_completed)) requests answered")
      Terminal.output.line()
      Terminal.output.line(statistics.table().rendered())
    }
  }
}
