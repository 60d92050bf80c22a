/// Believes a result when this many accounts gave the same bits and none gave others.
package struct DigestQuorum: VerificationPolicy {
  /// 2 or more for strangers' machines.
  package let accounts: Int

  package init(accounts: Int) { self.accounts = accounts }

  /// Waits for enough accounts, accepts equal digests, and sends any difference to a replay.
  package func verdict(on replicas: [Replica]) -> Verdict {
    let submitted = replicas.filter { $0.state == .submitted }
    let digests = Set(submitted.compactMap(\.result))
    guard let digest = digests.first else { return .wait(reason: "no result yet") }
    guard digests.count == 1 else {
      return .replay(reason: "\(submitted.count) results have \(digests.count) different digests")
    }
    let agreeing = Set(submitted.map(\.account)).count
    guard agreeing >= accounts else {
      return .wait(reason: "\(agreeing) of \(accounts) accounts gave a result")
    }
    return .accept(
      Acceptance(result: digest, verification: .quorum, replicas: agreeing),
      reason: "\(agreeing) accounts gave equal digests")
  }
}
