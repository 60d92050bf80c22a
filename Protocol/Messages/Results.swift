import Foundation

/// Headers of `PUT /worker/v1/leases/{id}/result`. The body is the result's safetensors file,
/// compressed with zstd (`Content-Type: application/zstd`).
package enum ResultHeader {
  /// SHA-256 of the uncompressed body, in hexadecimal.
  package static let digest = "tally-digest"
  /// Bytes of the uncompressed body, in decimal.
  package static let size = "tally-size"
  /// Base64 of the worker's ECDSA P-256 signature (DER) over `ResultStatement.bytes`.
  package static let signature = "tally-signature"
  /// `PeerVersions` as canonical JSON.
  package static let versions = "tally-versions"
  /// Seconds that the unit computed for, in decimal; used to size units, never for credit.
  package static let seconds = "tally-seconds"
  /// Joules that the unit took, in decimal; optional, shown to people and used for nothing else.
  package static let energy = "tally-energy-joules"
  /// `EnergyMethod` by which they were found; without it they are an estimate.
  package static let energyMethod = "tally-energy-method"
}

/// How a worker knows what energy it used.
package enum EnergyMethod: String, Codable, Hashable, Sendable {
  /// By the processor's counters, its share of what the machine used.
  case measured
  /// From the time that processors were busy for it, or partly so.
  case estimated
}

/// What a worker signs: that this unit gave this result.
package struct ResultStatement: Hashable, Sendable {
  package var unit: Digest
  package var result: Digest

  package init(unit: Digest, result: Digest) {
    self.unit = unit
    self.result = result
  }

  /// `tally-result-1`, the unit and the result, a line each, the last without a line end.
  package var bytes: Data { Data("tally-result-1\n\(unit.hex)\n\(result.hex)".utf8) }
}

/// The answer to an uploaded result. Sending the same result again gives the same answer.
package struct ResultReceipt: Codable, Hashable, Sendable {
  package enum State: String, Codable, Hashable, Sendable {
    /// Verified and counted.
    case accepted
    /// Stored; waits for another account's replica.
    case awaitingReplica
    /// Stored; replicas disagree, and a trusted machine replays the unit.
    case awaitingReplay
    /// Differs from the verified bits.
    case rejected
    /// The unit ended without needing this result (cancelled, expired, or settled before).
    case notNeeded
  }
  package var state: State
  /// Credit granted for this result so far.
  package var credit: Double

  package init(state: State, credit: Double) {
    self.state = state
    self.credit = credit
  }
}
