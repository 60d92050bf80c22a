import WireProtocol

extension Fleet {
  /// Moves a batch along and notes the time; the caller puts it in its place, and does what the
  /// event means for its requests.
  ///
  /// - Throws: `StoreError.conflict` when its state does not take the event.
  mutating func advance(_ batch: inout BatchRow, _ event: BatchEvent) throws {
    let old = batch.record.state
    let new: BatchState
    do {
      new = try old.after(event)
    } catch let error as BatchTransitionError {
      throw StoreError(.conflict, "Batch \(batch.record.id): \(error.description).")
    }
    guard new != old else { return }
    batch.record.state = new
    switch new {
    case .validating: break
    case .failed: batch.record.times.failed = now
    case .inProgress: batch.record.times.inProgress = now
    case .finalizing: batch.record.times.finalizing = now
    case .completed: batch.record.times.completed = now
    case .expired: batch.record.times.expired = now
    case .cancelling: batch.record.times.cancelling = now
    case .cancelled: batch.record.times.cancelled = now
    }
    changeSettings { settings in
      settings.totals.batches[old.status, default: 0] -= 1
      settings.totals.batches[new.status, default: 0] += 1
    }
  }

  /// Ends all open requests of a batch that was stopped, drops units that nobody needs any more,
  /// and counts the lines as failed.
  ///
  /// - Parameter batch: in the state that it was stopped in.
  mutating func endOpenRequests(of batch: inout BatchRow, as ending: EndedRequest.Ending) {
    // A batch that was stopped while it was validated has not counted any line yet.
    batch.record.total = max(batch.record.total, batch.appended)
    let failed = batch.record.total - batch.record.completed
    let ended = failed - batch.record.failed
    batch.record.failed = failed
    put(batch)
    changeSettings { $0.totals.failedRequests += ended }
    append(.openRequestsEnded(batch: batch.number, ending, at: now))
    dropWaiting(of: batch.number)
    for number in index.work.openUnitsOfBatch[batch.number].sorted() {
      guard let before = units[number], !before.members.contains(where: isOpen) else { continue }
      var row = before
      row.unit.cancel()
      save(row, before: before)
    }
  }

  /// Whether somebody waits for a request of a unit that has not ended.
  func isOpen(_ member: UnitMember) -> Bool {
    batches[member.batch]?.record.state == .inProgress
  }

  fileprivate mutating func dropWaiting(of batch: Int64) {
    for queue in index.work.queuesOfOwner[.batch(batch)].sorted() {
      change(QueueRow.self, queue) { row in
        (row.waiting, row.waitingSequences) = (0, 0)
        (row.waitingPromptTokens, row.waitingMaxTokens) = (0, 0)
      }
      remove(RequestWindow.self, queue)
    }
  }

  /// Replaces a failed batch's requests by the errors that they failed for.
  mutating func record(_ errors: [BatchError], of batch: inout BatchRow) {
    append(.requestsRemoved(batch: batch.number))
    dropWaiting(of: batch.number)
    batch.record.errors = errors
    put(batch)
  }
}

/// A client stops a batch: running units are dropped, finished lines will be delivered. Cancelling
/// twice is no mistake.
package struct CancelBatch: FleetEvent {
  package let id: String
  package let key: String

  package init(id: String, key: String) {
    self.id = id
    self.key = key
  }

  /// - Throws: `StoreError.notFound`; `.conflict` when it has ended otherwise or is writing its
  ///   files.
  package func decide(in fleet: inout Fleet) throws -> BatchRecord {
    var batch = try fleet.requireBatch(id, key: key)
    let state = batch.record.state
    try fleet.advance(&batch, .cancelRequested)
    if state != batch.record.state { fleet.endOpenRequests(of: &batch, as: .cancelled) }
    return batch.record
  }
}

/// The files of a batch are durable. Repeating it gives the ended batch.
package struct FinishBatch: FleetEvent {
  package let id: String
  package let output: NewFile?
  package let errors: NewFile?

  package init(id: String, output: NewFile?, errors: NewFile?) {
    self.id = id
    self.output = output
    self.errors = errors
  }

  /// - Throws: `StoreError.notFound`, `.conflict`.
  package func decide(in fleet: inout Fleet) throws -> BatchRecord {
    var batch = try fleet.requireBatch(id)
    if batch.record.state.hasEnded { return batch.record }
    try fleet.advance(&batch, .filesWritten)
    batch.record.outputFileID = output.map { fleet.insertFile($0).id }
    batch.record.errorFileID = errors.map { fleet.insertFile($0).id }
    fleet.put(batch)
    return batch.record
  }
}

/// The operator moves a batch before or behind the others of its key; running units go on.
package struct SetPriority: FleetEvent {
  package let batch: String
  package let priority: Int

  /// - Throws: `StoreError.invalid`.
  package init(batch: String, priority: Int) throws {
    guard (-100...100).contains(priority) else {
      throw StoreError(.invalid, "A batch's priority is -100 to 100.")
    }
    self.batch = batch
    self.priority = priority
  }

  /// - Throws: `StoreError.notFound`; `.conflict` when it has ended.
  package func decide(in fleet: inout Fleet) throws {
    var row = try fleet.requireBatch(batch)
    guard !row.record.state.hasEnded else {
      throw StoreError(.conflict, "The batch \(batch) has ended.")
    }
    row.record.priority = priority
    fleet.put(row)
    for queue in fleet.index.work.queuesOfOwner[.batch(row.number)].sorted() {
      fleet.change(QueueRow.self, queue) { $0.priority = priority }
    }
  }
}

/// What came due, how much of it was done, and why some of it could not be.
package struct DueReport: Hashable, Sendable {
  package var handled = 0
  package var failures: [String] = []

  package init() {}
}

/// Batches whose window closed end, the earliest first. One that cannot be ended does not keep the
/// others open.
package struct ExpireBatches: FleetEvent {
  package init() {}

  package func decide(in fleet: inout Fleet) throws -> DueReport {
    var report = DueReport()
    var left: [(Timestamp, Int64)] = []
    while let first = fleet.index.work.batchEnds.first, first.time <= fleet.now {
      fleet.index.work.batchEnds.removeFirst()
      guard let batch = fleet.batches[first.item], batch.isExpiring else { continue }
      guard batch.record.times.expires <= fleet.now else {
        left.append((batch.record.times.expires, batch.number))
        continue
      }
      do {
        try fleet.attempt { try $0.expire(batch) }
        report.handled += 1
      } catch {
        report.failures.append("batch \(batch.number): \(error)")
        left.append((batch.record.times.expires, batch.number))
      }
    }
    for (time, number) in left { fleet.index.work.batchEnds.add(number, at: time) }
    return report
  }
}

extension BatchRow {
  /// Whether its window still matters.
  var isExpiring: Bool { record.state == .validating || record.state == .inProgress }
}

extension Fleet {
  fileprivate mutating func expire(_ row: BatchRow) throws {
    var batch = row
    try advance(&batch, .windowClosed)
    if batch.record.state == .failed {
      let message = "The completion window closed before the batch was validated."
      record([BatchError(code: "batch_expired", line: nil, message: message)], of: &batch)
    } else {
      endOpenRequests(of: &batch, as: .expired)
    }
  }

  /// When the window of a batch closes next.
  package var nextBatchEnd: Timestamp? {
    index.work.openBatches.lazy.compactMap { batches[$0] }.filter(\.isExpiring)
      .map(\.record.times.expires).min()
  }
}
