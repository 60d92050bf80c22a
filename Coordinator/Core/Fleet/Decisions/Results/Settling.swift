import WireProtocol

extension Fleet {
  /// Saves a unit and performs what its event means for others: answers requests, grants credit,
  /// takes back a cheat's results.
  ///
  /// - Parameters:
  ///   - row: the unit after the event.
  ///   - summaries: of the result that the event brought; an accepted result has the same digest.
  mutating func settle(
    _ row: UnitRow, before: UnitRow, _ actions: [WorkUnit.Action], summaries: [SequenceSummary]
  ) throws {
    var row = row
    if case .accepted = row.unit.state, row.flops == nil {
      row.flops = try row.flops(summaries, cost(of: row))
    }
    save(row, before: before)
    var caught: [Caught] = []
    for action in actions {
      switch action {
      case .complete:
        try complete(row, summaries)
        try drawAudit(of: row)
      case .fail(let reason):
        endRequests(of: row) { _ in .failed(.gaveUp(reason)) }
      case .grant(let replica):
        try grant(row, replica)
        learn(from: replica, of: row)
      case .reject(let replica): caught.append(try reject(row, replica))
      case .revoke(let replica): caught.append(try revoke(row, replica))
      case .refute(let replica): try refute(replica, of: row)
      }
    }
    noteConfirmations(of: row, actions)
    try takeBack(caught)
  }

  /// - Throws: `StoreError.corrupt`.
  func cost(of unit: UnitRow) throws -> ModelCost {
    guard let model = queues[unit.queue]?.model, let cost = manifests[model]?.cost else {
      throw StoreError(.corrupt, "Unit \(unit.number) has no model.")
    }
    return cost
  }

  /// A verified result answers the unit's requests that are still wanted.
  mutating func complete(_ row: UnitRow, _ summaries: [SequenceSummary]) throws {
    change(QueueRow.self, row.queue) { queue in
      queue.estimate.tokens += summaries.reduce(0) { $0 + $1.tokens }
      queue.estimate.sequences += summaries.count
    }
    if case .batch(let batch)? = queues[row.queue]?.owner {
      change(BatchRow.self, batch) { $0.flopsDone += row.flops ?? 0 }
    }
    guard row.members.allSatisfy({ $0.range.upperBound <= summaries.count }) else {
      throw StoreError(.corrupt, "The result of unit \(row.number) lacks sequences.")
    }
    endRequests(of: row) { member in
      summaries[member.range].contains(where: \.nonFinite) ? .failed(.nonFinite) : .completed
    } tokens: { member in
      (
        row.promptTokens[member.range].reduce(0, +),
        summaries[member.range].reduce(0) { $0 + $1.tokens }
      )
    }
  }

  /// Ends the unit's requests that are still wanted, and the batches that have no open ones left.
  private mutating func endRequests(
    of row: UnitRow, _ ending: (UnitMember) -> EndedRequest.Ending,
    tokens: (UnitMember) -> (input: Int, output: Int) = { _ in (0, 0) }
  ) {
    let wanted = row.members.filter(isOpen)
    guard !wanted.isEmpty else { return }
    append(
      .requestsEnded(
        wanted.map { EndedRequest(number: $0.request, ending: ending($0)) }, at: now))
    for (number, members) in Dictionary(grouping: wanted, by: \.batch).sorted(by: {
      $0.key < $1.key
    }) {
      guard var batch = batches[number] else { continue }
      let completed = members.filter { ending($0) == .completed }
      let (input, output) = completed.map(tokens).reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
      batch.record.completed += completed.count
      batch.record.failed += members.count - completed.count
      batch.record.inputTokens += input
      batch.record.outputTokens += output
      changeSettings { settings in
        settings.totals.completedRequests += completed.count
        settings.totals.failedRequests += members.count - completed.count
      }
      if batch.record.completed + batch.record.failed == batch.record.total {
        // A batch in progress takes this event.
        try? advance(&batch, .allRequestsEnded)
      }
      put(batch)
    }
  }

  /// An accepted result, and nothing else, shows how fast its worker is, and that worker and
  /// account do not fail any more: unless the worker failed again after it had submitted the
  /// result, which may have waited for hours.
  private mutating func learn(from replica: Int64, of row: UnitRow) {
    guard let flops = row.flops, let place = row.index(ofReplica: replica),
      let worker = workers[row.unit.replicas[place].worker]
    else { return }
    let lease = row.leases[place]
    if let seconds = lease.measuredSeconds {
      let first = worker.trusted ? Double.infinity : policy.fastestFirstSpeed
      let speed = MeasuredSpeed.updated(worker.speed, flops: flops, seconds: seconds, first: first)
      change(WorkerRow.self, worker.id) { $0.speed = speed }
    }
    if let failed = worker.failedAt, let submitted = lease.submittedAt, submitted <= failed {
      return
    }
    change(WorkerRow.self, worker.id) { ($0.failures, $0.backoffUntil) = (0, nil) }
    change(AccountRow.self, worker.account) { ($0.failures, $0.backoffUntil) = (0, nil) }
  }

  /// A worker called a unit invalid that the trusted machine computed. That is a failure like
  /// another, and no wrong result: an old program may know no better. The refusal keeps the model
  /// from it.
  private mutating func refute(_ replica: Int64, of row: UnitRow) throws {
    guard let place = row.index(ofReplica: replica) else { return }
    let worker = row.unit.replicas[place].worker
    change(WorkerRow.self, worker) { worker in
      for index in worker.refusals.indices where worker.refusals[index].replica == replica {
        worker.refusals[index].isRefuted = true
      }
    }
    try noteFailure(of: worker, leased: row.leases[place].issuedAt)
  }
}

extension UnitRow {
  /// Operations of a result of this unit. What a unit that learns takes is known before.
  func flops(_ summaries: [SequenceSummary], _ cost: ModelCost) -> Double {
    guard kind == .generate else { return estimatedFlops }
    return zip(promptTokens, summaries).reduce(0) { total, sequence in
      total + cost.flops(prompt: sequence.0, generated: sequence.1.tokens)
    }
  }

  /// What is known of the sequences of the accepted result; nothing where none was accepted.
  var acceptedSummaries: [SequenceSummary] {
    guard let result = unit.state.acceptance?.result,
      let place = unit.replicas.firstIndex(where: { $0.result == result })
    else { return [] }
    return leases[place].summaries
  }

  /// Accounts whose results are the accepted one.
  var acceptedAccounts: Set<String> {
    Set(unit.replicas.lazy.filter { $0.state == .accepted }.map(\.account))
  }
}
