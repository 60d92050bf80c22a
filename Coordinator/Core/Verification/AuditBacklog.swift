/// A unit that waits for its audit.
package struct DueAudit: Hashable, Sendable {
  package let unit: Int64
  /// Accounts whose results were accepted.
  package let accounts: Set<String>
  /// Operations of the accepted result.
  package let flops: Double

  package init(unit: Int64, accounts: Set<String>, flops: Double) {
    self.unit = unit
    self.accounts = accounts
    self.flops = flops
  }
}

/// Says which audits are let go when more wait than the trusted machine gets done.
///
/// Whoever has most audits on the list loses one, so that a flood displaces its own audits and
/// nobody else's. Of those the smallest goes, so that it takes more honest work to displace the
/// audit of a lie than the lie saved.
package struct AuditBacklog: Hashable, Sendable {
  /// Audits that may wait.
  package let limit: Int

  package init(limit: Int) { self.limit = limit }

  /// Units to take off the list, until no more than `limit` are left.
  ///
  /// - Parameter lot: one of `0..<count` by lot, which decides between audits of one size.
  package func dropped(from due: [DueAudit], lot: (_ count: Int) -> Int) -> [Int64] {
    guard due.count > limit else { return [] }
    var left = due.sorted { ($0.flops, $0.unit) < ($1.flops, $1.unit) }
    var counts: [String: Int] = [:]
    for account in left.lazy.flatMap(\.accounts) { counts[account, default: 0] += 1 }
    var dropped: [Int64] = []
    while left.count > max(0, limit) {
      let most = counts.values.max() ?? 0
      let crowded = left.indices.filter { index in
        left[index].accounts.contains { counts[$0] == most }
      }
      // Units that no account has to answer for any more are as good as others.
      let candidates = crowded.isEmpty ? Array(left.indices) : crowded
      guard let first = candidates.first else { break }
      let smallest = candidates.prefix { left[$0].flops == left[first].flops }
      let gone = left.remove(at: smallest[lot(smallest.count)])
      for account in gone.accounts { counts[account, default: 0] -= 1 }
      dropped.append(gone.unit)
    }
    return dropped
  }
}
