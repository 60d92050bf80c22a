import ArgumentParser
import WorkerDaemon

/// Stops computing for a while.
struct WorkerPauseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Stop computing, for a while or until resumed.",
    discussion: """
      The running unit stays where it is and goes on afterwards. A pause outlasts restarts of \
      worker and machine.

      EXAMPLES:
        tally worker pause
        tally worker pause --for 2h
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Option(name: .customLong("for"), help: "How long: 90s, 30m, 2h or 1d.")
  var span: Span?

  func run() async throws {
    let status = try await ControlSocket(dataFolder: folder.path).pause(seconds: span?.seconds)
    Terminal.output.line(status.summary)
  }
}

/// A length of time as people write it.
struct Span: ExpressibleByArgument {
  let seconds: Int

  init?(argument: String) {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
    guard let last = argument.last, let unit = units[last], let count = Int(argument.dropLast()),
      count > 0, count <= 365 * 86400 / unit
    else { return nil }
    seconds = count * unit
  }
}
