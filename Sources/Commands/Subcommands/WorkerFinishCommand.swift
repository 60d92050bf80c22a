import ArgumentParser
import WorkerDaemon

/// Ends the worker without loss.
struct WorkerFinishCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "finish", abstract: "Let the worker complete what it holds, then end.",
    discussion: "It takes no further units. `tally worker status` shows how far it is.")

  @OptionGroup var folder: WorkerCommand.FolderOptions

  func run() async throws {
    _ = try await ControlSocket(dataFolder: folder.path).finish()
    Terminal.output.line("the worker takes no more units and ends when it is done")
  }
}
