import Foundation
import WirePayloads
import WireProtocol

/// A unit to be opened; its inputs are a durable blob, or an effect of the same decision.
struct NewUnit {
  var specification: UnitSpecification
  var queue: Int64
  var pool: WorkPool
  var memoryBytes: Int
  /// Prompt tokens of each sequence; of units that learn, all tokens.
  var tokens: [Int]
  var flops: Double
  var members: [UnitMember] = []
  var tuning: TuningShard?
}

/// Requests that are chosen for a unit, with their sequences one after the other.
struct Cutting {
  /// What a queue gives to the unit.
  private struct Part {
    let queue: Int64
    var requests: Set<Int64> = []
    var sequences = 0
    var promptTokens = 0
    var maxTokens = 0
  }
  /// Requests that are passed over in search of one that a worker has the memory for.
  private static let passedOverLimit = 200

  private var sizing: UnitSizing
  private(set) var isFull = false
  private var members: [UnitMember] = []
  private var parts: [Part] = []
  private var sequences: [GenerateInputs.Sequence] = []
  private var flops = 0.0
  /// Of the longest sequence.
  private var longestTokens = 0

  init(sizing: UnitSizing) { self.sizing = sizing }

  /// Takes waiting requests in line order, without those that the worker has too little memory for.
  ///
  /// - Throws: `Lack.window`; `StoreError.corrupt`.
  mutating func fill(from queue: WorkQueue, in fleet: Fleet) throws {
    guard let row = fleet.queues[queue.id] else { return }
    let requests = fleet.windows[queue.id]?.requests ?? []
    let batch: Int64 = if case .batch(let number) = row.owner { number } else { 0 }
    var part = Part(queue: queue.id)
    var passedOver = 0
    defer { if !part.requests.isEmpty { parts.append(part) } }
    for request in requests {
      guard passedOver < Self.passedOverLimit else { return }
      let own = try SequenceCoding.decode(request.input)
      let size = size(of: own, queue, row.estimate)
      guard sizing.mayHold(size) else {
        passedOver += 1
        continue
      }
      guard sizing.take(size) else {
        isFull = true
        return
      }
      members.append(
        UnitMember(
          request: request.number, batch: batch, queue: queue.id,
          firstSequence: sequences.count, sequences: own.count))
      sequences += own
      flops += size.flops
      longestTokens = max(longestTokens, size.longestTokens)
      part.requests.insert(request.number)
      part.sequences += own.count
      part.promptTokens += own.reduce(0) { $0 + $1.promptTokens.count }
      part.maxTokens += own.reduce(0) { $0 + $1.maxTokens }
      if sizing.count >= sizing.requests {
        isFull = true
        return
      }
    }
    if passedOver < Self.passedOverLimit, requests.count < row.waiting {
      try fleet.need(.window(queue: queue.id))
    }
  }

  private func size(
    of sequences: [GenerateInputs.Sequence], _ queue: WorkQueue, _ estimate: GenerationEstimate
  ) -> UnitSizing.Request {
    var size = UnitSizing.Request(
      sequences: sequences.count, flops: 0, cacheTokens: 0, longestTokens: 0)
    for sequence in sequences {
      let generated = estimate.tokens(limit: sequence.maxTokens)
      size.flops += queue.cost.flops(prompt: sequence.promptTokens.count, generated: generated)
      size.cacheTokens += sequence.promptTokens.count + generated
      size.longestTokens = max(
        size.longestTokens, sequence.promptTokens.count + sequence.maxTokens)
    }
    return size
  }

  /// Opens the unit; nil when no request was chosen. Its specification never changes from here on.
  ///
  /// - Parameter queue: the first of those that it was filled from.
  func open(for queue: WorkQueue, in fleet: inout Fleet) throws -> UnitRow? {
    guard !members.isEmpty else { return nil }
    let inputs = try GenerateInputs(sequences: sequences).encoded()
    let digest = BlobDigest.sha256(inputs)
    fleet.append(.blob(digest, inputs))
    let hasStops = sequences.contains { !$0.stopStrings.isEmpty }
    let specification = UnitSpecification(
      kind: queue.kind, model: queue.model, inputs: digest, cache: queue.cache,
      vocabulary: hasStops ? fleet.manifests[queue.model]?.vocabulary : nil,
      adapter: queue.adapter)
    let memory =
      UnitMemory.leastBytes(queue.cost, queue.cache)
      + UnitMemory.cacheBytes(queue.cost, queue.cache, tokens: longestTokens)
    let unit = try fleet.open(
      NewUnit(
        specification: specification, queue: queue.id, pool: queue.pool, memoryBytes: memory,
        tokens: sequences.map(\.promptTokens.count), flops: flops, members: members))
    fleet.append(.requestsCut(unit: unit.number, members))
    for part in parts {
      fleet.change(QueueRow.self, part.queue) { row in
        row.waiting -= part.requests.count
        row.waitingSequences -= part.sequences
        row.waitingPromptTokens -= part.promptTokens
        row.waitingMaxTokens -= part.maxTokens
      }
      fleet.change(RequestWindow.self, part.queue) { window in
        window.requests.removeAll { part.requests.contains($0.number) }
      }
    }
    return unit
  }
}

extension Fleet {
  /// Opens a unit and counts what it lacks.
  mutating func open(_ unit: NewUnit) throws -> UnitRow {
    var row = UnitRow(
      number: nextNumber("unit"), digest: try BlobDigest.unit(unit.specification),
      specification: unit.specification, queue: unit.queue, memoryBytes: unit.memoryBytes,
      promptTokens: unit.tokens, estimatedFlops: unit.flops, createdAt: now, tuning: unit.tuning,
      unit: WorkUnit(pool: unit.pool, wanted: policy.accountsWanted(in: unit.pool)))
    row.members = unit.members
    save(row, before: nil)
    return row
  }
}
