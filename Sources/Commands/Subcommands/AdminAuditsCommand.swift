import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation
import WireProtocol

/// Audits that found something.
struct AdminAuditsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audits", abstract: "List accepted results that an audit found wrong.",
    discussion: """
      The coordinator's own machine computes a share of the accepted units again (`audit_share`). \
      A wrong result is replaced by the right one, and who gave it loses the credit. DELIVERED has \
      the digest of the wrong result where it had been delivered, or learnt from, before: tell the \
      owners of these jobs.

      EXAMPLES:
        tally admin audits
        tally admin audits --json | jq '.[] | select(.delivered != null) | .jobs'
      """)

  @Option(help: "How many, the latest first.")
  var limit: Int = 100

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Row: Encodable {
    let unit: String
    let time: Int
    let jobs: [String]
    let accounts: [String]
    let result: String
    let delivered: String?
  }

  func validate() throws {
    guard (1...10_000).contains(limit) else { throw ValidationError("--limit is 1 to 10000") }
  }

  func run() async throws {
    let audits = try await data.open().store.failedAudits(limit: limit)
    if json {
      return try printJSON(
        audits.map {
          Row(
            unit: $0.unit.hex, time: $0.time.seconds, jobs: $0.jobs, accounts: $0.accounts,
            result: $0.result.hex, delivered: $0.delivered?.hex)
        })
    }
    var table = TextTable(
      .text("TIME"), .text("UNIT"), .text("JOBS"), .text("ACCOUNTS"), .text("DELIVERED"))
    for audit in audits {
      table.add(
        Spelled.time(audit.time.seconds), audit.unit.hex, audit.jobs.joined(separator: " "),
        audit.accounts.compactMap { ForeignText.line($0) }.joined(separator: ", "),
        audit.delivered?.hex ?? "")
    }
    Terminal.output.line(table.rendered())
  }
}
