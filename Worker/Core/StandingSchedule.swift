import WireProtocol

/// When to ask the coordinator how the worker and its account stand: at the start and after
/// results, at most every ten minutes. Credit that a later replica brings is seen then too.
package struct StandingSchedule: Hashable, Sendable {
  /// The least time between two questions.
  package static let interval = Duration.seconds(600)
  private var askedAt: Moment?

  package init() {}

  /// Whether to ask now that `event` happened; the caller then does.
  package mutating func isDue(after event: WorkerEvent, at now: Moment) -> Bool {
    switch event {
    case .started(.some, _, _), .enrolled: break
    case .uploadAnswered(_, let receipt):
      switch receipt.state {
      case .accepted, .awaitingReplica, .awaitingReplay: break
      case .rejected, .notNeeded: return false
      }
    default: return false
    }
    if let askedAt, askedAt + Self.interval > now { return false }
    askedAt = now
    return true
  }
}
