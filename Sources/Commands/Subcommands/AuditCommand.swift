import ArgumentParser
import Execution
import Foundation
import WireProtocol

/// Repeats a fine-tuning job.
struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Run a fine-tuning job again on this machine, to the same last bit.",
    discussion: """
      Fetches the job's transcript (its plan with the seed, the units that were joined, the \
      digests of their results), its examples and its model, takes every step again and compares \
      every digest: the units that were handed out, their results, the adapter of every round, the \
      held-out losses. Nothing of what volunteers sent is believed.

      Takes about as long as the job's work takes on this machine. --joins believes the units' \
      verified results and checks in seconds what was made of them. The exit code is 1 when \
      anything differs.

      EXAMPLES:
        tally audit ftjob-0a1b...
        tally audit ftjob-0a1b... --joins --json
      """)

  @Argument(help: "The fine-tuning job.")
  var job: String

  @Flag(help: "Believe the units' results; check what was made of them.")
  var joins = false

  @Option(
    help: ArgumentHelp(
      "Where fetched blobs are kept, so that a second call need not fetch them.",
      discussion: "Else TALLY_AUDIT_CACHE, else ~/.cache/tally/audit. May be removed at any time."),
    completion: .directory)
  var cache: String?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var compute: ComputeOptions
  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    let folder =
      cache.map { URL(fileURLWithPath: $0) }
      ?? CacheFolder.url("audit", variable: "TALLY_AUDIT_CACHE")
    let runner = UnitRunner(try compute.makeEngine())
    let threads = compute.threadCount
    let report = try await APIClient.with(connection) { client in
      let transcript = try await client.get(
        "/tally/v1/fine_tuning/jobs/\(job)/transcript", as: FineTuningTranscript.self)
      let audit = FineTuningAudit(
        transcript: transcript, blobs: try JobBlobs(client, job: job, folder: folder),
        runner: runner, threads: threads, recomputes: !joins)
      var bar = ProgressBar()
      let report = try await audit.run { bar.show(fraction: $0, detail: $1) }
      bar.finish()
      return report
    }
    if json { try printJSON(report) } else { show(report) }
    if !report.differences.isEmpty { throw ExitCode.failure }
  }

  private func show(_ report: FineTuningAudit.Report) {
    let out = Terminal.output
    let how =
      report.recomputed_units > 0 ? "run again on this machine" : "whose results were believed"
    out.line(
      "\(report.rounds) rounds, \(report.train_units) units that learn and "
        + "\(report.validate_units) that measure, \(how)")
    for one in report.differences {
      out.line(out.styled("\(one.place): expected \(one.expected), found \(one.found)", .red))
    }
    guard report.differences.isEmpty else { return }
    out.line("every digest is as the transcript says")
    if let adapter = report.adapter { out.line("the job's adapter is \(adapter)") }
  }
}
