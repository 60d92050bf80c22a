import APIObjects
import ArgumentParser
import Foundation

/// Shows how far batches are.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show how far a batch or fine-tuning job is, and why it waits.",
    discussion: """
      Without BATCH, lists your batches and fine-tuning jobs, newest first. With a batch, shows \
      its requests, units and replicas, how many units were verified by agreement and how many by \
      replay, when its window closes, and, when it waits, the reason (for example that the pool \
      has workers of one account only, and a second opinion needs another). With a fine-tuning \
      job, shows its rounds and their losses.

      With --wait and a batch, the exit code is 0 when there are answers, 3 when every line \
      failed, 1 when the batch as a whole failed or ended early; so it is with --json.

      EXAMPLES:
        tally status
        tally status batch_0a1b... --wait
        tally status batch_0a1b... --json
        tally status ftjob-0a1b... --wait
      """)

  @Argument(help: "The batch or fine-tuning job; all of yours when left out.")
  var batch: String?

  @Flag(help: "Stay until it has ended, with a progress bar.")
  var wait = false

  @Flag(help: "Print JSON as the coordinator gives it.")
  var json = false

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func validate() throws {
    if wait, batch == nil { throw ValidationError("--wait needs a BATCH") }
  }

  func run() async throws {
    try await APIClient.with(connection) { client in
      guard let batch else { return try await list(client) }
      if batch.hasPrefix(FineTuningObject.prefix) { return try await show(job: batch, client) }
      if wait {
        var bar = ProgressBar()
        let progress = try await BatchWatcher(client: client).wait(for: batch, bar: &bar)
        if json { try await printJSON(of: batch, client) }
        return try await BatchReport(client: client).conclude(progress, output: nil)
      }
      if json {
        try await printJSON(of: batch, client)
      } else {
        show(try await client.get("/tally/v1/batches/\(batch)", as: ProgressObject.self))
      }
    }
  }

  private func printJSON(of batch: String, _ client: APIClient) async throws {
    Terminal.output.line(
      String(decoding: try await client.data("/tally/v1/batches/\(batch)"), as: UTF8.self))
  }

  private func list(_ client: APIClient) async throws {
    if json {
      Terminal.output.line(
        String(decoding: try await client.data("/v1/batches?limit=100"), as: UTF8.self))
      return
    }
    let page = try await client.get("/v1/batches?limit=100", as: ListObject<BatchObject>.self)
    let jobs = try await client.get(
      "/v1/fine_tuning/jobs?limit=100", as: ListObject<FineTuningObject>.self)
    guard !page.data.isEmpty || !jobs.data.isEmpty else {
      Terminal.output.line(
        "No batches or fine-tuning jobs. `tally submit` and `tally finetune` make them.")
      return
    }
    if !jobs.data.isEmpty { list(jobs) }
    guard !page.data.isEmpty else { return }
    var table = TextTable(
      .text("BATCH"), .text("STATUS"), .number("DONE"), .number("FAILED"), .number("TOTAL"),
      .text("CREATED"))
    for batch in page.data {
      let counts = batch.requestCounts
      table.add(
        batch.id, batch.status, Spelled.count(counts.completed), Spelled.count(counts.failed),
        Spelled.count(counts.total), Spelled.time(batch.createdAt))
    }
    Terminal.output.line(table.rendered())
    if page.hasMore { Terminal.output.line("(the newest 100)") }
  }

  private func list(_ page: ListObject<FineTuningObject>) {
    var table = TextTable(
      .text("FINE-TUNING JOB"), .text("STATUS"), .text("MODEL"), .text("CREATED"))
    for job in page.data {
      table.add(
        job.id, job.status.replacing("_", with: " "), job.fineTunedModel ?? job.model,
        Spelled.time(job.createdAt))
    }
    Terminal.output.line(table.rendered() + "\n")
  }

  private func show(job: String, _ client: APIClient) async throws {
    if wait {
      var bar = ProgressBar()
      _ = try await FineTuningWatcher(client: client).wait(for: job, bar: &bar)
    }
    let path = "/tally/v1/fine_tuning/jobs/\(job)"
    if json {
      Terminal.output.json(try await client.data(path))
    } else {
      try await client.get(path, as: FineTuningProgressObject.self).show()
    }
  }

  private func show(_ progress: ProgressObject) {
    let output = Terminal.output
    let batch = progress.batch
    let counts = batch.requestCounts
    output.line("\(output.styled(batch.id, .bold))  \(batch.status), \(progress.pool) pool")
    for failure in batch.failures { output.line("  " + failure) }
    output.line(
      "requests  \(Spelled.count(counts.completed)) done, "
        + "\(Spelled.count(counts.failed)) failed, \(Spelled.count(counts.total)) in "
        + "all")
    output.line(
      "units     \(progress.units.accepted) accepted, \(progress.units.open) open, "
        + "\(progress.units.awaitingReplay) awaiting replay; \(progress.waitingRequests) "
        + "requests not yet in a unit")
    output.line(
      "replicas  \(progress.replicas.running) running, \(progress.replicas.waiting) waiting for "
        + "another account's, \(progress.replicas.accepted) accepted, "
        + "\(progress.replicas.rejected) rejected")
    output.line(
      "verified  \(progress.agreements) units by agreement, \(progress.replays) by replay")
    if !batch.hasEnded {
      output.line("window    closes in \(ProgressBar.duration(Double(progress.secondsLeft)))")
    }
    for reason in progress.waitReasons {
      output.line(output.styled("waits     \(reason)", .yellow))
    }
    if let id = batch.outputFileID {
      output.line("answers   tally results \(batch.id)   (\(id))")
    }
  }
}
