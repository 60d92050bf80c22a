import CKernels

extension Compute {
  /// Stores keys [rows, K * keyDimension] and values [rows, K * valueDimension] of a layer at their
  /// positions, which `KeyValueCache.prepare` must have made writable. Stores saturate; NaN becomes
  /// +0.
  package func store(
    keys: Tensor, values: Tensor, layer: Int, sequences: [SequenceRows]
  ) {
    let rows = AttentionRows(queries: keys, keys: keys, values: values)
    let parts = parts(layer, sequences)
    for part in parts { part.check(rows) }
    place(rows, queryHeads: 0, parts, sequences)
  }

  /// output[rows, H * valueDimension] = causal attention of queries [rows, H * keyDimension] over
  /// each sequence's cache, which must already hold the rows' own keys and values. Rows of no
  /// sequence are left undefined.
  /// - Throws: `KernelError.outOfResources`.
  package func attention(
    queries: Tensor, layer: Int, shape: AttentionShape, sequences: [SequenceRows],
    into output: Tensor
  ) throws(KernelError) {
    let parts = parts(layer, sequences)
    let tasks = tasks(parts, shape) { _ in false }
    try run(queries, nil, tasks, parts, shape, sequences, output)
  }

  /// Normalises and rotates the heads of queries and keys in place, stores keys and values, and
  /// then does what `attention` does. Where a sequence has few rows, all of it is one task a head:
  /// the store then brings the lines of the cache that the scores read next.
  /// - Throws: `KernelError.outOfResources`.
  package func attend(
    _ rows: AttentionRows, layer: Int, shape: AttentionShape, sequences: [SequenceRows],
    into output: Tensor
  ) throws(KernelError) {
    let parts = parts(layer, sequences)
    for part in parts { part.check(rows) }
    let isFew = { (part: SequencePart) in part.rows.count <= Self.fewRows }
    let long = parts.filter { !isFew($0) }
    if !long.isEmpty { place(rows, queryHeads: shape.heads, long, sequences) }
    let placement = HeadPlacement(rows, queryHeads: shape.heads, kernels)
    let tasks = tasks(parts, shape, placing: isFew)
    try run(rows.queries, placement, tasks, parts, shape, sequences, output)
  }

  /// Rows of a sequence that a task places and attends one after the other.
  private static let fewRows = 4

  private func parts(_ layer: Int, _ sequences: [SequenceRows]) -> [SequencePart] {
    sequences.map { SequencePart($0, layer: layer) }
  }

  /// Prepares and stores the rows of `parts`, which belong to `sequences`.
  private func place(
    _ rows: AttentionRows, queryHeads: Int, _ parts: [SequencePart], _ sequences: [SequenceRows]
  ) {
    let placement = HeadPlacement(rows, queryHeads: queryHeads, kernels)
    let columns =
      rows.queries.columns + (rows.keys?.columns ?? 0) + (rows.values?.columns ?? 0)
    withExtendedLifetime(sequences) {
      for part in parts {
        overRows(part.rows.count, columns: columns) { range in
          for row in range {
            for head in 0..<part.cached.heads { placement.place(row, head, part) }
          }
        }
      }
    }
  }

  /// Heads of a sequence together where that leaves enough tasks for all threads: they lie side by
  /// side in the cache.
  private func tasks(
    _ parts: [SequencePart], _ shape: AttentionShape, placing: (SequencePart) -> Bool
  ) -> [AttentionTask] {
    var tasks: [AttentionTask] = []
    let isMany = parts.count >= 8 * pool.threads
    for (index, part) in parts.enumerated() {
      let places = placing(part)
      let heads = isMany && places ? part.cached.heads : 1
      let group = max(1, shape.heads / part.cached.heads)
      let rows = places ? part.rows.count : 4 * Int(CK_ATTENTION_ROWS) / group
      for head in stride(from: 0, to: part.cached.heads, by: heads) {
        for first in stride(from: 0, to: part.rows.count, by: max(1, rows)) {
          tasks.append(
            AttentionTask(
              part: index, heads: head..<min(part.cached.heads, head + heads),
              rows: first..<min(part.rows.count, first + rows), places: places))
        }
      }
    }
    return tasks
  }

  private func run(
    _ queries: Tensor, _ placement: HeadPlacement?, _ tasks: [AttentionTask],
    _ parts: [SequencePart], _ shape: AttentionShape, _ sequences: [SequenceRows],
    _ output: Tensor
  ) throws(KernelError) {
    precondition(output !== queries)
    try output.resize(rows: queries.rows)
    var floats = 0
    for part in parts {
      part.check(queries, output, shape)
      floats = max(floats, ck_attention_scratch(part.cached.keyDimension, part.cached.valueStride))
    }
    let perThread = roundUp(floats, 16)
    let memory = try scratch.attention(floats: perThread * pool.threads)
    let job = AttentionJob(
      tasks: tasks, parts: parts, shape: shape, placement: placement, queries: Rows(queries),
      output: Rows(output), kernels: kernels, scratch: memory, perThread: perThread)
    withExtendedLifetime(sequences) {
      pool.run(tasks: tasks.count) { task, thread in job.run(task, thread) }
    }
  }
}

extension Compute {
  /// The keys and values that a layer's cache holds of each sequence's rows: keys [rows, K * key
  /// dimension], values [rows, K * value dimension], as floats.
  /// - Throws: `KernelError.outOfResources`.
  package func read(
    layer: Int, sequences: [SequenceRows], keys: Tensor, values: Tensor
  ) throws(KernelError) {
    let count = sequences.reduce(0) { max($0, $1.rows.upperBound) }
    try keys.resize(rows: count)
    try values.resize(rows: count)
    for sequence in sequences {
      let cached = sequence.cache.layers[layer]
      precondition(keys.columns == cached.heads * cached.keyDimension)
      precondition(values.columns == cached.heads * cached.valueDimension)
      for (index, row) in sequence.rows.enumerated() {
        let position = sequence.startPosition + index
        for head in 0..<cached.heads {
          sequence.cache.read(
            position, layer: layer, head: head,
            key: keys.base + row * keys.stride + head * cached.keyDimension,
            value: values.base + row * values.stride + head * cached.valueDimension)
        }
      }
    }
  }
}
