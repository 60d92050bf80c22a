import Foundation
import WireProtocol

/// A request's place in a unit.
package struct UnitMember: Hashable, Sendable, Codable {
  package let request: Int64
  package let batch: Int64
  package let queue: Int64
  /// Its first sequence in the unit, and how many it has.
  package let firstSequence: Int
  package let sequences: Int
  /// Whether the unit's result, or its failure, is the request's answer.
  package var isAnswered = false

  package init(request: Int64, batch: Int64, queue: Int64, firstSequence: Int, sequences: Int) {
    self.request = request
    self.batch = batch
    self.queue = queue
    self.firstSequence = firstSequence
    self.sequences = sequences
  }

  /// Its sequences in a unit of so many; nil where they are not all in it.
  package func range(in count: Int) -> Range<Int>? {
    guard firstSequence >= 0, sequences >= 0, firstSequence <= count - sequences else { return nil }
    return firstSequence..<firstSequence + sequences
  }
}

/// What a lease is and brought, beside the life of its replica.
package struct LeaseRow: Hashable, Sendable {
  /// `lease_` and 24 letters or digits.
  package let lease: String
  /// What the worker said when it gave the lease back.
  package var detail: String?
  package var issuedAt: Timestamp
  package var deadline: Timestamp
  package var idleDeadline: Timestamp
  package var lateAt: Timestamp
  package var lastDeadline: Timestamp
  /// Operations done, as the last heartbeat said.
  package var flopsDone = 0.0
  /// When that last grew.
  package var progressAt: Timestamp?
  /// Of its result, once there is one.
  package var summaries: [SequenceSummary] = []
  package var signature: Data?
  package var seconds: Double?
  /// Seconds that count for its worker's speed.
  package var measuredSeconds: Double?
  package var submittedAt: Timestamp?
  package var energy: Energy?
  package var credit = Credit(micro: 0)
  /// When that was granted, by the clock of then: the day that it counts for.
  package var grantedAt: Timestamp?

  package init(lease: String, terms: LeaseTerms, now: Timestamp) {
    self.lease = lease
    issuedAt = now
    deadline = terms.deadline
    idleDeadline = terms.idleDeadline
    lateAt = terms.late
    lastDeadline = terms.lastDeadline
  }

  package init(
    lease: String, issuedAt: Timestamp, deadline: Timestamp, idleDeadline: Timestamp,
    lateAt: Timestamp, lastDeadline: Timestamp
  ) {
    self.lease = lease
    self.issuedAt = issuedAt
    self.deadline = deadline
    self.idleDeadline = idleDeadline
    self.lateAt = lateAt
    self.lastDeadline = lastDeadline
  }
}

/// Where the audit of a unit is, for those that the lot fell on.
package enum AuditState: String, Hashable, Sendable {
  case due
  case passed
  case failed
}

/// What a unit is in a fine-tuning job.
package struct TuningShard: Hashable, Sendable {
  package let job: Int64
  package let round: Int
  package let shard: Int
  /// Whether its change went into the next round.
  package var isJoined = false

  package init(job: Int64, round: Int, shard: Int) {
    self.job = job
    self.round = round
    self.shard = shard
  }
}

/// A work unit with its replicas.
package struct UnitRow: FleetRow {
  /// Grows with each unit.
  package let number: Int64
  package let digest: Digest
  package let specification: UnitSpecification
  package let queue: Int64
  package let memoryBytes: Int
  /// Prompt tokens of each sequence; of units that learn, all tokens.
  package let promptTokens: [Int]
  package let estimatedFlops: Double
  package let createdAt: Timestamp
  /// The requests that it answers, also those that ended otherwise meanwhile.
  package var members: [UnitMember] = []
  package var tuning: TuningShard?
  package var unit: WorkUnit
  /// One for each of `unit.replicas`, in the same order.
  package var leases: [LeaseRow] = []
  /// Since when it lacks the replicas that it lacks now; nil when it lacks none, or never had any.
  package var wantedSince: Timestamp?
  /// Operations of the verified result.
  package var flops: Double?
  /// The attempt of the trusted machine that is under way.
  package var replay: String?
  package var replayDeadline: Timestamp?
  package var audit: AuditState?
  package var auditedAt: Timestamp?
  /// The wrong result that somebody was given before an audit found it.
  package var delivered: Digest?
  package var endedAt: Timestamp?

  package init(
    number: Int64, digest: Digest, specification: UnitSpecification, queue: Int64,
    memoryBytes: Int, promptTokens: [Int], estimatedFlops: Double, createdAt: Timestamp,
    tuning: TuningShard? = nil, unit: WorkUnit
  ) {
    self.number = number
    self.digest = digest
    self.specification = specification
    self.queue = queue
    self.memoryBytes = memoryBytes
    self.promptTokens = promptTokens
    self.estimatedFlops = estimatedFlops
    self.createdAt = createdAt
    self.tuning = tuning
    self.unit = unit
  }

  package var kind: UnitKind { specification.kind }

  /// The place of a replica in `unit.replicas` and `leases`.
  package func index(ofReplica id: Int64) -> Int? {
    unit.replicas.firstIndex { $0.id == id }
  }

  /// The place of a lease in `unit.replicas` and `leases`.
  package func index(ofLease id: String) -> Int? { leases.firstIndex { $0.lease == id } }

  /// The account that alone takes part; empty for none or several.
  package var soleAccount: String {
    let accounts = unit.accounts
    return accounts.count == 1 ? accounts.first ?? "" : ""
  }

  package var key: Int64 { number }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.units }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    index.work.reindex(unit: old, to: new)
  }
}

extension WorkUnit.State {
  /// The names of the state and of why it is in it, as tables and pages have them.
  package var names: (state: String, reason: String?) {
    switch self {
    case .open: ("open", nil)
    case .awaitingReplay(let reason): ("awaiting_replay", reason.rawValue)
    case .accepted: ("accepted", nil)
    case .failed(let reason): ("failed", reason)
    case .cancelled: ("cancelled", nil)
    }
  }

  package var acceptance: Acceptance? {
    if case .accepted(let acceptance) = self { return acceptance }
    return nil
  }

  package var hasEnded: Bool {
    switch self {
    case .open, .awaitingReplay: false
    case .accepted, .failed, .cancelled: true
    }
  }
}

extension Replica.State {
  /// The names of the state and of why it is in it, as tables and pages have them.
  package var names: (state: String, reason: String?) {
    switch self {
    case .running: ("running", nil)
    case .expired: ("expired", nil)
    case .abandoned(let reason): ("abandoned", reason.rawValue)
    case .submitted: ("submitted", nil)
    case .accepted: ("accepted", nil)
    case .rejected: ("rejected", nil)
    case .takenBack: ("taken_back", nil)
    case .notNeeded: ("not_needed", nil)
    case .revoked: ("revoked", nil)
    }
  }
}
