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
        try endRequests(of: row) { _ in Answer(.failed(.gaveUp(reason))) }
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
    try endRequests(of: row) { member in
      guard let range = member.range(in: min(summaries.count, row.promptTokens.count)) else {
        throw StoreError(.corrupt, "The result of unit \(row.number) lacks sequences.")
      }
      let own = summaries[range]
      if own.contains(where: \.nonFinite) { return Answer(.failed(.nonFinite)) }
      return Answer(
        .completed, input: row.promptTokens[range].reduce(0, +),
        output: own.reduce(0) { $0 + $1.tokens })
    }
  }

  /// What a unit's end means for one of its requests.
  private struct Answer {
    let ending: EndedRequest.Ending
    let input: Int
    let output: Int

    init(_ ending: EndedRequest.Ending, input: Int = 0, output: Int = 0) {
      self.ending = ending
      self.input = input
      self.output = output
    }
  }

  /// Ends the unit's requests that are still wanted, and the batches that have no open ones left.
  private mutating func endRequests(
    of row: UnitRow, _ answer: (UnitMember) throws -> Answer
  ) throws {
    let wanted = row.members.filter(isOpen)
    guard !wanted.isEmpty else { return }
    var ended: [EndedRequest] = []
    var answers: [Int64: [Answer]] = [:]
    for member in wanted {
      let given = try answer(member)
      ended.append(EndedRequest(number: member.request, ending: given.ending))
      answers[member.batch, default: []].append(given)
    }
    append(.requestsEnded(ended, at: now))
    markAnswered(Set(wanted.map(\.request)), of: row.number, true)
    for (number, given) in answers.sorted(by: { $0.key < $1.key }) {
      guard var batch = batches[number] else { continue }
      let completed = given.count { $0.ending == .completed }
      batch.record.completed += completed
      batch.record.failed += given.count - completed
      batch.record.inputTokens += given.reduce(0) { $0 + $1.input }
      batch.record.outputTokens += given.reduce(0) { $0 + $1.output }
      changeSettings { settings in
        settings.totals.completedRequests += completed
        settings.totals.failedRequests += given.count - completed
      }
      if batch.record.completed + batch.record.failed == batch.record.total {
        try advance(&batch, .allRequestsEnded)
      }
      put(batch)
    }
  }

  /// Notes whether requests of a unit have their answer from it.
  mutating func markAnswered(_ requests: Set<Int64>, of unit: Int64, _ isAnswered: Bool) {
    change(UnitRow.self, unit) { row in
      for place in row.members.indices where requests.contains(row.members[place].request) {
        row.members[place].isAnswered = isAnswered
      }
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
    noteRefuted(row.unit.replicas[place])
    try noteFailure(
      of: row.unit.replicas[place].worker, leased: row.leases[place].issuedAt)
  }

  /// The unit that a replica called invalid was computed by the trusted machine.
  mutating func noteRefuted(_ replica: Replica) {
    change(WorkerRow.self, replica.worker) { worker in
      for place in worker.refusals.indices where worker.refusals[place].replica == replica.id {
        worker.refusals[place].isRefuted = true
      }
    }
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
