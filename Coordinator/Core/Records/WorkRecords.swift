import Foundation
import WirePayloads
import WireProtocol

/// A lease as its worker's routes need it.
package struct LeaseRecord: Hashable, Sendable {
  package var id: String
  package var workerID: String
  package var unit: Digest
  package var specification: UnitSpecification
  package var estimatedFlops: Double
  /// The answer to a result that this lease was given before; nil when none was.
  package var submitted: SubmittedResult?

  package init(
    id: String, workerID: String, unit: Digest, specification: UnitSpecification,
    estimatedFlops: Double, submitted: SubmittedResult? = nil
  ) {
    self.id = id
    self.workerID = workerID
    self.unit = unit
    self.specification = specification
    self.estimatedFlops = estimatedFlops
    self.submitted = submitted
  }
}

/// A result that is stored, and what became of it so far.
package struct SubmittedResult: Hashable, Sendable {
  package var digest: Digest
  package var receipt: ResultReceipt

  package init(
    digest: Digest, receipt: ResultReceipt
  ) {
    self.digest = digest
    self.receipt = receipt
  }
}

/// What the store needs to know of one sequence of a result.
package struct SequenceSummary: Hashable, Sendable, Codable {
  /// Tokens generated.
  package var tokens: Int
  /// Whether it ended at a value that is not finite: its request fails.
  package var nonFinite: Bool

  package init(tokens: Int, nonFinite: Bool) {
    self.tokens = tokens
    self.nonFinite = nonFinite
  }
}

/// A result whose bytes are checked against the unit's inputs and are already a durable blob.
package struct NewResult: Hashable, Sendable {
  /// The digest of the uncompressed result.
  package var digest: Digest
  /// One for each sequence of the unit's inputs, in order.
  package var sequences: [SequenceSummary]

  package init(digest: Digest, sequences: [SequenceSummary]) {
    self.digest = digest
    self.sequences = sequences
  }

  /// A result of which nothing was read but what it is made of.
  package init(digest: Digest, result: GenerateResultIndex) {
    self.digest = digest
    sequences = (0..<result.count).map {
      SequenceSummary(
        tokens: result.tokenCount(of: $0), nonFinite: result.finish(of: $0) == .nonFinite)
    }
  }

  package init(digest: Digest, result: GenerateResult) {
    self.digest = digest
    sequences = result.sequences.map {
      SequenceSummary(tokens: $0.tokens.count, nonFinite: $0.finish == .nonFinite)
    }
  }
}

/// A worker's upload.
package struct ResultSubmission: Hashable, Sendable {
  package var leaseID: String
  package var workerID: String
  package var result: NewResult
  /// The worker's signature over `ResultStatement.bytes`, already checked; kept as evidence.
  package var signature: Data
  /// Seconds that the worker says it computed; sizes its next units, decides nothing else.
  package var seconds: Double?
  /// What the worker says that the unit took; counted for people to see where it is possible.
  package var energy: EnergyClaim?

  package init(
    leaseID: String, workerID: String, result: NewResult, signature: Data, seconds: Double?,
    energy: EnergyClaim? = nil
  ) {
    self.leaseID = leaseID
    self.workerID = workerID
    self.result = result
    self.signature = signature
    self.seconds = seconds
    self.energy = energy
  }
}

/// A unit for the coordinator's own runner.
package struct ReplayJob: Hashable, Sendable {
  /// Names this attempt; a job that is not settled in time is given out again under a new name.
  package var id: String
  package var unit: Digest
  package var specification: UnitSpecification
  package var estimatedFlops: Double
  /// `disagreement`, `lostReplicas`, `calledInvalid`, or `auditReason`.
  package var reason: String
  package var deadline: Timestamp

  /// The reason of an audit.
  package static let auditReason = "audit"
  /// Whether it is an audit, which has time.
  package var isAudit: Bool { reason == Self.auditReason }

  package init(
    id: String, unit: Digest, specification: UnitSpecification, estimatedFlops: Double,
    reason: String, deadline: Timestamp
  ) {
    self.id = id
    self.unit = unit
    self.specification = specification
    self.estimatedFlops = estimatedFlops
    self.reason = reason
    self.deadline = deadline
  }
}

/// What a settled replay did.
package struct ReplayOutcome: Hashable, Sendable {
  /// Replicas whose digest was the truth, and those whose was not.
  package var agreed: Int
  package var rejected: Int
  /// What an audit found; nil for a replay that settled a unit.
  package var audit: AuditOutcome?

  package init(agreed: Int, rejected: Int, audit: AuditOutcome? = nil) {
    self.agreed = agreed
    self.rejected = rejected
    self.audit = audit
  }
}

/// What an audit of an accepted result found.
package enum AuditOutcome: Hashable, Sendable {
  case passed
  /// The accepted result is wrong and was replaced.
  ///
  /// - Parameter delivered: whether somebody was given it before.
  case failed(delivered: Bool)
}

/// An audit that found an accepted result wrong.
package struct FailedAudit: Hashable, Sendable {
  package var unit: Digest
  package var time: Timestamp
  /// Batches and fine-tuning jobs that the unit belongs to.
  package var jobs: [String]
  /// Names of the accounts whose results were wrong.
  package var accounts: [String]
  /// The right result.
  package var result: Digest
  /// The wrong result that was delivered or joined before; nil when it was replaced in time.
  package var delivered: Digest?

  package init(
    unit: Digest, time: Timestamp, jobs: [String], accounts: [String], result: Digest,
    delivered: Digest? = nil
  ) {
    self.unit = unit
    self.time = time
    self.jobs = jobs
    self.accounts = accounts
    self.result = result
    self.delivered = delivered
  }
}

/// What `tick` did.
package struct TickReport: Hashable, Sendable {
  package var expiredLeases = 0
  package var expiredBatches = 0
  package var deletedFiles: [DeletedFile] = []
  /// What could not be expired, and the first reason; it is tried again at the next tick.
  package var failures = 0
  package var firstFailure: String?
  /// When something falls due next, at the latest; nil when nothing is scheduled.
  package var nextDue: Timestamp?

  /// Counts something that could not be expired.
  package mutating func note(_ failure: String) {
    failures += 1
    firstFailure = firstFailure ?? failure
  }

  package init(
    expiredLeases: Int = 0, expiredBatches: Int = 0, deletedFiles: [DeletedFile] = [],
    failures: Int = 0, firstFailure: String? = nil, nextDue: Timestamp? = nil
  ) {
    self.expiredLeases = expiredLeases
    self.expiredBatches = expiredBatches
    self.deletedFiles = deletedFiles
    self.failures = failures
    self.firstFailure = firstFailure
    self.nextDue = nextDue
  }
}
