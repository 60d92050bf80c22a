import ArgumentParser

/// Stops a batch or fine-tuning job.
struct CancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Stop a batch, whose finished lines are delivered, or a fine-tuning job.")

  @Argument(help: "The batch or fine-tuning job.")
  var batch: String

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    try await APIClient.with(connection) { client in
      if batch.hasPrefix(FineTuningJobObject.prefix) {
        let job = try await client.post(
          "/v1/fine_tuning/jobs/\(batch)/cancel", as: FineTuningJobObject.self)
        return Terminal.output.line("\(job.id) is \(job.status)")
      }
      let batch = try await client.post("/v1/batches/\(batch)/cancel", as: BatchObject.self)
      Terminal.output.line("\(batch.id) is \(batch.status)")
    }
  }
}

/// Holds a fine-tuning job.
struct PauseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Hold a fine-tuning job: what runs may finish, nothing new is handed out.")

  @Argument(help: "The fine-tuning job.")
  var job: String

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    try await APIClient.with(connection) { client in
      let job = try await client.post("/v1/fine_tuning/jobs/\(job)/pause", as: FineTuningJobObject.self)
      Terminal.output.line("\(job.id) is paused; go on with: tally resume \(job.id)")
    }
  }
}

/// Lets a fine-tuning job go on.
struct ResumeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Let a fine-tuning job that was paused go on.")

  @Argument(help: "The fine-tuning job.")
  var job: String

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  func run() async throws {
    try await APIClient.with(connection) { client in
      let job = try await client.post("/v1/fine_tuning/jobs/\(job)/resume", as: FineTuningJobObject.self)
      Terminal.output.line("\(job.id) is \(job.status)")
    }
  }
}
