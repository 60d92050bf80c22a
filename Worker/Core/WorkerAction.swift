import WireProtocol

/// What the daemon is to do. Each action that waits for something outside ends in exactly one
/// event.
package enum WorkerAction: Hashable, Sendable {
  /// Ends in `enrolled` or `enrolmentFailed`.
  case enrol
  /// Ends in `renewed` or `renewalFailed`.
  case renewCertificate
  /// Moves the membership to the address that the coordinator announced; ends in `moved` or
  /// `movingFailed`.
  case move(url: String)
  /// Ends in `leaseAnswered` or `leaseFailed`.
  case requestLease(maximumUnits: Int)
  /// Ends in `blobsReady` or `fetchFailed`, unless cancelled.
  case fetch(Lease)
  case cancelFetch(lease: String)
  /// Ends in `unitFinished`, `unitFailed` or `unitCancelled`.
  case run(Lease)
  /// Asks a running unit to stop; the `run` ends as above.
  case cancelRun(lease: String)
  /// Ends in `heartbeatAnswered` or `heartbeatFailed`.
  case heartbeat(lease: String)
  /// Sends a result from the data folder; ends in `uploadAnswered` or `uploadFailed`.
  case upload(lease: String)
  /// Removes a result from the data folder.
  case discardResult(lease: String, DiscardReason)
  /// Ends in `abandonmentEnded`.
  case abandon(lease: String, Abandonment.Reason, detail: String)
  /// The life cycle is over; no action follows.
  case stop(StopReason)
}

/// Why a result leaves the data folder.
package enum DiscardReason: Hashable, Sendable {
  /// The coordinator has it.
  case delivered(ResultReceipt.State)
  /// The coordinator will never take it.
  case refused(message: String)
  /// The unit was given up before it finished.
  case abandoned
  /// Nobody answered for longer than `LifecycleSettings.resultKeep`.
  case tooOld
}

/// Why the worker ended. What the coordinator said is shown as it is.
package enum StopReason: Hashable, Sendable, CustomStringConvertible {
  /// It was asked to, and nothing is left to do but what the next start does.
  case drained
  /// The coordinator's message that says what to upgrade, to a worker that has just joined or is
  /// about to.
  case upgradeRequired(message: String)
  /// The coordinator refused the invitation, or a worker that has just joined.
  case notAdmitted(message: String)

  package var description: String {
    switch self {
    case .drained: "asked to end"
    case .upgradeRequired(let message), .notAdmitted(let message): message
    }
  }
}

/// The numbers that steer a worker's life cycle.
package struct LifecycleSettings: Hashable, Sendable {
  /// Units held at one time. With 2 or more, the next unit's blobs are fetched while one runs.
  package var maximumUnits = 1
  /// How long a running unit may go on after `terminate`.
  package var grace: Duration = .seconds(30)
  /// Whether `terminate` keeps what is held for the next start, as a machine that restarts wants
  /// it, instead of finishing it or giving it back.
  package var keepsUnits = false
  /// A unit that was started this often without finishing anything is given back: it may be what
  /// ends the worker.
  package var fruitlessStarts = 3
  /// How long to wait for farewells after the grace period.
  package var farewell: Duration = .seconds(5)
  /// Between attempts of a request. The ceiling is low, so that a coordinator which was away for
  /// ten minutes has the results within a minute.
  package var requestBackoff = Backoff(first: .seconds(1), ceiling: .seconds(60))
  /// Whether a coordinator that turns the worker away before its first answer to a member ends it:
  /// a person who has just given an invitation reads the reason. Else it tries again.
  package var endsWhenTurnedAwayAtFirst = true
  /// Whether an invitation is at hand, to enrol again with when the membership is not accepted.
  package var hasInvitation = false
  /// Between attempts while the coordinator turns the worker away.
  package var turnedAwayBackoff = Backoff(first: .seconds(60), ceiling: .seconds(3600))
  /// Between attempts at the address that the coordinator announced.
  package var movingBackoff = Backoff(first: .seconds(10), ceiling: .seconds(600))
  /// Between attempts to renew the certificate.
  package var renewalBackoff = Backoff(first: .seconds(30), ceiling: .seconds(3600))
  /// Attempts to fetch a unit's blobs before its lease is given back.
  package var fetchAttempts = 20
  /// No new units while this many results wait to be sent.
  package var maximumWaitingResults = 16
  /// Results that nobody took for this long are dropped.
  package var resultKeep: Duration = .seconds(14 * 86400)
  /// But not before the worker has run for this long: how old they are follows from the calendar,
  /// which may be wrong at a machine's start.
  package var resultKeepAfterStart: Duration = .seconds(86400)

  package init() {}
}
