import WirePayloads
import WireProtocol

/// A slice of validated lines is added to a batch in `validating`. A line that is there already is
/// left as it is. Nothing runs before `FinishValidation`.
package struct AppendRequests: FleetEvent {
  package let batch: String
  private let lines: [Line]

  /// A line with its sequences as they are stored.
  private struct Line: Sendable {
    let request: NewRequest
    let input: [UInt8]?
  }

  /// - Throws: `StoreError.invalid` for what could not be written into a unit's inputs later: it
  ///   would hold up its queue for ever.
  package init(_ requests: [NewRequest], to batch: String) throws {
    try requests.checkWork()
    self.batch = batch
    lines = requests.map { request in
      guard case .run(let work) = request.content else { return Line(request: request, input: nil) }
      return Line(request: request, input: Array(SequenceCoding.encode(work.sequences)))
    }
  }

  /// - Throws: `StoreError.conflict` when the batch is not `validating`; `.invalid` for an unknown
  ///   model.
  package func decide(in fleet: inout Fleet) throws {
    var row = try fleet.requireBatch(batch)
    guard row.record.state == .validating else {
      throw StoreError(.conflict, "Batch \(batch) is \(row.record.state.status), not validating.")
    }
    var added: [RequestRow] = []
    for line in lines where line.request.line > row.lastLine {
      added.append(try fleet.append(line.request, input: line.input, to: row))
      row.lastLine = line.request.line
      row.appended += 1
      if line.input == nil { row.appendedFailures += 1 }
    }
    guard !added.isEmpty else { return }
    fleet.put(row)
    fleet.append(.requestsAdded(added))
  }
}

extension Fleet {
  fileprivate mutating func append(
    _ request: NewRequest, input: [UInt8]?, to batch: BatchRow
  ) throws -> RequestRow {
    switch request.content {
    case .failed(let failure):
      return RequestRow(
        number: nextNumber("request"), batch: batch.number, line: request.line,
        id: newID("batch_req_"), customID: request.customID, rendering: request.rendering,
        state: .ended(.failed(failure), at: nil), queue: nil, sequences: 0, promptTokens: 0,
        maxTokens: 0, input: nil)
    case .run(let work):
      let number = try queue(for: work, of: batch)
      let prompt = work.sequences.reduce(0) { $0 + $1.promptTokens.count }
      let limit = work.sequences.reduce(0) { $0 + $1.maxTokens }
      change(QueueRow.self, number) { queue in
        queue.waiting += 1
        queue.waitingSequences += work.sequences.count
        queue.waitingPromptTokens += prompt
        queue.waitingMaxTokens += limit
      }
      return RequestRow(
        number: nextNumber("request"), batch: batch.number, line: request.line,
        id: newID("batch_req_"), customID: request.customID, rendering: request.rendering,
        state: .waiting, queue: number, sequences: work.sequences.count, promptTokens: prompt,
        maxTokens: limit, input: input.map { .init($0) })
    }
  }

  /// The batch's queue for a model, made when it is new.
  private mutating func queue(for work: RequestWork, of batch: BatchRow) throws -> Int64 {
    let known = index.work.queuesOfOwner[.batch(batch.number)].sorted().first { number in
      guard let queue = queues[number] else { return false }
      return queue.model == work.model && queue.cache == work.cache
        && queue.adapter == work.adapter
    }
    if let known { return known }
    guard manifests[work.model] != nil else {
      throw StoreError(.invalid, "The model \(work.model) is not registered.")
    }
    let row = QueueRow(
      number: nextNumber("queue"), owner: .batch(batch.number), kind: .generate,
      keyID: batch.record.keyID, pool: batch.record.pool, model: work.model, cache: work.cache,
      adapter: work.adapter, priority: batch.record.priority)
    put(row)
    return row.number
  }
}

extension [NewRequest] {
  /// Refuses what could not be written into a unit's inputs later: it would hold up its queue for
  /// ever.
  ///
  /// - Throws: `StoreError.invalid`.
  package func checkWork() throws {
    let works = compactMap { request -> (line: Int, sequences: [GenerateInputs.Sequence])? in
      if case .run(let work) = request.content { (request.line, work.sequences) } else { nil }
    }
    let limit = GenerateInputs.Limit.sequences
    for work in works where !(1...limit).contains(work.sequences.count) {
      throw StoreError(
        .invalid, "Line \(work.line) has \(work.sequences.count) sequences, not 1 to \(limit).")
    }
    // All at once, since it is the same work for one as for hundreds; then one by one for the line.
    if (try? GenerateInputs(sequences: works.flatMap(\.sequences)).encoded()) != nil { return }
    for work in works {
      do {
        _ = try GenerateInputs(sequences: work.sequences).encoded()
      } catch {
        throw StoreError(.invalid, "Line \(work.line): \(error)")
      }
    }
  }
}

/// Every line was read: the requests run; the batch is `inProgress`, or `finalizing` when every
/// line failed already.
package struct FinishValidation: FleetEvent {
  package let batch: String
  /// The name that all lines share, for the batch object.
  package let model: String?

  package init(batch: String, model: String?) {
    self.batch = batch
    self.model = model
  }

  /// - Throws: `StoreError.notFound`, `.conflict`.
  package func decide(in fleet: inout Fleet) throws -> BatchRecord {
    var row = try fleet.requireBatch(batch)
    let (total, failed) = (row.appended, row.appendedFailures)
    if row.record.state == .validating {
      do {
        // Others may have been created while this one's tokens were not known.
        try fleet.requireQuota(.tokens, key: row.record.keyID, at: fleet.now)
      } catch let refusal as QuotaRefusal {
        try fleet.advance(&row, .invalid)
        let error = BatchError(
          code: "token_limit_exceeded", line: nil, message: refusal.description)
        fleet.record([error], of: &row)
        return row.record
      }
    }
    try fleet.advance(&row, failed == total ? .allRequestsEnded : .validated)
    row.record.total = total
    row.record.failed = failed
    row.record.model = model
    let queues = fleet.index.work.queuesOfOwner[.batch(row.number)].sorted()
    row.reservedTokens = queues.reduce(0) { sum, number in
      let queue = fleet.queues[number]
      return sum + (queue?.waitingPromptTokens ?? 0) + (queue?.waitingMaxTokens ?? 0)
    }
    fleet.put(row)
    fleet.changeSettings { $0.totals.failedRequests += failed }
    // The key's new queue starts where its active ones are, so that it neither waits for them nor
    // holds them up.
    let start = fleet.startingTime(ofKey: row.record.keyID)
    for queue in queues {
      fleet.change(QueueRow.self, queue) { $0.isReleased = true; $0.virtualTime = start }
    }
    return row.record
  }
}

/// Lines of a batch are invalid: it runs nothing. The first `StoreLimit.storedErrors` are kept.
package struct FailValidation: FleetEvent {
  package let batch: String
  package let errors: [BatchError]

  package init(batch: String, errors: [BatchError]) {
    self.batch = batch
    self.errors = errors
  }

  /// - Throws: `StoreError.notFound`, `.conflict`.
  package func decide(in fleet: inout Fleet) throws -> BatchRecord {
    var row = try fleet.requireBatch(batch)
    try fleet.advance(&row, .invalid)
    fleet.record(Array(errors.prefix(StoreLimit.storedErrors)), of: &row)
    return row.record
  }
}
