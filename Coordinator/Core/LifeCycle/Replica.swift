import WireProtocol

/// One worker's run of a unit: a lease, and what came of it.
package struct Replica: Hashable, Sendable {
  package enum State: Hashable, Sendable {
    /// Leased until the deadline.
    case running(deadline: Timestamp)
    /// The deadline passed. A late result is still welcome.
    case expired
    /// Given back.
    case abandoned(Abandonment.Reason)
    /// A result is stored and waits for verification.
    case submitted
    /// The result is the verified one; credit is granted.
    case accepted
    /// The result differs from the verified one.
    case rejected
    /// The result was unverified when its worker was caught with a wrong one.
    case takenBack
    /// The unit ended, or another replica of the account took this one's place.
    case notNeeded
    /// The worker was suspended while it ran: whatever it sends is not looked at.
    case revoked
  }

  /// The store's number of the lease.
  package let id: Int64
  package let worker: String
  package let account: String
  package var state: State
  /// The digest of its result, once there is one.
  package var result: Digest?
  /// Whether it runs for much longer than it should: another may have its place once the unit has
  /// a result.
  package var isLate: Bool

  package init(
    id: Int64, worker: String, account: String, state: State, result: Digest? = nil,
    isLate: Bool = false
  ) {
    self.id = id
    self.worker = worker
    self.account = account
    self.state = state
    self.result = result
    self.isLate = isLate
  }

  /// Whether its account takes part in the unit now.
  package var takesPart: Bool {
    switch state {
    case .running, .submitted: true
    default: false
    }
  }

  /// Whether it ended without a result, by silence or given back.
  package var wasGivenUp: Bool {
    switch state {
    case .expired, .abandoned: true
    default: false
    }
  }

  /// Whether its worker said that the unit cannot be computed.
  package var isRefusal: Bool { state == .abandoned(.invalidUnit) }

  /// Whether it was lost in a way that may be the unit's fault.
  package var countsAsLost: Bool {
    switch state {
    case .expired: true
    case .abandoned(let reason): reason != .shuttingDown
    default: false
    }
  }
}
