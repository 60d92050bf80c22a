import CKernels

/// A sequence's rows and cache in one layer, as threads use them.
///
/// `@unchecked Sendable`: the cache's blocks stay where they are while the step holds the sequence;
/// tasks write disjoint heads or positions, in blocks that `prepare` made this sequence's own.
struct SequencePart: @unchecked Sendable {
  let rows: Range<Int>
  let startPosition: Int
  let cached: CacheLayer
  let capacity: Int
  let blocks: UnsafeMutablePointer<UnsafeRawPointer?>
  let element: CacheElement
  /// Of the layer's first head, in elements from the beginning of a block.
  let offset: Int

  init(_ sequence: SequenceRows, layer: Int) {
    let cache = sequence.cache
    (rows, startPosition) = (sequence.rows, sequence.startPosition)
    (cached, capacity, element) = (cache.layers[layer], cache.capacity, cache.element)
    (blocks, offset) = (cache.addressTable, cache.offset(layer: layer, head: 0))
    precondition(
      startPosition + rows.count <= capacity, "position \(capacity) and beyond were not prepared")
  }

  /// Elements from the beginning of a block to a head's keys; its values follow.
  func keyOffset(_ head: Int) -> Int { offset + head * cached.headElements }
  func valueOffset(_ head: Int) -> Int { keyOffset(head) + Int(CK_KEYS) * cached.keyDimension }

  /// Traps on tensors of other shapes.
  func check(_ rows: AttentionRows) {
    if let keys = rows.keys, let values = rows.values {
      precondition(keys.columns == cached.heads * cached.keyDimension)
      precondition(values.columns == cached.heads * cached.valueDimension)
      precondition(self.rows.upperBound <= min(keys.rows, values.rows))
    }
    guard let rope = rows.rope else { return }
    precondition(2 * rope.table.pairs <= cached.keyDimension)
    precondition(startPosition + self.rows.count <= rope.table.positions)
  }

  /// Traps on tensors of other shapes.
  func check(_ queries: Tensor, _ output: Tensor, _ shape: AttentionShape) {
    precondition(shape.heads % cached.heads == 0)
    precondition(queries.columns == shape.heads * cached.keyDimension)
    precondition(output.columns == shape.heads * cached.valueDimension)
    precondition(rows.upperBound <= queries.rows)
  }
}

/// What becomes of the heads of rows before they meet the cache.
///
/// `@unchecked Sendable`: tasks write disjoint rows and heads.
struct HeadPlacement: @unchecked Sendable {
  private let queries: Rows
  private let keys: Rows?
  private let values: Rows?
  private let queryHeads: Int
  private let queryNorm: RowNorm?
  private let keyNorm: RowNorm?
  private let valueNorm: RowNorm?
  private let valueScale: Float?
  private let rope: HeadRope?
  private let queryGrowth: QueryGrowth?
  private let kernels: KernelSet

  init(_ rows: AttentionRows, queryHeads: Int, _ kernels: KernelSet) {
    (queries, keys, values) = (
      Rows(rows.queries), rows.keys.map { Rows($0) }, rows.values.map { Rows($0) }
    )
    (queryNorm, keyNorm, valueNorm) = (rows.queryNorm, rows.keyNorm, rows.valueNorm)
    (valueScale, rope, queryGrowth) = (rows.valueScale, rows.rope, rows.queryGrowth)
    (self.queryHeads, self.kernels) = (queryHeads, kernels)
  }

  /// Prepares row `index` of a sequence for one key/value head, and stores that head.
  func place(_ index: Int, _ head: Int, _ part: SequencePart) {
    let (row, position) = (part.rows.lowerBound + index, part.startPosition + index)
    let (cached, group) = (part.cached, queryHeads / part.cached.heads)
    let first = queries[row] + head * group * cached.keyDimension
    prepare(first, group, cached.keyDimension, position, queryNorm)
    if let queryGrowth, group > 0 {
      let factor = queryGrowth.factor(at: position)
      kernels.table.pointee.scale(first, factor, group * cached.keyDimension, first)
    }
    guard let keys, let values else { return }
    let (slot, half) = (position % Int(CK_KEYS), part.element == .f16)
    guard let block = UnsafeMutableRawPointer(mutating: part.blocks[position / Int(CK_KEYS)]) else {
      // The executor prepares every position of a step, whatever the tokens are.
      preconditionFailure("position \(position) was not prepared")
    }
    // Values first: they may be what keys are now.
    withValue(values[row] + head * cached.valueDimension, cached.valueDimension) { value in
      ck_store_value(
        kernels.table, value, cached.valueDimension, slot, cached.valueStride,
        block + part.valueOffset(head) * part.element.bytes, half)
    }
    let key = keys[row] + head * cached.keyDimension
    prepare(key, 1, cached.keyDimension, position, keyNorm)
    ck_store_key(
      kernels.table, key, cached.keyDimension, slot,
      block + part.keyOffset(head) * part.element.bytes, half)
  }

  /// A value head, normalised and scaled.
  private func withValue(
    _ value: UnsafeMutablePointer<Float>, _ count: Int, _ body: (UnsafePointer<Float>) -> Void
  ) {
    guard valueNorm != nil || valueScale != nil else { return body(UnsafePointer(value)) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { buffer in
      guard let prepared = buffer.baseAddress else { return }
      prepared.update(from: value, count: count)
      if let valueNorm {
        kernels.table.pointee.rms_norm(
          prepared, valueNorm.weight, valueNorm.epsilon, count, prepared)
      }
      if let valueScale { kernels.table.pointee.scale(prepared, valueScale, count, prepared) }
      body(UnsafePointer(prepared))
    }
  }

  private func prepare(
    _ heads: UnsafeMutablePointer<Float>, _ count: Int, _ dimension: Int, _ position: Int,
    _ norm: RowNorm?
  ) {
    if let norm {
      for head in 0..<count {
        let values = heads + head * dimension
        kernels.table.pointee.rms_norm(values, norm.weight, norm.epsilon, dimension, values)
      }
    }
    guard let rope, count > 0 else { return }
    let at = position * rope.table.pairs
    rope.table.cosines.withUnsafeBufferPointer { cosines in
      rope.table.sines.withUnsafeBufferPointer { sines in
        guard let cosines = cosines.baseAddress, let sines = sines.baseAddress else { return }
        kernels.table.pointee.rope(
          heads, count, dimension, rope.table.pairs, cosines + at, sines + at, rope.isInterleaved)
      }
    }
  }
}

/// Some key/value heads of one sequence, some of its rows.
struct AttentionTask {
  var part: Int
  var heads: Range<Int>
  var rows: Range<Int>
  /// Whether the rows are yet to be stored.
  var places: Bool
}

/// `@unchecked Sendable`: tasks write disjoint rows and heads; scratch is per thread.
struct AttentionJob: @unchecked Sendable {
  let tasks: [AttentionTask]
  let parts: [SequencePart]
  let shape: AttentionShape
  let placement: HeadPlacement?
  let queries: Rows
  let output: Rows
  let kernels: KernelSet
  let scratch: UnsafeMutablePointer<Float>
  let perThread: Int

  func run(_ task: Int, _ thread: Int) {
    // The last rows of a prefill see the most keys: start with them, so that no thread is left with
    // a long one.
    let task = tasks[tasks.count - 1 - task]
    let part = parts[task.part]
    for head in task.heads {
      if task.places, let placement {
        for row in task.rows { placement.place(row, head, part) }
      }
      shape.sinks.withUnsafeBufferPointer { sinks in
        var arguments = arguments(part, head, sinks.isEmpty ? nil : sinks.baseAddress)
        arguments.scratch = scratch + thread * perThread
        kernels.table.pointee.attention(&arguments, task.rows.lowerBound, task.rows.upperBound)
      }
    }
  }

  private func arguments(
    _ part: SequencePart, _ head: Int, _ sinks: UnsafePointer<Float>?
  ) -> ck_attention {
    let (cached, group) = (part.cached, shape.heads / part.cached.heads)
    let first = part.rows.lowerBound
    return ck_attention(
      q: queries[first] + head * group * cached.keyDimension, q_stride: queries.stride,
      out: output[first] + head * group * cached.valueDimension, out_stride: output.stride,
      blocks: part.blocks, key_offset: part.keyOffset(head), value_offset: part.valueOffset(head),
      value_stride: cached.valueStride, key_dim: cached.keyDimension,
      value_dim: cached.valueDimension, heads: group, first_position: part.startPosition,
      window: shape.window ?? 0, scale: shape.scale, cap: shape.cap ?? 0,
      sinks: sinks.map { $0 + head * group }, half: part.element == .f16, scratch: nil)
  }
}
