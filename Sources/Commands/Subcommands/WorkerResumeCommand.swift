import ArgumentParser
import WorkerDaemon

/// Goes on computing.
struct WorkerResumeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Go on computing as the preferences say.")

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Flag(help: "Whatever hours, battery, people at the machine and other programs say.")
  var always = false

  func run() async throws {
    let status = try await ControlSocket(dataFolder: folder.path).resume(always: always)
    Terminal.output.line(status.summary)
  }
}
