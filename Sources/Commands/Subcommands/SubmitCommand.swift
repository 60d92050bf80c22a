import APIObjects
import ArgumentParser
import Foundation
import ModelFormats

/// Uploads prompts and creates a batch.
struct SubmitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Submit a file of prompts as a batch.",
    discussion: """
      FILE is JSONL in the format of OpenAI's Batch API, one request a line:

        {"custom_id": "a1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": \
      "smollm2-135m-instruct", "messages": [{"role": "user", "content": "What is the capital of \
      France?"}], "max_tokens": 32}}

      Every line is checked before anything runs; mistakes are reported by line number, and one \
      mistake fails the batch. --check reports them all and submits nothing. With --skip-bad-lines \
      a bad line fails alone: it is reported, stands among the errors at the end, and the others \
      run.

      With --wait or --output the exit code is 0 when there are answers (lines that failed are \
      told), 3 when every line failed, 1 when the batch as a whole failed or ended early.

      Two pools do the work. In the public pool, volunteers' machines run your prompts: their \
      owners can read them, and every result is verified by a second, independent account. In the \
      trusted pool, only machines that the operator vouches for see your prompts, and each runs \
      once.

      EXAMPLES:
        tally submit prompts.jsonl --wait --output answers.jsonl
        tally submit private.jsonl --pool trusted
        tally submit prompts.jsonl --check
      """)

  enum Pool: String, ExpressibleByArgument, CaseIterable {
    case `public`
    case trusted
  }

  @Argument(help: "The JSONL file.", completion: .file(extensions: ["jsonl"]))
  var file: String

  @Option(help: "Who may run it: public (volunteers can read the prompts) or trusted.")
  var pool: Pool = .public

  @Option(help: "How long it may take, such as 24h or 7d; finished lines are delivered then.")
  var window = "24h"

  @Option(
    name: .customLong("metadata"),
    help: "A note kept with the batch, as KEY=VALUE; may be repeated.")
  var metadata: [String] = []

  @Flag(help: "Check every line, report those that are not valid requests, and submit nothing.")
  var check = false

  @Flag(help: "A line that is not a valid request fails alone, not the batch.")
  var skipBadLines = false

  @Flag(help: "Wait until it has ended, with a progress bar.")
  var wait = false

  @Option(
    name: .shortAndLong,
    help: "Wait, then write the answers here; lines that failed go to OUTPUT.errors.",
    completion: .file())
  var output: String?

  @Flag(help: "Print the batch object as JSON instead of its identifier.")
  var json = false

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func validate() throws {
    for entry in metadata where Self.pair(entry) == nil {
      throw ValidationError("--metadata takes KEY=VALUE, not \"\(entry)\"")
    }
    if check, wait || output != nil { throw ValidationError("--check submits nothing to wait for") }
    guard FileManager.default.isReadableFile(atPath: file) else {
      throw ValidationError("cannot read \(file)")
    }
  }

  func run() async throws {
    let endpoint = try await BatchFile(path: file).endpoint(skipsBadLines: check || skipBadLines)
    var notes: ExactDictionary = ["tally_pool": pool.rawValue]
    if skipBadLines { notes["tally_skip_bad_lines"] = "true" }
    for entry in metadata.compactMap(Self.pair) { notes[entry.key] = entry.value }
    let creation = { [window] (input: String) in
      BatchCreation(
        input_file_id: input, endpoint: endpoint, completion_window: window, metadata: notes)
    }
    try await APIClient.with(connection) { client in
      if check { return try await report(endpoint, client) }
      if skipBadLines { try await tellBadLines(endpoint, client) }
      if pool == .public {
        Terminal.error.line(
          Terminal.error.styled(
            "Public pool: people whose machines run these prompts can read them. (--pool trusted "
              + "keeps them to the operator's own.)", .yellow))
      }
      let uploaded = try await Self.upload(file, for: "batch", with: client)
      let batch = try await client.post("/v1/batches", creation(uploaded.id), as: BatchObject.self)
      if json {
        Terminal.output.json(try await client.data("/v1/batches/\(batch.id)"))
      } else {
        Terminal.output.line(batch.id)
      }
      guard wait || output != nil else {
        Terminal.error.line("Follow it with: tally status \(batch.id) --wait")
        return
      }
      var bar = ProgressBar()
      let progress = try await BatchWatcher(client: client).wait(for: batch.id, bar: &bar)
      try await BatchReport(client: client).conclude(progress, output: output)
    }
  }

  /// Sends a file, with a bar where it takes a while.
  static func upload(
    _ path: String, for purpose: String, with client: APIClient
  ) async throws -> FileObject {
    let shown = UploadProgress()
    let uploaded = try await client.upload(URL(filePath: path), purpose: purpose) { sent, size in
      shown.show(sent: sent, size: size)
    }
    shown.finish()
    return uploaded
  }

  /// A note; nil for anything but KEY=VALUE. By code points: a value may begin with a mark that
  /// combines with the sign.
  private static func pair(_ entry: String) -> (key: String, value: String)? {
    let scalars = entry.unicodeScalars
    guard let sign = scalars.firstIndex(of: "="), sign > scalars.startIndex else { return nil }
    return (String(scalars[..<sign]), String(scalars[scalars.index(after: sign)...]))
  }

  private func checked(_ endpoint: String, _ client: APIClient) async throws -> BatchFile.Check {
    let models = try await client.get("/v1/models", as: ListObject<ModelObject>.self)
    return try await BatchFile(path: file).check(
      endpoint: endpoint, models: models.data.map(\.id))
  }

  /// `--check`: every line that is not a valid request.
  private func report(_ endpoint: String, _ client: APIClient) async throws {
    let check = try await checked(endpoint, client)
    for sentence in check.sentences { Terminal.output.line(sentence) }
    let all = Spelled.count(check.requests)
    guard check.errors.isEmpty else {
      throw CommandError(
        "\(Spelled.count(check.errors.count)) of \(all) lines are not valid requests; nothing was "
          + "submitted")
    }
    Terminal.output.line("All \(all) requests are valid; nothing was submitted.")
  }

  /// Bad lines that are shown before the others are submitted.
  private static let shownLines = 20

  private func tellBadLines(_ endpoint: String, _ client: APIClient) async throws {
    let check = try await checked(endpoint, client)
    for sentence in check.sentences.prefix(Self.shownLines) { Terminal.error.line(sentence) }
    if check.errors.count > Self.shownLines {
      Terminal.error.line("(and \(Spelled.count(check.errors.count - Self.shownLines)) more lines)")
    }
    guard check.good > 0 else {
      throw CommandError("no line is a valid request; nothing was submitted")
    }
    guard !check.errors.isEmpty else { return }
    Terminal.error.line(
      Terminal.error.styled(
        "\(Spelled.count(check.errors.count)) of \(Spelled.count(check.requests)) lines are "
          + "skipped.",
        .yellow))
  }
}
