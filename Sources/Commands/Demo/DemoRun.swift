import APIObjects
import CoordinatorAPI
import Foundation
import MachineLimits
import ModelFormats
import Tokenizers

/// What the demo does with its fleet, step by step, and what it says.
struct DemoRun {
  let command: DemoCommand
  let fleet: DemoFleet

  private static let accounts = ["ada", "grace"]

  func run() async throws {
    let terminal = Terminal.output
    let (requests, endpoint) = try await prompts()
    heading("A coordinator and two workers, as separate processes over TLS")
    let coordinator = try await fleet.startCoordinator(
      model: command.model, name: command.modelName)
    terminal.line("coordinator  \(coordinator.url.absoluteString)  serving \(command.modelName)")
    let threads = command.threads ?? max(1, MachineLimits().threads / 2)
    for account in Self.accounts {
      try await fleet.startWorker(account: account, address: coordinator.url, threads: threads)
      terminal.line(
        "worker       of account \(account), \(threads) \(threads == 1 ? "thread" : "threads")")
    }
    try await APIClient.with(coordinator) { client in
      try await work(requests, endpoint, client)
    }
  }

  /// What the prompts file asks for: a line that the coordinator would refuse ends the demo before
  /// anything starts.
  private func prompts() async throws -> (requests: [DemoRequest], endpoint: String) {
    let file = BatchFile(path: command.prompts)
    let endpoint = try await file.endpoint(skipsBadLines: false)
    var requests: [DemoRequest] = []
    let check = try await file.check(endpoint: endpoint, models: [command.modelName]) {
      requests.append(DemoRequest($0))
    }
    if let wrong = check.sentences.first { throw CommandError("\(command.prompts): \(wrong)") }
    return (requests, endpoint)
  }

  private func work(
    _ requests: [DemoRequest], _ endpoint: String, _ client: APIClient
  ) async throws {
    heading("\(requests.count) prompts; both accounts run every unit, and the results are compared")
    let start = ContinuousClock.now
    let uploaded = try await client.upload(URL(filePath: command.prompts), purpose: "batch") {
      _, _ in
    }
    let batch = try await client.post(
      "/v1/batches",
      BatchCreation(
        input_file_id: uploaded.id, endpoint: endpoint, completion_window: "24h",
        metadata: ["tally_pool": "public"]), as: BatchObject.self)
    var bar = ProgressBar()
    let progress = try await BatchWatcher(client: client, patience: .seconds(5)) {
      try fleet.checkRunning()
    }.wait(for: batch.id, bar: &bar)
    let passed = ContinuousClock.now - start
    guard progress.batch.status == "completed" else {
      throw CommandError(
        "the batch is \(progress.batch.status): \(progress.batch.failures.joined(separator: "; "))")
    }
    guard let file = progress.batch.outputFileID else {
      throw CommandError("no request was answered: see `--keep` and the error file")
    }
    let content = try await client.data("/v1/files/\(file)/content")
    if let output = command.output { try content.write(to: URL(filePath: output)) }
    try show(requests, answers: DemoAnswer.read(content))
    let statistics = try await client.get("/stats", as: StatisticsObject.self)
    summarize(progress, statistics, passed)
  }

  private func show(_ requests: [DemoRequest], answers: [ExactString: DemoAnswer]) throws {
    heading("Some answers")
    let terminal = Terminal.output
    for request in requests.prefix(command.show) {
      guard let answer = answers[request.customID] else { continue }
      terminal.line(terminal.styled("> " + request.prompt, .bold))
      terminal.line(answer.text.trimmingCharacters(in: .whitespacesAndNewlines))
      terminal.line()
    }
  }

  private func summarize(
    _ progress: ProgressObject, _ statistics: StatisticsObject, _ passed: Duration
  ) {
    let terminal = Terminal.output
    heading("Verified")
    terminal.line("units       \(progress.units.accepted) of \(progress.units.total) accepted")
    terminal.line(
      "replicas    \(progress.replicas.accepted) accepted, \(progress.replicas.rejected) rejected")
    terminal.line(
      "agreements  \(progress.agreements) units had the same bits from both accounts, "
        + "\(progress.replays) needed a replay")
    heading("Contributed")
    terminal.line(statistics.table().rendered(for: terminal))
    let seconds = Double(passed.components.seconds) + Double(passed.components.attoseconds) * 1e-18
    let counts = progress.batch.requestCounts
    terminal.line()
    terminal.line(
      String(
        format:
          "%d requests answered, %d failed; %d tokens generated, replicas included, in %.1f s: "
          + "%.0f tokens a second",
        counts.completed, counts.failed, statistics.totals.tokens, seconds,
        Double(statistics.totals.tokens) / max(seconds, 0.001)))
  }

  private func heading(_ text: String) {
    Terminal.output.line()
    Terminal.output.line(Terminal.output.styled(text, .bold, .cyan))
  }
}

/// A line of the prompts file, as far as it is shown.
struct DemoRequest {
  let customID: ExactString
  let prompt: String

  init(_ line: BatchLine) {
    customID = ExactString(line.customID)
    switch line.request.prompt {
    case .messages(let messages):
      switch messages.last(where: { $0.role == "user" })?.content {
      case .text(let text)?: prompt = text
      case .parts(let texts)?: prompt = texts.joined(separator: "\n")
      case nil: prompt = ""
      }
    case .texts(let texts): prompt = texts.first ?? ""
    case .tokens: prompt = ""
    }
  }
}

/// A line of the output file, as far as it is shown.
struct DemoAnswer {
  let text: String

  private struct Line: Decodable {
    struct Response: Decodable { let body: Body }
    struct Body: Decodable { let choices: [Choice] }
    struct Choice: Decodable {
      struct Message: Decodable { let content: String? }
      let message: Message?
      let text: String?
    }
    let custom_id: String
    let response: Response?
  }

  static func read(_ content: Data) throws -> [ExactString: DemoAnswer] {
    var answers: [ExactString: DemoAnswer] = [:]
    for line in content.split(separator: UInt8(ascii: "\n")) {
      let line = try JSONDecoder().decode(Line.self, from: Data(line))
      let choice = line.response?.body.choices.first
      answers[ExactString(line.custom_id)] = DemoAnswer(
        text: choice?.message?.content ?? choice?.text ?? "")
    }
    return answers
  }
}
