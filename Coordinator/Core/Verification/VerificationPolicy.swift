import WireProtocol

/// What a policy concludes from a unit's results.
package enum Verdict: Hashable, Sendable {
  /// The result is verified.
  case accept(Acceptance, reason: String)
  /// More results are needed.
  case wait(reason: String)
  /// Results disagree. No majority decides: the trusted machine computes the unit.
  case replay(reason: String)
}

/// A rule that says when a result is believed. One rule a file.
package protocol VerificationPolicy: Sendable {
  /// Judges the replicas that are `submitted`; others say nothing.
  func verdict(on replicas: [Replica]) -> Verdict
}
