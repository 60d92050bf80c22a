import ArgumentParser
import WorkerDaemon

/// Shows what the worker on this machine has told.
struct WorkerLogsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logs", abstract: "Show what the worker on this machine has told of itself.",
    discussion: """
      The messages of the worker that runs, or the last of those in its folder (log/worker.log, at \
      most 2 MB) when none does. Times are UTC.

      EXAMPLES:
        tally worker logs
        tally worker logs --lines 500
        sudo tally worker logs --follow
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Option(name: .shortAndLong, help: "At most this many messages from before.")
  var lines = 50

  @Flag(name: .shortAndLong, help: "Show further messages as they come, until Ctrl-C.")
  var follow = false

  func validate() throws {
    guard (0...100_000).contains(lines) else {
      throw ValidationError("--lines takes 0 to 100000")
    }
  }

  func run() async throws {
    let socket = ControlSocket(dataFolder: folder.path)
    if !follow {
      for line in try WorkerDaemon.storedLog(in: folder.path, limit: lines) {
        Terminal.output.line(line)
      }
      return
    }
    var shown = 0
    var limit = lines
    while true {
      let log = try await socket.logs(after: shown, limit: limit)
      for line in log.lines { Terminal.output.line(line.text) }
      shown = log.lines.last?.number ?? shown
      limit = .max
      try await Task.sleep(for: .seconds(1))
    }
  }
}
