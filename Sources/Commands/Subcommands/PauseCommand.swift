import APIObjects
import ArgumentParser

/// A fine-tuning job that something is asked of.
struct JobOptions: ParsableArguments {
  @Argument(help: "The fine-tuning job.")
  var job: String

  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  /// - Parameter wish: the route's last part.
  func ask(_ wish: String) async throws -> FineTuningObject {
    try await APIClient.with(connection) { client in
      try await client.post("/v1/fine_tuning/jobs/\(job)/\(wish)", as: FineTuningObject.self)
    }
  }
}

/// Holds a fine-tuning job.
struct PauseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause",
    abstract: "Hold a fine-tuning job: what runs may finish, nothing new is handed out.")

  @OptionGroup var options: JobOptions

  func run() async throws {
    let job = try await options.ask("pause")
    Terminal.output.line("\(job.id) is paused; go on with: tally resume \(job.id)")
  }
}

/// Lets a fine-tuning job go on.
struct ResumeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Let a fine-tuning job that was paused go on.")

  @OptionGroup var options: JobOptions

  func run() async throws {
    let job = try await options.ask("resume")
    Terminal.output.line("\(job.id) is \(job.status)")
  }
}
