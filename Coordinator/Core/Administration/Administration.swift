import WireProtocol

/// Whether units are handed out.
package enum LeasingState: String, Hashable, Sendable {
  case open
  /// No new leases; running units go on.
  case paused
  /// The same, until nothing runs any more.
  case draining
}

/// What the operator has set for the coordinator as a whole.
package struct Administration: Hashable, Sendable {
  package var leasing: LeasingState
  /// Shown to volunteers, such as when maintenance will be.
  package var message: String?
  /// Older workers are asked to upgrade.
  package var minimumWorkerVersion: ProgramVersion?
  /// `https://host:port` to which the coordinator will move.
  package var nextAddress: String?

  package init(
    leasing: LeasingState = .open, message: String? = nil,
    minimumWorkerVersion: ProgramVersion? = nil, nextAddress: String? = nil
  ) {
    self.leasing = leasing
    self.message = message
    self.minimumWorkerVersion = minimumWorkerVersion
    self.nextAddress = nextAddress
  }
}

/// The operator's decision that a worker, or all of an account, gets no work.
package struct Ban: Hashable, Sendable {
  /// For the volunteer; empty when the operator gave none.
  package var reason: String
  package var since: Timestamp
  /// Whether the whole account is banned.
  package var coversAccount: Bool

  package init(reason: String, since: Timestamp, coversAccount: Bool) {
    self.reason = reason
    self.since = since
    self.coversAccount = coversAccount
  }

  /// What the worker is told.
  package var message: String {
    let whom = coversAccount ? "the account of this worker" : "this worker"
    let why = reason.isEmpty ? "" : ": \(reason)"
    return "The coordinator's operator has banned \(whom)\(why)"
  }
}

/// Whether a worker that asks may be given units at all.
package enum LeaseAdmission: Hashable, Sendable {
  case admitted
  /// - Parameters:
  ///   - message: for the volunteer; nil when the reason says it all.
  ///   - retryAfterSeconds: when to ask again.
  case refused(IdleReason, message: String?, retryAfterSeconds: Int)

  /// Seconds after which a banned worker asks again: seldom, yet soon enough that an unban is felt.
  package static let bannedRetrySeconds = 600

  /// - Parameter retryAfterSeconds: what idle workers wait.
  package static func decide(
    _ administration: Administration, ban: Ban?, retryAfterSeconds: Int
  ) -> LeaseAdmission {
    if let ban {
      return .refused(
        .banned, message: ban.message,
        retryAfterSeconds: max(bannedRetrySeconds, retryAfterSeconds))
    }
    switch administration.leasing {
    case .open: return .admitted
    case .paused, .draining:
      return .refused(
        .paused, message: administration.message, retryAfterSeconds: retryAfterSeconds)
    }
  }
}
