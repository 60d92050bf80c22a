import APIObjects
import ArgumentParser
import Foundation

/// Fetches the answers of a batch.
struct ResultsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "results", abstract: "Fetch the answers of a batch.",
    discussion: """
      Writes the output file in the format of OpenAI's Batch API to standard output, or to \
      --output. Each answer says in "tally" which unit it came from and how it was verified. Lines \
      are in no particular order: match them by custom_id.

      EXAMPLES:
        tally results batch_0a1b... --output answers.jsonl
        tally results batch_0a1b... | jq -r '.response.body.choices[0].message.content'
        tally results batch_0a1b... --errors
      """)

  @Argument(help: "The batch.")
  var batch: String

  @Option(
    name: .shortAndLong, help: "Where to write; standard output when left out.", completion: .file()
  )
  var output: String?

  @Flag(help: "The lines that failed, with the reason, instead of the answers.")
  var errors = false

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    try await APIClient.with(connection) { client in
      let batch = try await client.get("/v1/batches/\(batch)", as: BatchObject.self)
      guard batch.hasEnded else {
        throw CommandError(
          "the batch is \(batch.status) with \(batch.done) of \(batch.requestCounts.total) "
            + "requests done; results are there once it ends (tally status \(batch.id) --wait)")
      }
      guard let file = errors ? batch.errorFileID : batch.outputFileID else {
        if errors {
          Terminal.error.line("No line failed.")
          return
        }
        for failure in batch.failures { Terminal.error.line(failure) }
        throw CommandError("the batch \(batch.status) without answers")
      }
      try await BatchReport(client: client).write(file: file, to: output ?? "-")
    }
  }
}
