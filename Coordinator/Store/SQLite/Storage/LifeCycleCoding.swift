import CoordinatorCore
import GRDB
import WireProtocol

// States of units and replicas, as columns have them.

extension WorkUnit.State {
  init(row: Row) throws {
    let state: String = try row.value("state")
    switch state {
    case "open": self = .open
    case "awaiting_replay": self = .awaitingReplay(try row.name("reason"))
    case "accepted":
      self = .accepted(
        Acceptance(
          result: try row.value("result"), verification: try row.name("verification"),
          replicas: try row.value("replicas")))
    case "failed": self = .failed(reason: try row.value("reason"))
    case "cancelled": self = .cancelled
    default: throw Row.damaged("unit.state")
    }
  }
}

extension Replica {
  init(row: Row) throws {
    self.init(
      id: try row.value("number"), worker: try row.value("worker"),
      account: try row.value("account"), state: try State(row: row),
      result: try row.optional("result"), isLate: try row.value("late"))
  }
}

extension Replica.State {
  init(row: Row) throws {
    let state: String = try row.value("state")
    switch state {
    case "running": self = .running(deadline: try row.value("deadline"))
    case "expired": self = .expired
    case "abandoned": self = .abandoned(try row.name("reason"))
    case "submitted": self = .submitted
    case "accepted": self = .accepted
    case "rejected": self = .rejected
    case "taken_back": self = .takenBack
    case "not_needed": self = .notNeeded
    case "revoked": self = .revoked
    default: throw Row.damaged("replica.state")
    }
  }
}
