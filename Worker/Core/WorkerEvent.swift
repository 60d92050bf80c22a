import WireProtocol

/// Why a request to the coordinator brought no answer that could be used.
package enum RequestFailure: Error, Hashable, Sendable {
  /// No connection, a broken one, or no answer in time.
  case unreachable(detail: String)
  /// 408, 425, 429 or 5xx: the same request may succeed later.
  case busy(status: Int, retryAfter: Duration?)
  /// Nothing was asked: the owner's limits do not allow the transfer now.
  case heldBack(reason: String)
  /// 426: the versions do not match; the message says what to upgrade.
  case upgradeRequired(message: String)
  /// 401, 403 without a code, or a refusal of the certificate in the TLS handshake: the coordinator
  /// does not admit this worker.
  case notAdmitted(message: String)
  /// Any other refusal, or an answer that makes no sense.
  case refused(status: Int, code: String?, message: String)
}

extension RequestFailure {
  /// Whether the coordinator turns this worker away. Its clock, a restored backup or a slip of its
  /// operator may be the cause, and pass.
  package var isTurningAway: Bool {
    switch self {
    case .upgradeRequired, .notAdmitted: true
    case .unreachable, .busy, .heldBack, .refused: false
    }
  }
}

extension RequestFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unreachable(let detail): "the coordinator cannot be reached (\(detail))"
    case .busy(let status, _): "the coordinator is busy (status \(status))"
    case .heldBack(let reason): "the owner's limits hold it back (\(reason))"
    case .upgradeRequired(let message), .notAdmitted(let message): message
    case .refused(let status, let code, let message):
      "the coordinator refused: \(message) (status \(status)\(code.map { ", \($0)" } ?? ""))"
    }
  }
}

/// Why a unit's blobs could not be had.
package enum FetchFailure: Error, Hashable, Sendable {
  /// Worth another attempt, which resumes where this one stopped.
  case request(RequestFailure)
  /// No attempt will help: the lease is given back.
  case permanent(Abandonment.Reason, detail: String)
}

/// When the client certificate is to be renewed. When it ends is the coordinator's to say: this
/// machine's clock may be wrong.
package struct CertificateTerm: Hashable, Sendable {
  package var renewAt: Moment

  package init(renewAt: Moment) { self.renewAt = renewAt }

  /// Renewal is due at two thirds of the certificate's life: early enough that a coordinator that
  /// is away for days does not cost the worker its place.
  package init(startedAt: Moment, endsAt: Moment) {
    let life = startedAt.duration(to: endsAt)
    self.init(renewAt: startedAt + .seconds(life.inSeconds * 2 / 3))
  }
}

/// A result that an earlier run of the worker left in the data folder.
package struct StoredResult: Hashable, Sendable {
  package var lease: String
  /// When the unit finished; before the origin for results of an earlier run.
  package var finishedAt: Moment

  package init(lease: String, finishedAt: Moment) {
    self.lease = lease
    self.finishedAt = finishedAt
  }
}

/// A unit that an earlier run of the worker held when it ended.
package struct StoredUnit: Hashable, Sendable {
  package var lease: Lease
  /// How often it was started since it last finished anything.
  package var fruitlessStarts: Int

  package init(lease: Lease, fruitlessStarts: Int) {
    self.lease = lease
    self.fruitlessStarts = fruitlessStarts
  }
}

/// What happened; the daemon tells the life cycle. Units are named by their leases' ids.
package enum WorkerEvent: Hashable, Sendable {
  /// The daemon is up. `certificate` is nil when the data folder holds none, so that the worker
  /// must join first.
  case started(
    certificate: CertificateTerm?, results: [StoredResult], units: [StoredUnit] = [])
  /// `WorkerLifecycle.nextTimer` has come. Harmless at any other time.
  case timer
  /// The system or the user asks the worker to end.
  case terminate
  /// The user asks the worker to end once what it holds is computed and delivered.
  case finish
  /// Whether units may be computed now. What runs is held where it is, by others.
  case computingAllowed(Bool)
  /// Whether blobs and results may be transferred now. Transfers under way end by themselves.
  case transferAllowed(Bool)
  /// The worker takes more memory than its owner allows, in bytes.
  case memoryExceeded(used: Int, limit: Int)

  case enrolled(CertificateTerm)
  case enrolmentFailed(RequestFailure)
  case renewed(CertificateTerm)
  case renewalFailed(RequestFailure)
  /// What follows from the calendar as it reads now: when the certificate is to be renewed, and
  /// when the results of earlier runs were finished.
  case calendarRead(CertificateTerm?, results: [StoredResult])
  /// The coordinator will move to this address; nil: it stays.
  case addressAnnounced(String?)
  /// The coordinator answers at the address that it announced, and the membership is moved there.
  case moved(CertificateTerm)
  case movingFailed(RequestFailure)

  /// The owner chose other work than before.
  case chosen(WorkChoices)

  case leaseAnswered(LeaseResponse)
  case leaseFailed(RequestFailure)

  case blobsReady(lease: String)
  case fetchFailed(lease: String, FetchFailure)

  /// The unit is computed and its result is durable in the data folder.
  case unitFinished(lease: String)
  /// The unit ended without a result, for a reason of its own.
  case unitFailed(lease: String, Abandonment.Reason, detail: String)
  /// The unit stopped because it was told to.
  case unitCancelled(lease: String)

  case heartbeatAnswered(lease: String, HeartbeatResponse)
  case heartbeatFailed(lease: String, RequestFailure)
  case uploadAnswered(lease: String, ResultReceipt)
  case uploadFailed(lease: String, RequestFailure)
  /// The abandonment was delivered or could not be: a lost one costs no more than the lease's
  /// deadline.
  case abandonmentEnded(lease: String)
}
