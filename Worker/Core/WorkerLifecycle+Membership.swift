import WireProtocol

/// The client certificate's renewal.
struct Certificate: Hashable, Sendable {
  var renewal: WorkerLifecycle.Attempt

  init(_ term: CertificateTerm) { renewal = .due(at: term.renewAt, failures: 0) }

  /// Takes what the calendar says now, unless the renewal has begun.
  mutating func take(_ term: CertificateTerm) {
    if case .due(_, failures: 0) = renewal { renewal = .due(at: term.renewAt, failures: 0) }
  }
}

/// The coordinator turns this worker away.
struct TurnedAway: Hashable, Sendable {
  /// The coordinator's last refusal.
  var failure: RequestFailure
  var since: Moment
  /// Enrolling again with the invitation at hand; nil where none is, or the certificate is not what
  /// the coordinator minds.
  var readmission: WorkerLifecycle.Attempt?
}

/// The address that the coordinator announced.
struct Relocation: Hashable, Sendable {
  var url: String
  var attempt: WorkerLifecycle.Attempt
}

// Joining, and staying a member.
extension WorkerLifecycle {
  mutating func advanceJoining(at now: Moment, _ actions: inout [WorkerAction]) {
    guard case .joining(let attempt) = phase, let failures = attempt.failuresIfDue(at: now)
    else { return }
    phase = .joining(.underway(failures: failures))
    actions.append(.enrol)
  }

  mutating func enrolled(_ term: CertificateTerm, at now: Moment) {
    switch phase {
    case .joining:
      certificate = Certificate(term)
      phase = .active
    case .active:
      guard turnedAway?.readmission != nil else { return }
      certificate = Certificate(term)
      contact(at: now)
    case .beforeStart, .draining, .closing, .stopped: return
    }
  }

  mutating func enrolmentFailed(
    _ failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    if case .underway(let before)? = turnedAway?.readmission {
      let wait = settings.turnedAwayBackoff.delay(failures: before + 1, using: &random)
      turnedAway?.readmission = .due(at: now + wait, failures: before + 1)
    }
    guard case .joining(.underway(let before)) = phase else { return }
    // A refusal of the invitation is one of this machine.
    let reason =
      if case .refused(_, _, let message) = failure {
        RequestFailure.notAdmitted(message: message)
      } else {
        failure
      }
    if ended(by: reason, at: now, &actions) { return }
    let wait = delay(after: reason, failures: before + 1, at: now)
    phase = .joining(.due(at: now + wait, failures: before + 1))
  }

  mutating func renewed(_ term: CertificateTerm, at now: Moment) {
    certificate = Certificate(term)
    contact(at: now)
  }

  mutating func advanceCertificate(at now: Moment, _ actions: inout [WorkerAction]) {
    if let failures = certificate?.renewal.failuresIfDue(at: now) {
      certificate?.renewal = .underway(failures: failures)
      actions.append(.renewCertificate)
    }
    if let failures = turnedAway?.readmission?.failuresIfDue(at: now) {
      turnedAway?.readmission = .underway(failures: failures)
      actions.append(.enrol)
    }
    if let relocation, let failures = relocation.attempt.failuresIfDue(at: now) {
      self.relocation?.attempt = .underway(failures: failures)
      actions.append(.move(url: relocation.url))
    }
  }

  mutating func renewalFailed(
    _ failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard case .underway(let before)? = certificate?.renewal,
      !ended(by: failure, at: now, &actions)
    else { return }
    let wait = delay(after: failure, failures: before + 1, settings.renewalBackoff, at: now)
    certificate?.renewal = .due(at: now + wait, failures: before + 1)
  }

  // MARK: The address

  /// Takes what the coordinator says of its next address; nil: it stays where it is.
  mutating func announce(_ url: String?, at now: Moment) {
    guard url != relocation?.url else { return }
    relocation = url.map { Relocation(url: $0, attempt: .due(at: now, failures: 0)) }
  }

  mutating func moved(_ term: CertificateTerm, at now: Moment) {
    relocation = nil
    renewed(term, at: now)
  }

  /// The coordinator does not answer there yet.
  mutating func movingFailed(at now: Moment) {
    guard case .underway(let before)? = relocation?.attempt else { return }
    let wait = settings.movingBackoff.delay(failures: before + 1, using: &random)
    relocation?.attempt = .due(at: now + wait, failures: before + 1)
  }

  // MARK: Being turned away

  /// True when the failure ends the worker, which it then has: a coordinator that turns it away
  /// before it ever answered a member, with a person there to read why. Any other time key,
  /// membership and results stay, and it is asked again.
  mutating func ended(
    by failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) -> Bool {
    guard failure.isTurningAway else { return false }
    if isNewcomer, settings.endsWhenTurnedAwayAtFirst {
      switch failure {
      case .upgradeRequired(let message): stop(.upgradeRequired(message: message), &actions)
      case .notAdmitted(let message), .refused(_, _, let message):
        stop(.notAdmitted(message: message), &actions)
      case .unreachable, .busy, .heldBack: break
      }
      return true
    }
    if turnedAway == nil { turnedAway = TurnedAway(failure: failure, since: now) }
    turnedAway?.failure = failure
    if case .notAdmitted = failure, case .active = phase, settings.hasInvitation,
      turnedAway?.readmission == nil
    {
      // What passes within seconds needs no new certificate.
      turnedAway?.readmission = .due(at: now + settings.turnedAwayBackoff.first, failures: 0)
    }
    return false
  }

  /// How the coordinator last turned this worker away; nil while it does not.
  package var turningAway: TurningAway? {
    if case .stopped = phase { return nil }
    return turnedAway.map { TurningAway(failure: $0.failure, until: nextTimer) }
  }
}
