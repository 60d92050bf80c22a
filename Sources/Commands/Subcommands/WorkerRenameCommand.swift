import ArgumentParser
import WorkerDaemon

/// Changes what statistics call this machine.
struct WorkerRenameCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rename", abstract: "Change what statistics call this machine.",
    discussion: """
      Asks the coordinator, which keeps 100 characters. The worker's id, its account and its \
      credit stay.

      EXAMPLES:
        tally worker rename attic
      """)

  @Argument(help: "The machine's new name.")
  var name: String

  @OptionGroup var folder: WorkerCommand.FolderOptions

  func validate() throws {
    guard !name.allSatisfy(\.isWhitespace) else { throw ValidationError("a name has letters") }
  }

  func run() async throws {
    try await Self.rename(folder.path, to: name)
    Terminal.output.line("this machine is called \(name) now")
  }

  /// Through the running worker, or else without one.
  static func rename(_ folder: String, to name: String) async throws {
    do {
      _ = try await ControlSocket(dataFolder: folder).rename(to: name)
    } catch ControlError.notRunning, ControlError.pathTooLong {
      try await WorkerDaemon.rename(WorkerConfiguration(dataFolder: folder), to: name)
    }
  }
}
