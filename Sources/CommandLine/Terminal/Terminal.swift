import Foundation

/// What a stream can show: colours and a redrawn line only where a person looks at a terminal.
struct Terminal: Sendable {
  enum Stream: Sendable {
    case standardOutput
    case standardError

    var descriptor: Int32 {
      switch self {
      case .standardOutput: STDOUT_FILENO
      case .standardError: STDERR_FILENO
      }
    }

    var handle: FileHandle {
      switch self {
      case .standardOutput: .standardOutput
      case .standardError: .standardError
      }
    }
  }

  enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
  }

  let stream: Stream
  let isInteractive: Bool
  let hasColours: Bool

  static let output = Terminal(.standardOutput)
  static let error = Terminal(.standardError)

  /// https://no-color.org: any value of NO_COLOR turns colours off.
  init(_ stream: Stream, environment: [String: String] = ProcessInfo.processInfo.environment) {
    self.stream = stream
    self.isInteractive = isatty(stream.descriptor) == 1 && environment["TERM"] != "dumb"
    self.hasColours = isInteractive && environment["NO_COLOR", default: ""].isEmpty
  }

  func styled(_ text: String, _ styles: Style...) -> String {
    guard hasColours, !styles.isEmpty else { return text }
    return "\u{1b}[\(styles.map(\.rawValue).joined(separator: ";"))m\(text)\u{1b}[0m"
  }

  /// Writes without buffering; a closed pipe is no reason to fail.
  func write(_ text: String) { try? stream.handle.write(contentsOf: Data(text.utf8)) }

  func line(_ text: String = "") { write(text + "\n") }

  /// Asks a person; where there is nobody, `false`.
  func confirms(_ question: String) -> Bool {
    guard isInteractive else { return false }
    write("\(question) [y/N] ")
    return ["y", "yes"].contains((readLine() ?? "").lowercased())
  }

  /// Columns of the terminal; 80 where it does not say.
  var columns: Int {
    var size = winsize()
    guard ioctl(stream.descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }
}
