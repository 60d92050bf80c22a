import WireProtocol

/// What a verdict adds to the totals, or takes from them.
private struct Grant {
  var results: Int
  var credit: Credit
  var tokens: Int
  var energy: Energy

  /// What takes it back.
  var inverse: Grant {
    Grant(
      results: -results, credit: Credit(micro: -credit.micro), tokens: -tokens,
      energy: Energy(
        millijoules: -energy.millijoules, estimatedMillijoules: -energy.estimatedMillijoules))
  }
}

extension Tally {
  fileprivate mutating func add(_ grant: Grant, at now: Timestamp) {
    accepted += grant.results
    tokens += grant.tokens
    credit.micro += grant.credit.micro
    energy.millijoules += grant.energy.millijoules
    energy.estimatedMillijoules += grant.energy.estimatedMillijoules
    average.add(grant.credit, now: now)
    average.value = max(0, average.value)
  }
}

/// Credit, trust and receipts: what a verdict does to those who sent results.
extension Fleet {
  /// A result was the verified one: its worker and account get the unit's credit.
  mutating func grant(_ row: UnitRow, _ replica: Int64) throws {
    guard let acceptance = row.unit.state.acceptance, let place = row.index(ofReplica: replica)
    else { throw StoreError(.corrupt, "Replica \(replica) has no accepted unit.") }
    let credit = Credit(flops: row.flops ?? 0)
    let one = row.unit.replicas[place]
    change(UnitRow.self, row.number) { [now] unit in
      unit.leases[place].credit = credit
      unit.leases[place].grantedAt = now
    }
    book(grant(row.leases[place], credit), to: one, day: now)
    change(AccountRow.self, one.account) { [now] in $0.streak.add(Day(containing: now)) }
    change(WorkerRow.self, one.worker) { worker in
      var trust = TrustRecord(consecutiveValid: worker.consecutiveValid)
      trust.recordValid(acceptance.verification)
      worker.consecutiveValid = trust.consecutiveValid
    }
    try appendReceipt(row, place, .accepted, acceptance.verification, credit)
  }

  private func grant(_ lease: LeaseRow, _ credit: Credit) -> Grant {
    Grant(
      results: 1, credit: credit, tokens: lease.summaries.reduce(0) { $0 + $1.tokens },
      energy: lease.energy ?? Energy())
  }

  /// Adds to what an account, a worker and a day have been granted, or takes from it.
  ///
  /// - Parameter day: a time of the day that it counts for.
  private mutating func book(_ grant: Grant, to one: Replica, day: Timestamp) {
    change(AccountRow.self, one.account) { [now] in $0.tally.add(grant, at: now) }
    change(WorkerRow.self, one.worker) { [now] in $0.tally.add(grant, at: now) }
    count(
      DayContribution(
        day: Day(containing: day), accepted: grant.results, rejected: 0, tokens: grant.tokens,
        credit: grant.credit, energy: grant.energy), of: one.worker)
  }

  /// Adds to a worker's day.
  private mutating func count(_ part: DayContribution, of worker: String) {
    append(.contribution(worker: worker, part))
    let today = Day(containing: now)
    guard part.day == today else { return }
    change(WorkerRow.self, worker) { row in
      if row.today != today {
        (row.today, row.acceptedToday, row.creditToday) = (today, 0, Credit(micro: 0))
      }
      row.acceptedToday += part.accepted
      row.creditToday.micro += part.credit.micro
    }
  }

  /// A result was accepted and is wrong: what it was granted is taken back.
  mutating func revoke(_ row: UnitRow, _ replica: Int64) throws -> Caught {
    guard let place = row.index(ofReplica: replica) else {
      throw StoreError(.corrupt, "There is no replica \(replica).")
    }
    let lease = row.leases[place]
    change(UnitRow.self, row.number) { $0.leases[place].credit = Credit(micro: 0) }
    let day = lease.grantedAt ?? row.endedAt ?? now
    book(grant(lease, lease.credit).inverse, to: row.unit.replicas[place], day: day)
    return try reject(row, replica, credit: Credit(micro: -lease.credit.micro))
  }

  /// A result was wrong: no trust is left, the worker gets no work for a while, and its account is
  /// held back.
  ///
  /// - Parameter credit: what the receipt says; negative for credit that is taken back.
  mutating func reject(
    _ row: UnitRow, _ replica: Int64, credit: Credit = Credit(micro: 0)
  ) throws -> Caught {
    guard let place = row.index(ofReplica: replica) else {
      throw StoreError(.corrupt, "There is no replica \(replica).")
    }
    let one = row.unit.replicas[place]
    let rejections = (workers[one.worker]?.tally.rejected ?? 0) + 1
    let end = now.adding(seconds: policy.suspension(afterRejections: rejections))
    change(WorkerRow.self, one.worker) { worker in
      worker.tally.rejected = rejections
      var trust = TrustRecord()
      trust.recordInvalid()
      worker.consecutiveValid = trust.consecutiveValid
      worker.suspendedUntil = end
    }
    count(
      DayContribution(
        day: Day(containing: now), accepted: 0, rejected: 1, tokens: 0, credit: Credit(micro: 0)),
      of: one.worker)
    try appendReceipt(
      row, place, .rejected, row.unit.state.acceptance?.verification, credit)
    let wrong = WrongResult(
      worker: one.worker, flops: row.flops ?? row.estimatedFlops,
      submittedAt: row.leases[place].submittedAt ?? now)
    let penalty = try penalise(account: one.account, for: wrong, enrolmentFrom: end)
    return Caught(worker: one.worker, account: one.account, penalty: penalty)
  }

  /// Appends to the chain of receipts.
  mutating func appendReceipt(
    _ row: UnitRow, _ place: Int, _ verdict: ReceiptRecord.Body.Verdict,
    _ verification: Verification?, _ credit: Credit
  ) throws {
    let replica = row.unit.replicas[place]
    guard let result = replica.result else {
      throw StoreError(.corrupt, "Replica \(replica.id) has no result.")
    }
    let previous = setting.receiptHead
    let body = ReceiptRecord.Body(
      sequence: setting.receipts + 1, unit: row.digest, result: result, worker: replica.worker,
      account: replica.account, verdict: verdict, verification: verification,
      microcredit: credit.micro, time: now)
    let text = try Self.json(body)
    let hash = ReceiptRecord.hash(previous: previous, body: text)
    changeSettings { settings in
      settings.receipts = body.sequence
      settings.receiptHead = hash
    }
    append(
      .receipt(
        ReceiptRow(
          replica: replica.id, record: ReceiptRecord(body: body, previous: previous, hash: hash),
          text: text)))
  }
}
