import CoordinatorCore
import CoordinatorStore

/// Says in words how a work unit stands and what it waits for.
enum UnitText {
  /// The state in a word or two.
  static func state(_ unit: UnitOverview) -> String {
    switch unit.state {
    case .open: unit.replicas.contains { $0.state == .running } ? "running" : "waiting"
    case .awaitingReplay: "waiting for a replay"
    case .accepted: "accepted"
    case .failed: "failed"
    case .cancelled: "cancelled"
    }
  }

  /// The class that colours a state.
  static func tone(_ unit: UnitOverview) -> String {
    switch unit.state {
    case .open: ""
    case .awaitingReplay: "warn"
    case .accepted: "good"
    case .failed, .cancelled: "bad"
    }
  }

  /// What has to happen next, or how it ended.
  static func why(_ unit: UnitOverview) -> String {
    switch unit.state {
    case .open: open(unit)
    case .awaitingReplay:
      switch unit.reason.flatMap(WorkUnit.ReplayReason.init(rawValue:)) {
      case .disagreement:
        "Results differ: the coordinator's own machine computes it to see who is right."
      case .calledInvalid:
        "Workers called it invalid: the coordinator's own machine tries it to see who is right."
      case .lostReplicas, nil:
        "Workers lost it too often: the coordinator's own machine computes it."
      }
    case .accepted: accepted(unit)
    case .failed: unit.reason ?? "It could not be computed."
    case .cancelled: "No job needs it any more."
    }
  }

  private static func open(_ unit: UnitOverview) -> String {
    let running = unit.replicas.count { $0.state == .running }
    let results = unit.replicas.count { $0.state == .submitted }
    switch (results, running, unit.missing) {
    case (0, 0, 1): return "Waits for a worker."
    case (0, 0, let missing): return "Waits for workers of \(missing) accounts."
    case (0, _, 0): return running == 1 ? "A worker computes it." : "\(running) workers compute it."
    case (0, _, _): return "A worker computes it; one of a second account is wanted as well."
    case (_, 0, 0): return "Its results are being compared."
    case (_, 0, _):
      return "One result is here; it waits for a worker of a second account to confirm it."
    default: return "One result is here; a second account computes it to confirm it."
    }
  }

  private static func accepted(_ unit: UnitOverview) -> String {
    switch unit.verification {
    case .quorum: "Results of two accounts are equal."
    case .replay: "The coordinator's own machine settled it."
    case .trustedPool: "Computed by the trusted pool."
    case nil: "Accepted."
    }
  }

  /// A replica in a word or two.
  static func replica(_ state: UnitOverview.Replica.State) -> String {
    switch state {
    case .running: "running"
    case .submitted: "has a result"
    case .accepted: "accepted"
    case .rejected: "wrong result"
    case .expired: "lost: the worker fell silent"
    case .abandoned: "given back"
    case .revoked: "taken from the worker"
    case .takenBack: "not counted: its worker gave a wrong result elsewhere"
    case .notNeeded: "not needed any more"
    }
  }
}
