/// Believes the first result: only the operator's own machines run units of the trusted pool.
package struct TrustedPool: VerificationPolicy {
  package init() {}

  /// Waits for a result, then accepts it.
  package func verdict(on replicas: [Replica]) -> Verdict {
    guard let result = replicas.first(where: { $0.state == .submitted })?.result else {
      return .wait(reason: "no result yet")
    }
    return .accept(
      Acceptance(result: result, verification: .trustedPool, replicas: 1),
      reason: "a machine of the trusted pool computed it")
  }
}
