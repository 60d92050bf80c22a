import ArgumentParser
import WorkerDaemon

/// Follows a coordinator to another address.
struct WorkerMoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "move", abstract: "Follow the coordinator to another address.",
    discussion: """
      The key, the worker's id and results that are not delivered yet stay. The address is taken \
      up once the same authority's certificate answered there and the coordinator knew this \
      worker. An invitation to the new address does the same (`tally worker join`, `tally worker \
      run --invitation`), and workers follow an address that the coordinator announced by \
      themselves.

      EXAMPLES:
        tally worker move https://tally.example.org
      """)

  @Argument(help: "The coordinator's new address, https://HOST:PORT.")
  var url: String

  @OptionGroup var folder: WorkerCommand.FolderOptions

  func run() async throws {
    do {
      _ = try await ControlSocket(dataFolder: folder.path).move(to: url)
    } catch ControlError.notRunning, ControlError.pathTooLong {
      _ = try await WorkerDaemon.move(WorkerConfiguration(dataFolder: folder.path), to: url)
    }
    Terminal.output.line("the worker's coordinator is at \(url) now")
  }
}
