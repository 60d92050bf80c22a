import CoordinatorCore
import Foundation
import GRDB
import WirePayloads
import WireProtocol

/// A queue with what cutting learns from and writes to.
struct StoredQueue {
  var queue: WorkQueue
  var keyWeight: Double
  var estimate: GenerationEstimate
  let vocabulary: Digest
}

/// Requests chosen for a unit, with their sequences one after the other.
private struct Cut {
  struct Member {
    let request: Int64
    let queue: Int64
    let firstSequence: Int
  }
  var members: [Member] = []
  var sequences: [GenerateInputs.Sequence] = []
  var estimatedFlops = 0.0
  /// Of the longest sequence.
  var longestTokens = 0
}

extension StoredQueue {
  /// Queues that have something to do.
  ///
  /// - Parameter batch: of this batch alone; nil for all.
  static func active(_ db: Database, of owner: StoredOwner? = nil) throws -> [StoredQueue] {
    try db.all(
      """
      SELECT queue.*, manifest.*, api_key.virtual_time AS key_time, api_key.weight AS key_weight,
        (SELECT json_group_array(name) FROM model_name
          WHERE model_name.manifest = queue.manifest) AS model_names
      FROM queue JOIN manifest ON manifest.digest = queue.manifest
        JOIN api_key ON api_key.id = queue.key_id
      WHERE queue.released = 1 AND (queue.waiting > 0 OR queue.missing > 0)
        \(owner.map { "AND queue.\($0.column) = ?" } ?? "")
      """, owner.map { [$0.number] } ?? []
    ).map { row in
      let queue = WorkQueue(
        id: try row.value("number"), keyID: try row.value("key_id"),
        keyVirtualTime: try row.value("key_time"), virtualTime: try row.value("virtual_time"),
        priority: try row.value("priority"), pool: try row.name("pool"),
        model: try row.value("manifest"), cache: try row.name("cache"),
        cost: try ModelCost(row: row), waitingRequests: try row.value("waiting"),
        missingReplicas: try row.value("missing"), kind: try row.name("kind"),
        adapter: try row.optional("adapter"), models: try row.json("model_names"),
        licence: try row.optional("licence"))
      return StoredQueue(
        queue: queue, keyWeight: try row.value("key_weight"),
        estimate: GenerationEstimate(
          tokens: try row.value("learned_tokens"), sequences: try row.value("learned_sequences")),
        vocabulary: try row.value("vocabulary"))
    }
  }
}

extension Transaction {
  /// Cuts a unit from the first of `queues`, filled up from the others, which share units with it.
  /// Nil when no request waits that the worker has the memory for. The unit's specification never
  /// changes from here on.
  func cutUnit(
    from queues: [StoredQueue], sizing: UnitSizing, now: Timestamp
  ) throws -> StoredUnit? {
    guard let first = queues.first else { return nil }
    var sizing = sizing
    var cut = Cut()
    for queue in queues {
      if try fill(&cut, from: queue, &sizing) { break }
    }
    guard !cut.members.isEmpty else { return nil }
    let number = try insertUnit(cut, first, now: now)
    for member in cut.members {
      try db.run(
        "UPDATE request SET state = 'in_unit', unit = ?, first_sequence = ? WHERE number = ?",
        [number, member.firstSequence, member.request])
      // The unit's inputs blob holds the sequences from now on.
      try db.run("DELETE FROM request_input WHERE request = ?", [member.request])
    }
    for (queue, members) in Dictionary(grouping: cut.members, by: \.queue) {
      try db.run(
        "UPDATE queue SET waiting = waiting - ? WHERE number = ?", [members.count, queue])
    }
    return try StoredUnit.require(number, db)
  }

  /// Requests that are passed over in search of one that a worker has the memory for.
  private static let passedOverLimit = 200

  /// Takes waiting requests in line order, without those that the worker has too little memory for;
  /// true when the unit is full.
  private func fill(_ cut: inout Cut, from queue: StoredQueue, _ sizing: inout UnitSizing) throws
    -> Bool
  {
    let rows = try Row.fetchCursor(
      try db.cachedStatement(
        sql: """
          SELECT request.number AS number, request_input.sequences AS sequences
          FROM request JOIN request_input ON request_input.request = request.number
          WHERE request.queue = ? AND request.state = 'waiting' ORDER BY request.line
          """), arguments: [queue.queue.id])
    var passedOver = 0
    while passedOver < Self.passedOverLimit, let row = try rows.next() {
      let sequences = try SequenceCoding.decode(try row.value("sequences"))
      var size = UnitSizing.Request(
        sequences: sequences.count, flops: 0, cacheTokens: 0, longestTokens: 0)
      for sequence in sequences {
        let generated = queue.estimate.tokens(limit: sequence.maxTokens)
        size.flops += queue.queue.cost.flops(
          prompt: sequence.promptTokens.count, generated: generated)
        size.cacheTokens += sequence.promptTokens.count + generated
        size.longestTokens = max(
          size.longestTokens, sequence.promptTokens.count + sequence.maxTokens)
      }
      guard sizing.mayHold(size) else {
        passedOver += 1
        continue
      }
      guard sizing.take(size) else { return true }
      cut.members.append(
        Cut.Member(
          request: try row.value("number"), queue: queue.queue.id,
          firstSequence: cut.sequences.count))
      cut.sequences += sequences
      cut.estimatedFlops += size.flops
      cut.longestTokens = max(cut.longestTokens, size.longestTokens)
    }
    return false
  }

  private func insertUnit(_ cut: Cut, _ queue: StoredQueue, now: Timestamp) throws -> Int64 {
    let inputs = stage(try GenerateInputs(sequences: cut.sequences).encoded())
    let hasStops = cut.sequences.contains { !$0.stopStrings.isEmpty }
    let specification = UnitSpecification(
      kind: queue.queue.kind, model: queue.queue.model, inputs: inputs, cache: queue.queue.cache,
      vocabulary: hasStops ? queue.vocabulary : nil, adapter: queue.queue.adapter)
    let memory =
      UnitMemory.leastBytes(queue.queue.cost, queue.queue.cache)
      + UnitMemory.cacheBytes(queue.queue.cost, queue.queue.cache, tokens: cut.longestTokens)
    return try insert(
      NewUnit(
        specification: specification, queue: queue.queue.id, pool: queue.queue.pool,
        memoryBytes: memory, tokens: cut.sequences.map(\.promptTokens.count),
        flops: cut.estimatedFlops), now: now)
  }

  /// Opens a unit; gives its number.
  func insert(_ unit: NewUnit, now: Timestamp) throws -> Int64 {
    let wanted = policy.accountsWanted(in: unit.pool)
    let specification = unit.specification
    try db.run(
      """
      INSERT INTO unit (digest, specification, kind, inputs, adapter, queue, pool, state, wanted,
        missing, memory_bytes, prompt_tokens, estimated_flops, created_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?, ?, ?, ?, ?, ?)
      """,
      [
        try BlobDigest.unit(specification), try jsonText(specification),
        specification.kind.rawValue, specification.inputs, specification.adapter, unit.queue,
        unit.pool.rawValue, wanted, wanted, unit.memoryBytes, try jsonText(unit.tokens),
        unit.flops, now,
      ])
    let number = db.lastInsertedRowID
    try db.run("UPDATE queue SET missing = missing + ? WHERE number = ?", [wanted, unit.queue])
    return number
  }
}

/// A unit to be opened; its inputs are a durable blob, or staged.
struct NewUnit {
  var specification: UnitSpecification
  var queue: Int64
  var pool: WorkPool
  var memoryBytes: Int
  /// Prompt tokens of each sequence; of units that learn, all tokens.
  var tokens: [Int]
  var flops: Double
}
