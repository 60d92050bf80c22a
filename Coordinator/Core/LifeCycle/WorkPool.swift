/// Who may run a batch's units.
package enum WorkPool: String, Hashable, Sendable, Codable, CaseIterable {
  /// Anyone's workers. Two accounts run every unit.
  case `public`
  /// The operator's own workers only. One run is enough.
  case trusted

  /// Accounts whose results a unit needs at least.
  package var leastAccounts: Int {
    switch self {
    case .public: 2
    case .trusted: 1
    }
  }
}

/// What a verified result rests on; goes into each answer's `tally.verification`.
package enum Verification: String, Hashable, Sendable, Codable {
  /// Replicas of two accounts had equal digests.
  case quorum
  /// One run in the trusted pool.
  case trustedPool = "trusted_pool"
  /// The coordinator's own machine computed the unit.
  case replay
}
