import ArgumentParser
import WorkerDaemon

/// Shows what the worker on this machine does.
struct WorkerStatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show what the worker on this machine does, and why.",
    discussion: """
      Asks the running worker through a socket in its folder; needs no key and no network. `curl \
      --unix-socket FOLDER/control http://worker/status` gives the same JSON.

      EXAMPLES:
        tally worker status
        tally worker status --watch
        tally worker status --json
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Show it anew every second until Ctrl-C.")
  var watch = false

  func run() async throws {
    let socket = ControlSocket(dataFolder: folder.path)
    guard watch else { return try show(await socket.status()) }
    while true {
      let status = try await socket.status()
      if !json && Terminal.output.isInteractive { Terminal.output.write("\u{1b}[H\u{1b}[2J") }
      try show(status)
      try await Task.sleep(for: .seconds(1))
    }
  }

  private func show(_ status: StatusDocument) throws {
    if json { return try printJSON(status) }
    Terminal.output.line(WorkerStatusText.lines(status).joined(separator: "\n"))
  }
}
