import ArgumentParser
import Foundation

/// Uploads prompts and creates a batch.
struct SubmitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Submit a file of prompts as a batch.",
    discussion: """
      FILE is JSONL in the format of OpenAI's Batch API, one request a line:

        {"custom_id": "a1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "smollm2-135m-instruct", \
      "messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 32}}

      Every line is checked before anything runs; mistakes are reported by line number.

      Two pools do the work. In the public pool, volunteers' machines run your prompts: their owners can read them, and \
      every result is verified by a second, independent account. In the trusted pool, only machines that the operator \
      vouches for see your prompts, and each runs once.

      EXAMPLES:
        tally submit prompts.jsonl --wait --output answers.jsonl
        tally submit private.jsonl --pool trusted
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
    name: .customLong("metadata"), help: "A note kept with the batch, as KEY=VALUE; may be repeated.")
  var metadata: [String] = []

  @Flag(help: "Wait until it has ended, with a progress bar.")
  var wait = false

  @Option(
    name: .shortAndLong, help: "Wait, then write the answers here; lines that failed go to OUTPUT.errors.",
    completion: .file())
  var output: String?

  @Flag(help: "Print the batch object as JSON instead of its identifier.")
  var json = false

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func validate() throws {
    for entry in metadata where !entry.dropFirst().contains("=") {
      throw ValidationError("--metadata takes KEY=VALUE, not \"\(entry)\"")
    }
    guard FileManager.default.isReadableFile(atPath: file) else {
      throw ValidationError("cannot read \(file)")
    }
  }

  func run() async throws {
    let endpoint = try Self.endpoint(of: file)
    var notes = ["tally_pool": pool.rawValue]
    for entry in metadata {
      let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      notes[String(parts[0])] = String(parts[1])
    }
    let creation = { [window] (input: String) in
      BatchCreation(
        input_file_id: input, endpoint: endpoint, completion_window: window, metadata: notes)
    }
    try await APIClient.with(connection) { client in
      if pool == .public {
        Terminal.error.line(
          Terminal.error.styled(
            "Public pool: people whose machines run these prompts can read them. (--pool trusted keeps them to the "
              + "operator's own.)", .yellow))
      }
      let uploaded = try await Self.upload(file, for: "batch", with: client)
      let batch = try await client.post("/v1/batches", creation(uploaded.id), as: BatchObject.self)
      if json {
        Terminal.output.line(
          String(decoding: try await client.data("/v1/batches/\(batch.id)"), as: UTF8.self))
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

  /// The endpoint that the first line names: all lines of a batch share it.
  static func endpoint(of path: String) throws -> String {
    struct Line: Decodable { let url: String }
    let handle = try FileHandle(forReadingFrom: URL(filePath: path))
    defer { try? handle.close() }
    var start = Data()
    while start.count < 64 << 20, let piece = try handle.read(upToCount: 1 << 16), !piece.isEmpty {
      start.append(piece)
      if piece.contains(UInt8(ascii: "\n")) { break }
    }
    let first = start.split(separator: UInt8(ascii: "\n"), maxSplits: 1).first ?? Data()
    do {
      return try JSONDecoder().decode(Line.self, from: Data(first)).url
    } catch {
      throw CommandError(
        "\(path): line 1 is not a batch request with a \"url\" (`tally submit --help` shows one)")
    }
  }
}
