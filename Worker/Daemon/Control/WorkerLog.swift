import Foundation
import Glibc
import Logging
import Synchronization
import WireProtocol

/// What a worker has told of itself: the last messages in memory, more of them in `log/worker.log`
/// of its folder, which is renamed to `worker.log.1` (in place of the one before) when it is full.
final class WorkerLog: Sendable {
  private struct State {
    var lines: [LogDocument.Line] = []
    var next = 1
    var fileBytes: Int
  }

  /// Messages in memory; bytes of a message, and of a file.
  static let lineLimit = 1000
  static let messageLimit = 2000
  static let fileLimitBytes = 1 << 20

  private let path: String
  private let clock: WorkerClock
  private let state: Mutex<State>

  init(in folder: WorkerFolder, clock: WorkerClock) {
    path = folder.log
    self.clock = clock
    state = Mutex(State(fileBytes: DurableFile.size(folder.log) ?? 0))
  }

  /// A logger that tells this log, too, what it is told.
  func joined(to logger: Logger) -> Logger {
    var logger = logger
    logger.handler = MultiplexLogHandler([logger.handler, WorkerLogHandler(log: self)])
    return logger
  }

  /// Takes a message. A disk that refuses loses it from the file, and nothing else.
  func add(_ message: String) {
    let time = Date(timeIntervalSince1970: Double(clock.unixSeconds())).formatted(.iso8601)
    // One line each, whatever others have put into it.
    let beginning = String(message.unicodeScalars.prefix(Self.messageLimit))
    let text = "\(time) \(ForeignText.plain(beginning))"
    state.withLock { state in
      state.lines.append(LogDocument.Line(number: state.next, text: text))
      state.next += 1
      if state.lines.count > Self.lineLimit { state.lines.removeFirst() }
      append(text + "\n", &state)
    }
  }

  private func append(_ text: String, _ state: inout State) {
    if state.fileBytes + text.utf8.count > Self.fileLimitBytes {
      rename(path, path + ".1")
      state.fileBytes = 0
    }
    try? DurableFile.makeFolder((path as NSString).deletingLastPathComponent)
    let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else { return }
    defer { close(file) }
    state.fileBytes += max(
      0, Array(text.utf8).withUnsafeBytes { write(file, $0.baseAddress, $0.count) })
  }

  /// The last `limit` messages of those after number `after`.
  func document(after: Int, limit: Int) -> LogDocument {
    state.withLock { state in
      let later = state.lines.drop { $0.number <= after }
      return LogDocument(lines: Array(later.suffix(max(0, limit))))
    }
  }

  /// The last `limit` lines that a worker's files hold, for when none runs.
  static func stored(in folder: WorkerFolder, limit: Int) throws -> [String] {
    let text = try [folder.log + ".1", folder.log].reduce("") { text, path in
      let data = try DurableFile.read(path, limitBytes: 2 * fileLimitBytes) ?? Data()
      return text + String(decoding: data, as: UTF8.self)
    }
    return text.split(separator: "\n").suffix(max(0, limit)).map(String.init)
  }
}

/// The answer to `GET /logs`.
package struct LogDocument: Codable, Hashable, Sendable {
  /// One message; numbers count up from the worker's start.
  package struct Line: Codable, Hashable, Sendable {
    package var number: Int
    package var text: String
  }
  package var lines: [Line]
}

extension WorkerDaemon {
  /// The last `limit` lines of the log in a worker's folder, whether one runs there or not.
  ///
  /// - Throws: `FileError` for a folder that is none of a worker, or cannot be read.
  package static func storedLog(in path: String, limit: Int) throws -> [String] {
    guard FileManager.default.fileExists(atPath: path + "/log") else {
      throw FileError(doing: "opening", path: path, reason: "no worker has run there")
    }
    return try WorkerLog.stored(in: WorkerFolder(path), limit: limit)
  }
}

/// Writes messages from `info` on into a `WorkerLog`.
private struct WorkerLogHandler: LogHandler {
  let log: WorkerLog
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?

  init(log: WorkerLog) { self.log = log }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    let pairs = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    log.add("\(event.level) \(event.message)\(pairs)")
  }
}
