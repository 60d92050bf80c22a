import WireProtocol

/// Settles a unit by the trusted machine's own computation, whatever the replicas say.
package struct ReplaySettlement: Sendable {
  package init() {}

  /// The verdict that makes `truth` the unit's result; it counts the replicas that agree, and the
  /// replay itself.
  package func verdict(on replicas: [Replica], truth: Digest) -> Verdict {
    let submitted = replicas.filter { $0.state == .submitted }
    let agreeing = submitted.count { $0.result == truth }
    return .accept(
      Acceptance(result: truth, verification: .replay, replicas: agreeing + 1),
      reason: "the replay agrees with \(agreeing) of \(submitted.count) results")
  }
}
