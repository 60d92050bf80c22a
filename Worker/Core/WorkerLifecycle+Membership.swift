import WireProtocol

/// The client certificate and its renewal.
struct Certificate: Hashable, Sendable {
  var term: CertificateTerm
  var renewal: WorkerLifecycle.Attempt

  init(_ term: CertificateTerm) {
    self.term = term
    self.renewal = .due(at: term.renewAt, failures: 0)
  }

  var nextTimer: Moment { min(renewal.timer ?? term.endsAt, term.endsAt) }
}

// Joining, and staying a member.
extension WorkerLifecycle {
  mutating func advanceJoining(at now: Moment, _ actions: inout [WorkerAction]) {
    guard case .joining(let attempt) = phase, let failures = attempt.failuresIfDue(at: now)
    else { return }
    phase = .joining(.underway(failures: failures))
    actions.append(.enrol)
  }

  mutating func joined(_ term: CertificateTerm) {
    guard case .joining = phase else { return }
    certificate = Certificate(term)
    phase = .active
  }

  mutating func joiningFailed(
    _ failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard case .joining(.underway(let before)) = phase, !stopped(by: failure, &actions) else {
      return
    }
    if case .refused(_, _, let message) = failure {
      stop(.notAdmitted(message: message), &actions)
      return
    }
    let wait = delay(after: failure, failures: before + 1)
    phase = .joining(.due(at: now + wait, failures: before + 1))
  }

  mutating func advanceCertificate(at now: Moment, _ actions: inout [WorkerAction]) {
    guard let present = certificate else { return }
    if present.term.endsAt <= now {
      stop(.certificateExpired, &actions)
      return
    }
    if let failures = present.renewal.failuresIfDue(at: now) {
      certificate?.renewal = .underway(failures: failures)
      actions.append(.renewCertificate)
    }
  }

  mutating func renewalFailed(
    _ failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard case .underway(let before)? = certificate?.renewal, !stopped(by: failure, &actions)
    else { return }
    let wait = delay(after: failure, failures: before + 1, settings.renewalBackoff)
    certificate?.renewal = .due(at: now + wait, failures: before + 1)
  }
}
