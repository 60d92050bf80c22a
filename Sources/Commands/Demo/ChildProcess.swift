import Foundation

/// Another process of this program, which ends when this one does.
///
/// It watches its standard input, a pipe whose other end is here: however this process ends, the
/// kernel closes it.
struct ChildProcess: Sendable {
  let name: String
  let logPath: String
  private let process: Process
  private let lifeline: FileHandle

  /// Starts `tally` with `arguments`; what it says goes to a file.
  init(_ name: String, arguments: [String], logPath: String) throws {
    self.name = name
    self.logPath = logPath
    guard FileManager.default.createFile(atPath: logPath, contents: nil),
      let log = FileHandle(forWritingAtPath: logPath)
    else { throw CommandError("cannot write \(logPath)") }
    let pipe = Pipe()
    process = Process()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments + ["--until-stdin-closes"]
    process.standardInput = pipe
    process.standardOutput = log
    process.standardError = log
    try process.run()
    try? log.close()
    try? pipe.fileHandleForReading.close()
    lifeline = pipe.fileHandleForWriting
  }

  var isRunning: Bool { process.isRunning }

  /// The end of what it said, for a message when it failed.
  var lastWords: String {
    let text = (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").suffix(12).joined(separator: "\n")
  }

  /// Asks it to end.
  func terminate() {
    if process.isRunning { process.terminate() }
    try? lifeline.close()
  }

  /// Waits until it has ended; kills it when it takes too long.
  func waitUntilExit(atMost limit: Duration) async {
    let deadline = ContinuousClock.now + limit
    while process.isRunning {
      if ContinuousClock.now > deadline { kill(process.processIdentifier, SIGKILL) }
      // The wait for a process must end although this task was cancelled: that is what it is for.
      await Task { try? await Task.sleep(for: .milliseconds(20)) }.value
    }
  }
}
