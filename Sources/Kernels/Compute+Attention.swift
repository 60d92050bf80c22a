import CKernels

/// Consecutive rows of a step that belong to one sequence.
package struct SequenceRows {
  package let cache: KeyValueCache
  /// Rows of the step's tensors.
  package let rows: Range<Int>
  /// The position of the first of them.
  package let startPosition: Int

  package init(cache: KeyValueCache, rows: Range<Int>, startPosition: Int) {
    precondition(startPosition >= 0 && rows.lowerBound >= 0)
    self.cache = cache
    self.rows = rows
    self.startPosition = startPosition
  }
}

/// Grouped-query attention of one layer.
package struct AttentionShape: Sendable, Equatable {
  /// H: query heads, a multiple of the layer's key/value heads.
  package var heads: Int
  /// Multiplies scores, usually 1/sqrt(key dimension).
  package var scale: Float
  /// Keys that a query sees, itself included; nil: all before it.
  package var window: Int?
  /// Scores become `cap * tanh(score / cap)` (Gemma 2); nil: as they are.
  package var cap: Float?
  /// A logit for each query head that joins the sum of exponentials without a value (gpt-oss); empty:
  /// none.
  package var sinks: [Float]

  /// See the properties.
  package init(
    heads: Int, scale: Float, window: Int? = nil, cap: Float? = nil, sinks: [Float] = []
  ) {
    precondition(heads > 0 && (window ?? 1) > 0)
    precondition((cap ?? 1) > 0 && (sinks.isEmpty || sinks.count == heads))
    self.heads = heads
    self.scale = scale
    self.window = window
    self.cap = cap
    self.sinks = sinks
  }
}

/// One key/value head of one sequence, some of its rows.
struct AttentionTask {
  var arguments: ck_attention
  var rows: Range<Int>
}

extension Compute {
  /// Stores keys [rows, K * keyDimension] and values [rows, K * valueDimension] of a layer at their
  /// positions, which `KeyValueCache.prepare` must have made writable. Stores saturate; NaN becomes
  /// +0.
  package func store(
    keys: Tensor, values: Tensor, layer: Int, sequences: [SequenceRows]
  ) {
    for sequence in sequences {
      let (cache, shape) = (sequence.cache, sequence.cache.layers[layer])
      precondition(keys.columns == shape.heads * shape.keyDimension)
      precondition(values.columns == shape.heads * shape.valueDimension)
      precondition(sequence.rows.upperBound <= min(keys.rows, values.rows))
      precondition(sequence.startPosition + sequence.rows.count <= cache.capacity)
      let job = StoreJob(
        keys: Rows(keys), values: Rows(values), sequence: sequence, layer: layer, kernels: kernels)
      overRows(sequence.rows.count, columns: keys.columns + values.columns) { rows in
        for row in rows { job.store(row) }
      }
    }
  }

  /// output[rows, H * valueDimension] = causal attention of queries [rows, H * keyDimension] over
  /// each sequence's cache, which must already hold the rows' own keys and values. Rows of no
  /// sequence are left undefined.
  /// - Throws: `KernelError.outOfResources`.
  package func attention(
    queries: Tensor, layer: Int, shape: AttentionShape, sequences: [SequenceRows],
    into output: Tensor
  ) throws(KernelError) {
    precondition(output !== queries)
    try output.resize(rows: queries.rows)
    scratch.attentionTasks.removeAll(keepingCapacity: true)
    var floats = 0
    for sequence in sequences {
      let cached = sequence.cache.layers[layer]
      floats = max(floats, ck_attention_scratch(cached.keyDimension, cached.valueStride))
    }
    let perThread = roundUp(floats, 16)
    let memory = try scratch.attention(floats: perThread * pool.threads)
    shape.sinks.withUnsafeBufferPointer { sinks in
      for sequence in sequences {
        addTasks(queries, layer, shape, sinks.isEmpty ? nil : sinks.baseAddress, sequence, output)
      }
      let job = AttentionJob(
        tasks: scratch.attentionTasks, kernels: kernels, scratch: memory, perThread: perThread)
      withExtendedLifetime(sequences) {
        pool.run(tasks: job.tasks.count) { task, thread in job.run(task, thread) }
      }
    }
  }

  private func addTasks(
    _ queries: Tensor, _ layer: Int, _ shape: AttentionShape, _ sinks: UnsafePointer<Float>?,
    _ sequence: SequenceRows, _ output: Tensor
  ) {
    let (cache, cached) = (sequence.cache, sequence.cache.layers[layer])
    precondition(shape.heads % cached.heads == 0)
    precondition(queries.columns == shape.heads * cached.keyDimension)
    precondition(output.columns == shape.heads * cached.valueDimension)
    precondition(sequence.rows.upperBound <= queries.rows)
    precondition(sequence.startPosition + sequence.rows.count <= cache.capacity)
    let group = shape.heads / cached.heads
    let rowsPerTask = max(1, 4 * Int(CK_ATTENTION_ROWS) / group)
    for head in 0..<cached.heads {
      let offset = cache.offset(layer: layer, head: head)
      let query = queries.base + sequence.rows.lowerBound * queries.stride
      let target = output.base + sequence.rows.lowerBound * output.stride
      let arguments = ck_attention(
        q: query + head * group * cached.keyDimension, q_stride: queries.stride,
        out: target + head * group * cached.valueDimension, out_stride: output.stride,
        blocks: cache.addressTable, key_offset: offset,
        value_offset: offset + Int(CK_KEYS) * cached.keyDimension,
        value_stride: cached.valueStride, key_dim: cached.keyDimension,
        value_dim: cached.valueDimension, heads: group, first_position: sequence.startPosition,
        window: shape.window ?? 0, scale: shape.scale, cap: shape.cap ?? 0,
        sinks: sinks.map { $0 + head * group }, half: cache.element == .f16, scratch: nil)
      for first in stride(from: 0, to: sequence.rows.count, by: rowsPerTask) {
        scratch.attentionTasks.append(
          AttentionTask(
            arguments: arguments, rows: first..<min(sequence.rows.count, first + rowsPerTask)))
      }
    }
  }
}

/// Rows of one sequence on their way into its cache.
///
/// `@unchecked Sendable`: tasks write disjoint positions, in blocks that `prepare` made this
/// sequence's own.
private struct StoreJob: @unchecked Sendable {
  let keys: Rows
  let values: Rows
  let sequence: SequenceRows
  let layer: Int
  let kernels: KernelSet

  func store(_ row: Int) {
    let (cache, shape) = (sequence.cache, sequence.cache.layers[layer])
    let position = sequence.startPosition + row
    let (block, slot) = (cache.block(at: position), position % Int(CK_KEYS))
    let (width, half) = (cache.element.bytes, cache.element == .f16)
    let (key, value) = (
      keys[sequence.rows.lowerBound + row], values[sequence.rows.lowerBound + row]
    )
    for head in 0..<shape.heads {
      let keyBase = block + cache.offset(layer: layer, head: head) * width
      let valueBase = keyBase + Int(CK_KEYS) * shape.keyDimension * width
      ck_store_key(
        kernels.table, key + head * shape.keyDimension, shape.keyDimension, slot, keyBase, half)
      ck_store_value(
        kernels.table, value + head * shape.valueDimension, shape.valueDimension, slot,
        shape.valueStride, valueBase, half)
    }
  }
}

/// `@unchecked Sendable`: tasks write disjoint rows and heads; scratch is per thread.
private struct AttentionJob: @unchecked Sendable {
  let tasks: [AttentionTask]
  let kernels: KernelSet
  let scratch: UnsafeMutablePointer<Float>
  let perThread: Int

  func run(_ task: Int, _ thread: Int) {
    // The last rows of a prefill see the most keys: start with them, so that no thread is left with
    // a long one.
    let task = tasks[tasks.count - 1 - task]
    var arguments = task.arguments
    arguments.scratch = scratch + thread * perThread
    kernels.table.pointee.attention(&arguments, task.rows.lowerBound, task.rows.upperBound)
  }
}
