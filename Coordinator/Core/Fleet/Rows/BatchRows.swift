import Foundation
import WireProtocol

/// A batch with what is counted of it.
package struct BatchRow: FleetRow {
  /// Grows with each batch.
  package let number: Int64
  package var record: BatchRecord
  /// Equal for creations that a retry repeats.
  package let fingerprint: Digest
  /// Lines of the input file, for the key's quota.
  package var lines: Int
  /// Tokens that it may take: prompts and the most that may be generated.
  package var reservedTokens = 0
  /// Operations of its accepted units.
  package var flopsDone = 0.0
  /// The last line that was appended while it was validated.
  package var lastLine = 0
  /// Requests so far, and those of them that failed by themselves, while it is validated.
  package var appended = 0
  package var appendedFailures = 0

  package init(number: Int64, record: BatchRecord, fingerprint: Digest, lines: Int) {
    self.number = number
    self.record = record
    self.fingerprint = fingerprint
    self.lines = lines
  }

  package var key: Int64 { number }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.batches }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    index.work.reindex(batch: old, to: new)
  }
}

/// Whose units a queue has.
package enum WorkOwner: Hashable, Sendable {
  /// By the number of its row.
  case batch(Int64)
  case tuningJob(Int64)
}

/// The requests of one batch that run on one model, or the units of one kind of a fine-tuning job.
package struct QueueRow: FleetRow {
  package let number: Int64
  package let owner: WorkOwner
  package let kind: UnitKind
  package let keyID: String
  package let pool: WorkPool
  /// The manifest's digest.
  package let model: Digest
  package let cache: CacheType
  package let adapter: Digest?
  package var priority: Int
  package var virtualTime = 0.0
  /// Whether its units are handed out.
  package var isReleased = false
  /// Requests not cut into units yet, and what they have together.
  package var waiting = 0
  package var waitingSequences = 0
  package var waitingPromptTokens = 0
  package var waitingMaxTokens = 0
  /// Replicas of open units to lease out.
  package var missing = 0
  package var estimate = GenerationEstimate()
  package var tally = UnitTally()

  package init(
    number: Int64, owner: WorkOwner, kind: UnitKind, keyID: String, pool: WorkPool, model: Digest,
    cache: CacheType, adapter: Digest?, priority: Int
  ) {
    self.number = number
    self.owner = owner
    self.kind = kind
    self.keyID = keyID
    self.pool = pool
    self.model = model
    self.cache = cache
    self.adapter = adapter
    self.priority = priority
  }

  /// Whether it has anything to hand out.
  package var isActive: Bool { isReleased && (waiting > 0 || missing > 0) }

  package var key: Int64 { number }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.queues }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    index.work.reindex(queue: old, to: new)
  }
}

/// Units of a queue and their replicas, by state.
package struct UnitTally: Hashable, Sendable, Codable {
  package var units: [String: Int] = [:]
  package var replicas: [String: Int] = [:]
  /// Accepted units, by what they rest on (`Verification`).
  package var verified: [String: Int] = [:]
  /// Operations that open units are estimated at.
  package var openFlops = 0.0
  /// Units that somebody called invalid.
  package var refused = 0

  package init() {}
}

/// A line of a batch, as it is stored.
package struct RequestRow: Hashable, Sendable {
  package enum State: Hashable, Sendable {
    case waiting
    case inUnit
    case ended(EndedRequest.Ending, at: Timestamp?)
  }
  package let number: Int64
  package let batch: Int64
  package let line: Int
  /// `batch_req_` and 24 letters or digits.
  package let id: String
  package let customID: String
  package let rendering: Data
  package var state: State
  /// Nil for a line that failed by itself.
  package let queue: Int64?
  package var unit: Int64?
  package var firstSequence = 0
  package let sequences: Int
  package let promptTokens: Int
  package let maxTokens: Int
  /// Its sequences (`SequenceCoding`) until it is part of a unit.
  package var input: Data?

  package init(
    number: Int64, batch: Int64, line: Int, id: String, customID: String, rendering: Data,
    state: State, queue: Int64?, sequences: Int, promptTokens: Int, maxTokens: Int, input: Data?
  ) {
    self.number = number
    self.batch = batch
    self.line = line
    self.id = id
    self.customID = customID
    self.rendering = rendering
    self.state = state
    self.queue = queue
    self.sequences = sequences
    self.promptTokens = promptTokens
    self.maxTokens = maxTokens
    self.input = input
  }
}

/// A request that waits to be cut into a unit.
package struct WaitingRequest: Hashable, Sendable {
  package let number: Int64
  package let line: Int
  /// `SequenceCoding`.
  package let input: Data

  package init(number: Int64, line: Int, input: Data) {
    self.number = number
    self.line = line
    self.input = input
  }
}

/// The next requests of a queue, in the order of their lines.
package struct RequestWindow: FleetRow {
  /// Requests that a window is filled up to.
  package static let limit = 512
  /// Bytes of inputs after which it is not filled up further.
  package static let byteLimit = 4 << 20

  package let queue: Int64
  package var requests: [WaitingRequest] = []
  /// The last line that was fetched. Requests that wait have later lines, or are in the window.
  package var lastLine = 0

  package init(queue: Int64) { self.queue = queue }

  package var key: Int64 { queue }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.windows }
  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {}
}
