import APIObjects
import ArgumentParser

/// Stops a batch or fine-tuning job.
struct CancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel",
    abstract: "Stop a batch, whose finished lines are delivered, or a fine-tuning job.")

  @Argument(help: "The batch or fine-tuning job.")
  var batch: String

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    try await APIClient.with(connection) { client in
      if batch.hasPrefix(FineTuningObject.prefix) {
        let job = try await client.post(
          "/v1/fine_tuning/jobs/\(batch)/cancel", as: FineTuningObject.self)
        return Terminal.output.line("\(job.id) is \(job.status)")
      }
      let batch = try await client.post("/v1/batches/\(batch)/cancel", as: BatchObject.self)
      Terminal.output.line("\(batch.id) is \(batch.status)")
    }
  }
}
