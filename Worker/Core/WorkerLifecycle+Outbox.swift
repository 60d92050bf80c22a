import WireProtocol

/// A finished result in the data folder that the coordinator has not answered for.
struct PendingResult: Hashable, Sendable {
  var lease: String
  var finishedAt: Moment
  var attempt: WorkerLifecycle.Attempt
}

// The outbox: a finished result is sent again until the coordinator has answered for its lease,
// across restarts of either side.
extension WorkerLifecycle {
  mutating func advanceOutbox(at now: Moment, _ actions: inout [WorkerAction]) {
    for index in outbox.indices.reversed() {
      let result = outbox[index]
      guard let failures = result.attempt.failuresIfDue(at: now) else { continue }
      if result.finishedAt + settings.resultKeep < now,
        startedAt + settings.resultKeepAfterStart < now
      {
        outbox.remove(at: index)
        actions.append(.discardResult(lease: result.lease, .tooOld))
        continue
      }
      guard mayTransfer else { continue }
      outbox[index].attempt = .underway(failures: failures)
      actions.append(.upload(lease: result.lease))
    }
  }

  mutating func uploadAnswered(
    _ lease: String, _ receipt: ResultReceipt, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard let index = outbox.firstIndex(where: { $0.lease == lease }) else { return }
    outbox.remove(at: index)
    actions.append(.discardResult(lease: lease, .delivered(receipt.state)))
    contact(at: now)
  }

  mutating func uploadFailed(
    _ lease: String, _ failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard let index = outbox.firstIndex(where: { $0.lease == lease }),
      case .underway(let before) = outbox[index].attempt, !ended(by: failure, at: now, &actions)
    else { return }
    if let refusal = failure.finalRefusal {
      outbox.remove(at: index)
      actions.append(.discardResult(lease: lease, .refused(message: refusal)))
      return
    }
    let wait = delay(after: failure, failures: before + 1, at: now)
    outbox[index].attempt = .due(at: now + wait, failures: before + 1)
  }

  /// The coordinator answered something: what waited for its return is due now.
  mutating func contact(at now: Moment) {
    isNewcomer = false
    if turnedAway != nil { admit(at: now) }
    for index in outbox.indices {
      if case .due(let at, let failures) = outbox[index].attempt, at > now {
        outbox[index].attempt = .due(at: now, failures: failures)
      }
    }
    if case .backingOff(_, let until) = leasing, until > now { leasing = .due }
  }

  /// The coordinator turns this worker away no more: what waited for that is due now.
  private mutating func admit(at now: Moment) {
    turnedAway = nil
    if case .due(let at, let failures)? = certificate?.renewal, failures > 0, at > now {
      certificate?.renewal = .due(at: now, failures: failures)
    }
    for index in units.indices {
      if case .fetchDue(let at, let failures) = units[index].stage, at > now {
        units[index].stage = .fetchDue(at: now, failures: failures)
      }
    }
  }
}

extension RequestFailure {
  /// The message, when the result will never be taken: the coordinator itself (not a proxy before
  /// it) says so, or the result is too large for whoever answers.
  var finalRefusal: String? {
    guard case .refused(let status, let code, let message) = self else { return nil }
    let codes = [WorkerErrorCode.leaseUnknown, WorkerErrorCode.resultInvalid]
    return status == 413 || code.map(codes.contains) == true ? message : nil
  }
}
