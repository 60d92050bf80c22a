import Foundation
import WireProtocol

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
  /// Whether a person, and no program or file, gets what is written.
  let isTerminal: Bool
  let isInteractive: Bool
  let hasColours: Bool

  static let output = Terminal(.standardOutput)
  static let error = Terminal(.standardError)

  /// https://no-color.org: any value of NO_COLOR turns colours off.
  init(_ stream: Stream, environment: [String: String] = ProcessInfo.processInfo.environment) {
    self.stream = stream
    self.isTerminal = isatty(stream.descriptor) == 1
    self.isInteractive = isTerminal && environment["TERM"] != "dumb"
    self.hasColours = isInteractive && environment["NO_COLOR", default: ""].isEmpty
  }

  /// The text in a style, where the terminal has any; see `line(_:)`.
  func styled(_ text: String, _ styles: Style...) -> String {
    guard hasColours, !styles.isEmpty else { return text }
    let text = ForeignText.plain(text, keepsLines: true)
    return "\(Self.escape)\(styles.map(\.rawValue).joined(separator: ";"))m\(text)\(Self.escape)0m"
  }

  /// Writes without buffering; a closed pipe is no reason to fail.
  func write(_ text: String) { try? stream.handle.write(contentsOf: Data(text.utf8)) }

  /// A line, or lines, of which others may have written parts: nothing in them moves the cursor,
  /// changes the terminal, or turns the direction of what follows. Styles stay.
  func line(_ text: String = "") { write(plain(text) + "\n") }

  /// Draws the present line anew, cut to the terminal's width. Nothing in the text, of which others
  /// may have written parts, moves the cursor or changes the terminal.
  ///
  /// - Parameters:
  ///   - drawing: what stands before the text, with its styles.
  ///   - width: columns that the drawing takes.
  func redraw(_ text: String, after drawing: String = "", width: Int = 0) {
    let room = max(20, columns - 1 - width)
    write("\r\u{1b}[K\(drawing)\(ForeignText.plain(text).prefix(room))")
  }

  /// What a model or a template wrote, whole or in pieces of whole scalars: as it is for a program
  /// or a file; a terminal shows it and obeys nothing of it.
  ///
  /// - Throws: where it cannot be written.
  func foreign(_ text: String) throws {
    let shown = isTerminal ? ForeignText.plain(text, keepsLines: true) : text
    try stream.handle.write(contentsOf: Data(shown.utf8))
  }

  /// A JSON document, which may hold what others wrote.
  func json(_ document: Data) {
    write(ForeignText.json(String(decoding: document, as: UTF8.self)) + "\n")
  }

  private static let escape = "\u{1b}["

  private func plain(_ text: String) -> String {
    guard hasColours else { return ForeignText.plain(text, keepsLines: true) }
    return text.split(separator: Self.escape, omittingEmptySubsequences: false).enumerated().map {
      index, part in
      let shown = ForeignText.plain(part, keepsLines: true)
      guard index > 0, let end = shown.firstIndex(of: "m"),
        shown[..<end].split(separator: ";").allSatisfy({
          $0 == "0" || Style(rawValue: String($0)) != nil
        })
      else { return shown }
      return Self.escape + shown
    }.joined()
  }

  /// Asks a person; where there is nobody, `false`.
  func confirms(_ question: String) -> Bool {
    guard isInteractive else { return false }
    write(plain(question) + " [y/N] ")
    return ["y", "yes"].contains((readLine() ?? "").lowercased())
  }

  /// Columns of the terminal; 80 where it does not say.
  var columns: Int {
    var size = winsize()
    guard ioctl(stream.descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }
}
