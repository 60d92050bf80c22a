import WireProtocol

/// A worker's result, also a late one. The first result of a lease counts; repeating it gives what
/// became of it.
package struct SubmitResult: FleetEvent {
  package let submission: ResultSubmission

  package init(_ submission: ResultSubmission) { self.submission = submission }

  /// - Throws: `Lack`; `StoreError.leaseUnknown`; `.invalid` when the summaries do not fit the
  ///   unit; `.conflict` when the lease was given a different result before.
  package func decide(in fleet: inout Fleet) throws -> ResultReceipt {
    let (before, place) = try fleet.requireLease(
      submission.leaseID, worker: submission.workerID)
    if let known = before.unit.replicas[place].result {
      guard known == submission.result.digest else {
        throw StoreError(.conflict, "This lease was given the result \(known) before.")
      }
      return fleet.receipt(of: before, place: place)
    }
    guard submission.result.sequences.count == before.promptTokens.count else {
      throw StoreError(
        .invalid,
        "The unit has \(before.promptTokens.count) sequences, "
          + "the result \(submission.result.sequences.count)."
      )
    }
    var row = before
    fleet.note(submission, of: &row, place)
    let actions = row.unit.submit(row.unit.replicas[place].id, result: submission.result.digest)
    try fleet.settle(row, before: before, actions, summaries: submission.result.sequences)
    return fleet.receipt(of: fleet.units[row.number] ?? row, place: place)
  }
}

extension Fleet {
  /// Keeps what came with a result, and the seconds that count for it should it be accepted.
  fileprivate mutating func note(
    _ submission: ResultSubmission, of row: inout UnitRow, _ place: Int
  ) {
    let seconds = submission.seconds.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    let issued = row.leases[place].issuedAt
    let elapsed = now.seconds(since: issued)
    row.leases[place].summaries = submission.result.sequences
    row.leases[place].signature = submission.signature
    row.leases[place].seconds = seconds
    row.leases[place].measuredSeconds = MeasuredSpeed.seconds(
      claimed: seconds, issued: issued, before: workers[submission.workerID]?.resultAt, now: now)
    row.leases[place].submittedAt = now
    row.leases[place].energy = submission.energy?.counted(elapsed: elapsed)
    change(WorkerRow.self, submission.workerID) { [now] worker in
      worker.resultAt = now
      worker.results += 1
      worker.turnaroundSeconds += elapsed
    }
    touch(worker: submission.workerID)
  }

  /// What an upload of this lease's result is answered.
  package func receipt(of unit: UnitRow, place: Int) -> ResultReceipt {
    let state: ResultReceipt.State =
      switch unit.unit.replicas[place].state {
      case .accepted: .accepted
      case .rejected: .rejected
      case .submitted:
        if case .awaitingReplay = unit.unit.state { .awaitingReplay } else { .awaitingReplica }
      case .running, .expired, .abandoned, .takenBack, .notNeeded, .revoked: .notNeeded
      }
    return ResultReceipt(state: state, credit: unit.leases[place].credit.value)
  }
}
