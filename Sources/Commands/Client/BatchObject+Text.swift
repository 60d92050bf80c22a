import APIObjects

extension BatchObject {
  /// Whether nothing more will happen to it.
  var hasEnded: Bool { ["completed", "failed", "expired", "cancelled"].contains(status) }

  /// Requests that need nothing more.
  var done: Int { requestCounts.completed + requestCounts.failed }

  /// Why it failed, a line each, by line number where there is one.
  var failures: [String] {
    (errors?.data ?? []).map { item in
      (item.line.map { "line \($0): " } ?? "") + item.message
    }
  }
}

extension ProgressObject {
  /// `8 units verified: 8 by agreement of two accounts, 0 by replay; 16 replicas accepted, 0
  /// rejected`
  var verificationSummary: String {
    let replicas =
      "\(replicas.accepted) \(replicas.accepted == 1 ? "replica" : "replicas") accepted, "
      + "\(replicas.rejected) rejected"
      + (replicas.lost > 0 ? ", \(replicas.lost) lost or not needed" : "")
    guard pool == "public" else {
      return
        "\(units.accepted) of \(units.total) units done in the trusted pool, one run each; "
        + "\(replicas)"
    }
    return
      "\(units.accepted) of \(units.total) units verified: \(agreements) by equal results of two "
      + "accounts, \(replays) by replay; \(replicas)"
  }
}
