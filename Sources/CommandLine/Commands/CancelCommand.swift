import ArgumentParser

/// Stops a batch.
struct CancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Stop a batch; finished lines are delivered.")

  @Argument(help: "The batch.")
  var batch: String

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    try await APIClient.with(connection) { client in
      let batch = try await client.post("/v1/batches/\(batch)/cancel", as: BatchObject.self)
      Terminal.output.line("\(batch.id) is \(batch.status)")
    }
  }
}
