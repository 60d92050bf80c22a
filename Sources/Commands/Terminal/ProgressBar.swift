import Foundation

/// One line that is redrawn on a terminal; elsewhere a plain line whenever another tenth is done.
struct ProgressBar {
  private let terminal: Terminal
  private let start: ContinuousClock.Instant
  private var lastTenth = -1
  private var isDrawn = false
  private var lastDrawn: ContinuousClock.Instant?
  /// Redrawing more often shows nothing more.
  private static let pause = Duration.milliseconds(50)

  init(terminal: Terminal = .error, start: ContinuousClock.Instant = .now) {
    self.terminal = terminal
    self.start = start
  }

  /// - Parameters:
  ///   - fraction: 0...1.
  ///   - secondsLeft: as the coordinator estimates it; nil extrapolates what has passed.
  mutating func show(
    fraction: Double, detail: String, secondsLeft: Double? = nil,
    now: ContinuousClock.Instant = .now
  ) {
    let fraction = fraction.isFinite ? min(max(fraction, 0), 1) : 0
    if terminal.isInteractive, fraction < 1, let lastDrawn, now - lastDrawn < Self.pause { return }
    let passed = Double((now - start).components.seconds)
    let left =
      secondsLeft ?? (fraction > 0.02 && fraction < 1 ? passed / fraction * (1 - fraction) : nil)
    var text = String(format: "%3.0f%%  %@", (fraction * 100).rounded(.down), detail)
    if fraction < 1, let left { text += "  " + Self.duration(left) + " left" }
    if terminal.isInteractive {
      let width = 24
      let filled = Int((fraction * Double(width)).rounded(.down))
      let bar =
        terminal.styled(String(repeating: "█", count: filled), .green)
        + terminal.styled(String(repeating: "░", count: width - filled), .dim)
      terminal.redraw(text, after: bar + " ", width: width + 1)
      isDrawn = true
      lastDrawn = now
    } else if Int(fraction * 10) > lastTenth {
      lastTenth = Int(fraction * 10)
      terminal.line(text)
    }
  }

  /// Leaves the line as it is.
  mutating func finish() {
    if isDrawn { terminal.line() }
    isDrawn = false
  }

  /// Writes each sentence that was not told before, above the line.
  mutating func tell(_ sentences: [String], told: inout Set<String>) {
    for sentence in sentences where told.insert(sentence).inserted {
      clear()
      terminal.line(terminal.styled(sentence, .yellow))
    }
  }

  /// Takes the line away, so that a message can be written.
  mutating func clear() {
    if isDrawn { terminal.write("\r\u{1b}[K") }
    isDrawn = false
  }

  /// `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "unknown time" }
    let whole = Int(seconds.rounded(.up))
    switch whole {
    case ..<60: return "\(whole) s"
    case ..<3600: return "\(whole / 60) min \(whole % 60) s"
    case ..<86400: return "\(whole / 3600) h \(whole % 3600 / 60) min"
    default: return "\(whole / 86400) d \(whole % 86400 / 3600) h"
    }
  }
}
