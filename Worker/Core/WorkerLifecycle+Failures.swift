import WireProtocol

/// A request to the coordinator that failed and is repeated.
package struct FailingRequest: Hashable, Sendable {
  /// What the request is for, in the order in which the machine's owner wants to know of failures.
  package enum Purpose: Hashable, Sendable, CaseIterable {
    case joining
    case leasing
    case sending
    case fetching
    case heartbeat
    case renewal
    case moving
  }

  package var purpose: Purpose
  /// Why the last attempt failed.
  package var failure: RequestFailure
  /// When the next attempt comes; nil while it is under way.
  package var until: Moment?

  package init(purpose: Purpose, failure: RequestFailure, until: Moment?) {
    self.purpose = purpose
    self.failure = failure
    self.until = until
  }
}

// What is told of failures. Reasons are noted as they come; whether a request still fails follows
// from the state of its attempts, so that nothing has to be cleared.
extension WorkerLifecycle {
  /// Keeps the reason of a request that failed.
  mutating func noteFailure(_ event: WorkerEvent) {
    guard let (purpose, failure) = event.failedRequest else { return }
    lastFailures[purpose] = failure
  }

  /// The requests that failed and have not succeeded since, what matters most first. What the
  /// owner's limits hold back is not among them: nothing is asked then.
  package var failing: [FailingRequest] {
    FailingRequest.Purpose.allCases.compactMap { purpose in
      guard let failure = lastFailures[purpose],
        let attempt = attempts(for: purpose).filter({ $0.failures > 0 }).min(by: Self.isSooner)
      else { return nil }
      return FailingRequest(purpose: purpose, failure: failure, until: attempt.timer)
    }
  }

  private static func isSooner(_ left: Attempt, _ right: Attempt) -> Bool {
    switch (left.timer, right.timer) {
    case (let left?, let right?): left < right
    case (nil, .some): true
    case (_, nil): false
    }
  }

  private func attempts(for purpose: FailingRequest.Purpose) -> [Attempt] {
    switch phase {
    case .beforeStart, .stopped: return []
    case .joining(let attempt): return purpose == .joining ? [attempt] : []
    case .draining, .closing: if purpose != .sending, purpose != .heartbeat { return [] }
    case .active: break
    }
    return switch purpose {
    case .joining: [turnedAway?.readmission].compactMap(\.self)
    case .leasing: leasingAttempt.map { [$0] } ?? []
    case .sending: mayTransfer ? outbox.map(\.attempt) : []
    case .fetching: mayTransfer ? units.compactMap(\.fetchAttempt) : []
    case .heartbeat: units.compactMap(\.heartbeatAttempt)
    case .renewal: [certificate?.renewal].compactMap(\.self)
    case .moving: [relocation?.attempt].compactMap(\.self)
    }
  }

  private var leasingAttempt: Attempt? {
    switch leasing {
    case .requesting: .underway(failures: leaseFailures)
    case .backingOff(_, let until) where wantsUnits: .due(at: until, failures: leaseFailures)
    case .due, .idle, .backingOff, .pausing: nil
    }
  }
}

extension HeldUnit {
  fileprivate var fetchAttempt: WorkerLifecycle.Attempt? {
    switch stage {
    case .fetching(let failures): .underway(failures: failures)
    case .fetchDue(let at, let failures): .due(at: at, failures: failures)
    case .unconfirmed, .queued, .ready, .running, .cancelling, .halting, .kept: nil
    }
  }

  fileprivate var heartbeatAttempt: WorkerLifecycle.Attempt? {
    switch stage {
    case .cancelling(tell: nil), .kept: return nil
    case .unconfirmed, .queued, .fetching, .fetchDue, .ready, .running, .cancelling, .halting: break
    }
    guard let heartbeatAt else { return .underway(failures: heartbeatFailures) }
    return .due(at: heartbeatAt, failures: heartbeatFailures)
  }
}

extension WorkerEvent {
  /// The request to the coordinator that failed, and why; nil for every other event.
  fileprivate var failedRequest: (FailingRequest.Purpose, RequestFailure)? {
    switch self {
    case .enrolmentFailed(let failure): (.joining, failure)
    case .leaseFailed(let failure): (.leasing, failure)
    case .uploadFailed(_, let failure): (.sending, failure)
    case .fetchFailed(_, .request(let failure)): (.fetching, failure)
    case .heartbeatFailed(_, let failure): (.heartbeat, failure)
    case .renewalFailed(let failure): (.renewal, failure)
    case .movingFailed(let failure): (.moving, failure)
    case .started, .timer, .terminate, .finish, .computingAllowed, .transferAllowed,
      .memoryExceeded, .enrolled, .renewed, .calendarRead, .addressAnnounced, .moved, .chosen,
      .leaseAnswered, .blobsReady, .fetchFailed(_, .permanent), .unitFinished, .unitFailed,
      .unitCancelled, .heartbeatAnswered, .uploadAnswered, .abandonmentEnded:
      nil
    }
  }
}
