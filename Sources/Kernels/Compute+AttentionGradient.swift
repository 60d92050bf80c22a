import CKernels

/// Queries [rows, H * E], keys [rows, K * E] and values [rows, K * value dimension] of whole
/// sequences as they met in attention, after norms and rotation; or the gradients of these.
package struct AttentionTensors {
  package var queries: Tensor
  package var keys: Tensor
  package var values: Tensor

  package init(queries: Tensor, keys: Tensor, values: Tensor) {
    (self.queries, self.keys, self.values) = (queries, keys, values)
  }
}

extension Compute {
  /// Bytes of scratch that `attentionGradient` takes for each thread.
  ///
  /// - Parameter tokens: of the longest sequence.
  package static func attentionGradientBytes(
    tokens: Int, keyDimension: Int, valueDimension: Int
  ) -> Int {
    4 * AttentionGradientScratch(
      tokens: tokens, keyDimension: keyDimension, valueDimension: valueDimension
    ).floats
  }

  /// From the gradient of what attention gave [rows, H * value dimension]: those of queries, keys
  /// and values, which get the rows of `inputs`.
  ///
  /// - Parameters:
  ///   - shape: without sinks.
  ///   - sequences: the rows of each sequence, from its first position on; together all rows.
  ///   - keyValueHeads: K.
  /// - Throws: `KernelError.outOfResources`.
  package func attentionGradient(
    _ inputs: AttentionTensors, _ output: Tensor, shape: AttentionShape, keyValueHeads: Int,
    sequences: [Range<Int>], into gradients: AttentionTensors
  ) throws(KernelError) {
    precondition(shape.sinks.isEmpty && keyValueHeads > 0 && shape.heads % keyValueHeads == 0)
    precondition(inputs.keys.columns % keyValueHeads == 0)
    let keyDimension = inputs.keys.columns / keyValueHeads
    let valueDimension = inputs.values.columns / keyValueHeads
    precondition(inputs.queries.columns == shape.heads * keyDimension)
    precondition(output.columns == shape.heads * valueDimension)
    for (gradient, input) in [
      (gradients.queries, inputs.queries), (gradients.keys, inputs.keys),
      (gradients.values, inputs.values),
    ] {
      precondition(gradient !== input && gradient.columns == input.columns)
      precondition(input.rows == output.rows)
      try gradient.resize(rows: input.rows)
    }
    precondition(sequences.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= output.rows })
    let longest = sequences.reduce(0) { max($0, $1.count) }
    guard longest > 0 else { return }
    let layout = AttentionGradientScratch(
      tokens: longest, keyDimension: keyDimension, valueDimension: valueDimension)
    let memory = try scratch.attention(floats: layout.floats * pool.threads)
    let job = AttentionGradientJob(
      shape: shape, keyValueHeads: keyValueHeads, keyDimension: keyDimension,
      valueDimension: valueDimension, queries: Rows(inputs.queries), keys: Rows(inputs.keys),
      values: Rows(inputs.values), output: Rows(output), queryGradient: Rows(gradients.queries),
      keyGradient: Rows(gradients.keys), valueGradient: Rows(gradients.values),
      sequences: sequences, kernels: kernels, scratch: memory, layout: layout)
    pool.run(tasks: sequences.count * keyValueHeads) { task, thread in job.run(task, thread) }
  }
}

/// Where one thread's scratch keeps what it needs, in floats from its beginning.
private struct AttentionGradientScratch {
  /// Keys of a block of queries, a multiple of 16.
  let stride: Int
  let keyPanels: Int
  let valuePanels: Int
  let blockPanels: Int
  let scores: Int
  let weights: Int
  let slopes: Int
  let floats: Int

  init(tokens: Int, keyDimension: Int, valueDimension: Int) {
    stride = roundUp(tokens, Int(CK_PANEL))
    let rows = min(Int(CK_CHAIN), tokens)
    keyPanels = 0
    valuePanels = keyPanels + stride * roundUp(keyDimension, 16)
    blockPanels = valuePanels + stride * roundUp(valueDimension, 16)
    scores = blockPanels + stride * roundUp(keyDimension, 16)
    weights = scores + rows * stride
    slopes = weights + rows * stride
    floats = slopes + rows * stride
  }
}

/// One sequence and key/value head a task: its queries in blocks of 256, for each the heads of its
/// group in order.
///
/// `@unchecked Sendable`: tasks write disjoint rows and heads; scratch is per thread.
private struct AttentionGradientJob: @unchecked Sendable {
  let shape: AttentionShape
  let keyValueHeads: Int
  let keyDimension: Int
  let valueDimension: Int
  let queries: Rows
  let keys: Rows
  let values: Rows
  let output: Rows
  let queryGradient: Rows
  let keyGradient: Rows
  let valueGradient: Rows
  let sequences: [Range<Int>]
  let kernels: KernelSet
  let scratch: UnsafeMutablePointer<Float>
  let layout: AttentionGradientScratch

  /// Keys that are summed over at a time: queries before the first of them do not see them.
  private static let keyGroup = 64

  /// A task's place.
  private struct Place {
    let rows: Range<Int>
    let keyColumn: Int
    let valueColumn: Int
    let memory: UnsafeMutablePointer<Float>
  }

  func run(_ task: Int, _ thread: Int) {
    let (rows, head) = (sequences[task / keyValueHeads], task % keyValueHeads)
    let place = Place(
      rows: rows, keyColumn: head * keyDimension, valueColumn: head * valueDimension,
      memory: scratch + thread * layout.floats)
    pack(keys, column: place.keyColumn, keyDimension, rows, to: place.memory + layout.keyPanels)
    pack(
      values, column: place.valueColumn, valueDimension, rows, to: place.memory + layout.valuePanels
    )
    for row in rows {
      (keyGradient[row] + place.keyColumn).update(repeating: 0, count: keyDimension)
      (valueGradient[row] + place.valueColumn).update(repeating: 0, count: valueDimension)
    }
    let group = shape.heads / keyValueHeads
    for first in stride(from: 0, to: rows.count, by: Int(CK_CHAIN)) {
      let block = first..<min(rows.count, first + Int(CK_CHAIN))
      let low = shape.window.map { max(0, first + 1 - $0) } ?? 0
      let seen = low / Int(CK_CHAIN) * Int(CK_CHAIN)..<block.upperBound
      packColumns(seen, place)
      for query in head * group..<(head + 1) * group { run(query, block, seen, place) }
    }
  }

  /// One head's queries at positions `block`, over the keys that any of them sees.
  private func run(_ head: Int, _ block: Range<Int>, _ seen: Range<Int>, _ place: Place) {
    let table = kernels.table.pointee
    let (start, stride) = (place.rows.lowerBound + block.lowerBound, layout.stride)
    let query = queries[start] + head * keyDimension
    let above = output[start] + head * valueDimension
    let (scores, weights, slopes) = (
      place.memory + layout.scores, place.memory + layout.weights, place.memory + layout.slopes
    )
    multiply(query, queries.stride, layout.keyPanels, keyDimension, seen, scores, block, place)
    multiply(above, output.stride, layout.valuePanels, valueDimension, seen, slopes, block, place)
    let width = roundUp(seen.count, Int(CK_PANEL))
    for row in 0..<block.count {
      let position = block.lowerBound + row
      let low = max(seen.lowerBound, shape.window.map { max(0, position + 1 - $0) } ?? 0)
      let (from, count) = (low - seen.lowerBound, position + 1 - low)
      let (p, d) = (weights + row * stride, slopes + row * stride)
      table.score_gradient(
        scores + row * stride + from, shape.scale, shape.cap ?? 0, count, p + from, d + from)
      for values in [p, d] {
        values.update(repeating: 0, count: from)
        (values + from + count).update(repeating: 0, count: width - from - count)
      }
    }
    for first in Swift.stride(from: seen.lowerBound, to: seen.upperBound, by: Self.keyGroup) {
      let count = min(Self.keyGroup, seen.upperBound - first)
      let skipped = max(0, first - block.lowerBound)
      let at = skipped * stride + first - seen.lowerBound
      let row = place.rows.lowerBound + first
      var arguments = ck_outer(
        v: weights + at, x: above + skipped * output.stride, v_stride: stride,
        x_stride: output.stride, tokens: block.count - skipped,
        y: valueGradient[row] + place.valueColumn, y_stride: valueGradient.stride)
      table.outer(&arguments, 0, count, 0, valueDimension)
      arguments.v = UnsafePointer(slopes + at)
      arguments.x = UnsafePointer(query + skipped * queries.stride)
      arguments.x_stride = queries.stride
      (arguments.y, arguments.y_stride) = (keyGradient[row] + place.keyColumn, keyGradient.stride)
      table.outer(&arguments, 0, count, 0, keyDimension)
    }
    queryGradients(head, block, seen, place)
  }

  /// Products of the block's rows with each key or value that is seen.
  private func multiply(
    _ x: UnsafeMutablePointer<Float>, _ xStride: Int, _ panels: Int, _ dimension: Int,
    _ seen: Range<Int>, _ y: UnsafeMutablePointer<Float>, _ block: Range<Int>, _ place: Place
  ) {
    var arguments = ck_matmul()
    (arguments.x, arguments.x_stride, arguments.k) = (UnsafePointer(x), xStride, dimension)
    arguments.w = UnsafeRawPointer(place.memory + panels)
    (arguments.y, arguments.y_stride) = (y - seen.lowerBound, layout.stride)
    let panel = Int(CK_PANEL)
    ck_matmul_run(
      kernels.table, CK_F32, &arguments, seen.lowerBound / panel,
      (seen.upperBound + panel - 1) / panel, 0, block.count)
  }

  /// The block's query gradients: products of its slopes with the keys' columns.
  private func queryGradients(_ head: Int, _ block: Range<Int>, _ seen: Range<Int>, _ place: Place)
  {
    let slopes = place.memory + layout.slopes
    let panel = Int(CK_PANEL)
    // A kernel writes whole panels; the next head's columns may follow at once.
    let padded = roundUp(keyDimension, panel)
    var arguments = ck_matmul()
    (arguments.x, arguments.x_stride) = (UnsafePointer(slopes), layout.stride)
    (arguments.w, arguments.k) = (
      UnsafeRawPointer(place.memory + layout.blockPanels), seen.count
    )
    let first = place.rows.lowerBound + block.lowerBound
    let to = queryGradient[first] + head * keyDimension
    guard padded != keyDimension else {
      (arguments.y, arguments.y_stride) = (to, queryGradient.stride)
      return ck_matmul_run(kernels.table, CK_F32, &arguments, 0, padded / panel, 0, block.count)
    }
    for row in 0..<block.count {
      withUnsafeTemporaryAllocation(of: Float.self, capacity: padded) { buffer in
        guard let base = buffer.baseAddress else { return }
        (arguments.y, arguments.y_stride) = (base - row * padded, padded)
        ck_matmul_run(kernels.table, CK_F32, &arguments, 0, padded / panel, row, row + 1)
        (to + row * queryGradient.stride).update(from: base, count: keyDimension)
      }
    }
  }

  /// Rows of a head as outputs: panels of 16 rows.
  private func pack(
    _ source: Rows, column: Int, _ dimension: Int, _ rows: Range<Int>,
    to target: UnsafeMutablePointer<Float>
  ) {
    let panel = Int(CK_PANEL)
    for first in stride(from: 0, to: rows.count, by: panel) {
      let to = target + first * dimension
      for lane in 0..<panel {
        guard first + lane < rows.count else {
          for index in 0..<dimension { to[index * panel + lane] = 0 }
          continue
        }
        let from = source[rows.lowerBound + first + lane] + column
        for index in 0..<dimension { to[index * panel + lane] = from[index] }
      }
    }
  }

  /// Columns of the keys as outputs, over the keys that are seen.
  private func packColumns(_ seen: Range<Int>, _ place: Place) {
    let panel = Int(CK_PANEL)
    var to = place.memory + layout.blockPanels
    for first in stride(from: 0, to: keyDimension, by: panel) {
      let count = min(panel, keyDimension - first)
      for key in seen {
        to.update(from: keys[place.rows.lowerBound + key] + place.keyColumn + first, count: count)
        (to + count).update(repeating: 0, count: panel - count)
        to += panel
      }
    }
  }
}
