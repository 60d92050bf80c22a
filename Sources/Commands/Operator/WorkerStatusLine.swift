import Synchronization
import WorkerDaemon

/// On a terminal: one line that says what the worker does. Elsewhere its log says it.
final class WorkerStatusLine: Sendable {
  private let last = Mutex("")

  func show(_ report: WorkerReport) {
    guard Terminal.error.isInteractive else { return }
    var text = report.summary
    if let unit = report.unit { text += " (\(Int((unit.share * 100).rounded(.down))) %)" }
    if report.unitsDone > 0 {
      text += "; \(report.unitsDone) results, \(Spelled.count(report.tokensDone)) tokens so far"
    }
    if report.waitingResults > 0 { text += "; \(report.waitingResults) to be sent" }
    last.withLock { last in
      guard text != last else { return }
      last = text
      Terminal.error.redraw(text)
    }
  }

  func finish() {
    last.withLock { if !$0.isEmpty { Terminal.error.line() } }
  }
}
