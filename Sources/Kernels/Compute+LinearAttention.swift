import CKernels

/// What a layer of linear attention keeps of a sequence, however long it is: the rows that the
/// convolution still needs, and a matrix for each head. Owned by one executor at a time.
package final class RecurrentState {
  /// [taps - 1, channels]: the convolution's latest inputs, oldest first.
  let history: Tensor
  /// [heads * key dimension, value dimension].
  let matrices: Tensor

  /// Of a sequence without tokens: zeros.
  /// - Throws: `KernelError.outOfResources`.
  package init(_ shape: LinearAttentionShape) throws(KernelError) {
    history = try Tensor(rows: shape.taps - 1, columns: shape.channels)
    matrices = try Tensor(
      rows: shape.valueHeads * shape.keyDimension, columns: shape.valueDimension)
    Self.clear(history)
    Self.clear(matrices)
  }

  /// The same state, to go on from twice.
  /// - Throws: `KernelError.outOfResources`.
  package init(copying other: RecurrentState) throws(KernelError) {
    history = try Tensor(rows: other.history.rows, columns: other.history.columns)
    matrices = try Tensor(rows: other.matrices.rows, columns: other.matrices.columns)
    history.base.update(from: other.history.base, count: history.rows * history.stride)
    matrices.base.update(from: other.matrices.base, count: matrices.rows * matrices.stride)
  }

  private static func clear(_ tensor: Tensor) {
    tensor.base.update(repeating: 0, count: tensor.rows * tensor.stride)
  }
}

/// The sizes of a layer of gated delta-net attention.
package struct LinearAttentionShape: Hashable, Sendable {
  package var keyHeads: Int
  /// A multiple of the key heads.
  package var valueHeads: Int
  package var keyDimension: Int
  package var valueDimension: Int
  /// Rows that the convolution before it spans, itself included.
  package var taps: Int
  /// Value head h uses key head h mod key heads; else h / (value heads / key heads).
  package var areValueHeadsTiled: Bool

  package init(
    keyHeads: Int, valueHeads: Int, keyDimension: Int, valueDimension: Int, taps: Int,
    areValueHeadsTiled: Bool = false
  ) {
    precondition(keyHeads > 0 && valueHeads > 0 && valueHeads % keyHeads == 0)
    precondition(keyDimension > 0 && valueDimension > 0 && taps > 0)
    (self.keyHeads, self.valueHeads) = (keyHeads, valueHeads)
    (self.keyDimension, self.valueDimension) = (keyDimension, valueDimension)
    self.taps = taps
    self.areValueHeadsTiled = areValueHeadsTiled
  }

  /// Columns of queries, then keys, then values, which the convolution takes together.
  package var channels: Int { 2 * keyHeads * keyDimension + valueHeads * valueDimension }

  /// Bytes of a `RecurrentState`.
  package var stateBytes: Int {
    4 * ((taps - 1) * roundUp(channels, Int(CK_PANEL))
      + valueHeads * keyDimension * roundUp(valueDimension, Int(CK_PANEL)))
  }
}

/// A sequence's rows in a step, and its state.
package struct RecurrentRows {
  package var state: RecurrentState
  package var rows: Range<Int>

  package init(state: RecurrentState, rows: Range<Int>) {
    (self.state, self.rows) = (state, rows)
  }
}

/// What decides how fast a head forgets: decay = exp(rate * softplus(x + bias)).
package struct DecayParameters: Sendable {
  /// -exp(A_log) of each value head.
  package var rates: [Float]
  /// dt_bias of each value head.
  package var biases: [Float]

  package init(rates: [Float], biases: [Float]) {
    precondition(rates.count == biases.count)
    (self.rates, self.biases) = (rates, biases)
  }
}

extension Compute {
  /// output[r] = silu of the causal convolution of x, channel by channel, over each sequence: of
  /// its rows in x after those that its state remembers, which is brought up to date.
  /// - Parameter weights: [taps, channels].
  /// - Throws: `KernelError.outOfResources`.
  package func convolve(
    _ x: Tensor, _ weights: [Float], _ shape: LinearAttentionShape, _ sequences: [RecurrentRows],
    into output: Tensor
  ) throws(KernelError) {
    let (taps, channels) = (shape.taps, shape.channels)
    precondition(x.columns == channels && output.columns == channels && output !== x)
    precondition(weights.count == taps * channels)
    try output.resize(rows: x.rows)
    let (source, target, kernels) = (Rows(x), Rows(output), kernels)
    for sequence in sequences {
      let (history, first) = (Rows(sequence.state.history), sequence.rows.lowerBound)
      overRows(sequence.rows.count, columns: channels * taps) { range in
        withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: taps) { rows in
          weights.withUnsafeBufferPointer { weights in
            for row in range {
              for tap in 0..<taps {
                let at = row + tap - (taps - 1)
                rows[tap] = UnsafePointer(
                  at < 0 ? history[taps - 1 + at] : source[first + at])
              }
              kernels.table.pointee.convolve(
                rows.baseAddress, taps, weights.baseAddress, channels, target[first + row])
            }
          }
        }
      }
      remember(x, sequence, taps - 1)
    }
  }

  /// Moves the last `count` rows of a sequence into its history.
  private func remember(_ x: Tensor, _ sequence: RecurrentRows, _ count: Int) {
    let (history, rows) = (sequence.state.history, sequence.rows)
    for place in 0..<count {
      let at = rows.count + place - count
      let row = at < 0 ? history[count + at] : x[rows.lowerBound + at]
      history[place].replace(with: row)
    }
  }

  /// decays[r][h] = exp(rate[h] * softplus(decays[r][h] + bias[h])), in place. Softplus is log(1 +
  /// exp(x)) in double arithmetic, rounded once, and x itself above 20.
  package func decays(_ x: Tensor, _ parameters: DecayParameters) {
    precondition(parameters.rates.count == x.columns)
    let (target, columns, kernels) = (Rows(x), x.columns, kernels)
    overRows(x.rows, columns: columns * 64) { rows in
      for row in rows {
        let values = target[row]
        for head in 0..<columns {
          let sum = values[head] + parameters.biases[head]
          let soft = sum > 20 ? sum : Float(ExactMath.log(1 + ExactMath.exp(Double(sum))))
          values[head] = parameters.rates[head] * soft
        }
        kernels.table.pointee.exp(values, columns, values)
      }
    }
  }

  /// Brings queries and keys, the first columns of x, to length 1 head by head: divided by the root
  /// of their sum of squares and `epsilon`; queries are multiplied with `queryScale` besides.
  package func normaliseHeads(
    _ x: Tensor, _ shape: LinearAttentionShape, epsilon: Float, queryScale: Float
  ) {
    let (heads, dimension) = (shape.keyHeads, shape.keyDimension)
    precondition(x.columns == shape.channels)
    // Of the mean of squares rather than their sum.
    let size = Float(dimension)
    let key = [Float](repeating: 1 / size.squareRoot(), count: dimension)
    let query = key.map { $0 * queryScale }
    let (target, kernels) = (Rows(x), kernels)
    overRows(x.rows, columns: 2 * heads * dimension) { rows in
      for row in rows {
        for head in 0..<2 * heads {
          let values = target[row] + head * dimension
          (head < heads ? query : key).withUnsafeBufferPointer {
            kernels.table.pointee.rms_norm(
              values, $0.baseAddress, epsilon / size, dimension, values)
          }
        }
      }
    }
  }

  /// output[r, value heads * value dimension] = the gated delta rule over each sequence, whose
  /// state is brought up to date.
  /// - Parameters:
  ///   - x: [rows, channels]: queries, keys and values.
  ///   - decays: [rows, value heads].
  ///   - rates: [rows, value heads].
  /// - Throws: `KernelError.outOfResources`.
  package func deltaRule(
    _ x: Tensor, decays: Tensor, rates: Tensor, _ shape: LinearAttentionShape,
    _ sequences: [RecurrentRows], into output: Tensor
  ) throws(KernelError) {
    let heads = shape.valueHeads
    precondition(x.columns == shape.channels && output !== x)
    precondition(decays.columns == heads && rates.columns == heads)
    precondition(output.columns == heads * shape.valueDimension)
    try output.resize(rows: x.rows)
    let job = DeltaJob(
      shape: shape, x: Rows(x), decays: Rows(decays), rates: Rows(rates), output: Rows(output),
      sequences: sequences.map { (Rows($0.state.matrices), $0.rows) }, kernels: kernels)
    withExtendedLifetime(sequences) {
      pool.run(tasks: sequences.count * heads) { task, _ in
        job.run(sequence: task / heads, head: task % heads)
      }
    }
  }
}

/// `@unchecked Sendable`: tasks read and write disjoint heads.
private struct DeltaJob: @unchecked Sendable {
  let shape: LinearAttentionShape
  let x: Rows
  let decays: Rows
  let rates: Rows
  let output: Rows
  let sequences: [(matrices: Rows, rows: Range<Int>)]
  let kernels: KernelSet

  func run(sequence: Int, head: Int) {
    let (matrices, rows) = sequences[sequence]
    let (key, value) = (shape.keyDimension, shape.valueDimension)
    let keyHead =
      shape.areValueHeadsTiled
      ? head % shape.keyHeads : head / (shape.valueHeads / shape.keyHeads)
    let row = x[rows.lowerBound]
    var arguments = ck_delta(
      q: row + keyHead * key, k: row + (shape.keyHeads + keyHead) * key,
      v: row + 2 * shape.keyHeads * key + head * value, q_stride: x.stride, k_stride: x.stride,
      v_stride: x.stride, decay: decays[rows.lowerBound] + head,
      rate: rates[rows.lowerBound] + head, gate_stride: decays.stride,
      out: output[rows.lowerBound] + head * value, out_stride: output.stride,
      state: matrices[head * key], key_dim: key, value_dim: value, value_stride: matrices.stride)
    kernels.table.pointee.delta(&arguments, rows.count)
  }
}
