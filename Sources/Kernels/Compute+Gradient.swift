import CKernels

extension Compute {
  /// From the gradient dy of y = rmsNorm(x): that of x; dx may be dy.
  /// - Throws: `KernelError.outOfResources`.
  package func rmsNormGradient(
    _ x: Tensor, _ norm: RowNorm, _ dy: Tensor, into dx: Tensor
  ) throws(KernelError) {
    precondition(norm.weight.count == x.columns && dy.columns == x.columns)
    precondition(dy.rows == x.rows && dx.columns == x.columns)
    try dx.resize(rows: x.rows)
    headGradients(x, norm, dy, dx, dimension: x.columns)
  }

  /// The same over each head of the norm's size; dx may be dy.
  /// - Throws: `KernelError.outOfResources`.
  package func rmsNormHeadsGradient(
    _ x: Tensor, _ norm: RowNorm, _ dy: Tensor, into dx: Tensor
  ) throws(KernelError) {
    precondition(x.columns % norm.weight.count == 0 && dy.columns == x.columns)
    precondition(dy.rows == x.rows && dx.columns == x.columns)
    try dx.resize(rows: x.rows)
    headGradients(x, norm, dy, dx, dimension: norm.weight.count)
  }

  private func headGradients(
    _ x: Tensor, _ norm: RowNorm, _ dy: Tensor, _ dx: Tensor, dimension: Int
  ) {
    let (source, from, to, kernels) = (Rows(x), Rows(dy), Rows(dx), kernels)
    let heads = x.columns / dimension
    overRows(x.rows, columns: 2 * x.columns) { rows in
      norm.weight.withUnsafeBufferPointer { weight in
        for row in rows {
          for head in 0..<heads {
            let at = head * dimension
            kernels.table.pointee.rms_norm_gradient(
              source[row] + at, weight.baseAddress, norm.epsilon, from[row] + at, dimension,
              to[row] + at)
          }
        }
      }
    }
  }

  /// From the gradient dy of y = f(gate) * up: those of gate and up, either of which may be the
  /// tensor that it is the gradient of, or dy.
  /// - Throws: `KernelError.outOfResources`.
  package func gateGradient(
    _ activation: GatedActivation, _ gate: Tensor, _ up: Tensor, _ dy: Tensor,
    into dgate: Tensor, _ dup: Tensor
  ) throws(KernelError) {
    precondition(gate.rows == up.rows && gate.rows == dy.rows && dgate !== dup)
    precondition(gate.columns == up.columns && gate.columns == dy.columns)
    precondition(dgate.columns == gate.columns && dup.columns == gate.columns)
    try dgate.resize(rows: gate.rows)
    try dup.resize(rows: gate.rows)
    let (a, b, d, da, db) = (Rows(gate), Rows(up), Rows(dy), Rows(dgate), Rows(dup))
    let (columns, kernels) = (gate.columns, kernels)
    overRows(gate.rows, columns: columns * 4) { rows in
      let function = kernels.gatedGradient(activation)
      for row in rows { function?(a[row], b[row], d[row], columns, da[row], db[row]) }
    }
  }

  /// From y = cap * tanh(x / cap): its gradient becomes that of x.
  package func softCapGradient(_ y: Tensor, at cap: Float, _ dy: Tensor) {
    precondition(y.rows == dy.rows && y.columns == dy.columns && cap > 0)
    let (a, d, columns, kernels) = (Rows(y), Rows(dy), y.columns, kernels)
    overRows(y.rows, columns: columns * 4) { rows in
      for row in rows {
        kernels.table.pointee.soft_cap_gradient(a[row], cap, d[row], columns, d[row])
      }
    }
  }

  /// y[R, N] += the sum over tokens of v[t][R] (x) x[t][N], sequence after sequence, each in chains
  /// of 256 tokens from its first on, which are added in order.
  ///
  /// - Parameters:
  ///   - column: the first of N columns of x.
  ///   - sequences: rows of v and x.
  package func addOuterProducts(
    _ v: Tensor, _ x: Tensor, column: Int = 0, sequences: [Range<Int>], to y: Tensor
  ) {
    precondition(y.rows == v.columns && column >= 0 && column + y.columns <= x.columns)
    precondition(y !== v && y !== x)
    precondition(
      sequences.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= min(v.rows, x.rows) })
    let (left, right, target, kernels) = (Rows(v), Rows(x), Rows(y), kernels)
    let (rows, columns) = (y.rows, y.columns)
    let width = 64
    pool.run(tasks: (columns + width - 1) / width) { task, _ in
      for tokens in sequences {
        for first in stride(from: tokens.lowerBound, to: tokens.upperBound, by: Int(CK_CHAIN)) {
          var arguments = ck_outer(
            v: left[first], x: right[first] + column, v_stride: left.stride,
            x_stride: right.stride, tokens: min(Int(CK_CHAIN), tokens.upperBound - first),
            y: target.base, y_stride: target.stride)
          kernels.table.pointee.outer(
            &arguments, 0, rows, task * width, min(columns, (task + 1) * width))
        }
      }
    }
  }

  /// The cross-entropy of each row of logits [rows, V] and its label, a token of the vocabulary;
  /// the row becomes `factor` times its gradient. Infinite or NaN for rows that are not finite.
  package func crossEntropy(_ logits: Tensor, labels: [Int32], factor: Float) -> [Float] {
    precondition(labels.count == logits.rows)
    precondition(labels.allSatisfy { $0 >= 0 && Int($0) < logits.columns })
    let (rows, columns, kernels) = (Rows(logits), logits.columns, kernels)
    return [Float](unsafeUninitializedCapacity: labels.count) { losses, count in
      let target = Losses(base: losses.baseAddress)
      overRows(labels.count, columns: columns * 8) { range in
        for row in range {
          let (values, label) = (rows[row], Int(labels[row]))
          var (maximum, sum, logSum): (Float, Float, Float) = (0, 0, 0)
          kernels.table.pointee.exp_sum(values, columns, &maximum, &sum)
          kernels.table.pointee.log(&sum, 1, &logSum)
          target.base?[row] = logSum - (values[label] - maximum)
          kernels.table.pointee.softmax(values, columns, values)
          kernels.table.pointee.scale(values, factor, columns, values)
          values[label] -= factor
        }
      }
      count = labels.count
    }
  }

  /// One step of AdamW for the values of `parameters`, whose gradients and moments have its shape.
  package func step(
    _ parameters: Tensor, gradient: Tensor, first: Tensor, second: Tensor, _ step: AdamWStep
  ) {
    for tensor in [gradient, first, second] {
      precondition(tensor.rows == parameters.rows && tensor.columns == parameters.columns)
    }
    let (p, g, m, v) = (Rows(parameters), Rows(gradient), Rows(first), Rows(second))
    let (columns, kernels) = (parameters.columns, kernels)
    overRows(parameters.rows, columns: 4 * columns) { rows in
      var arguments = step.arguments
      for row in rows {
        kernels.table.pointee.adamw(&arguments, g[row], columns, p[row], m[row], v[row])
      }
    }
  }
}

/// Where rows put their losses.
///
/// `@unchecked Sendable`: tasks write disjoint rows.
private struct Losses: @unchecked Sendable {
  let base: UnsafeMutablePointer<Float>?
}

/// The numbers of one step of AdamW, which are computed in double arithmetic and rounded once.
package struct AdamWStep: Sendable, Hashable {
  /// Multiplies gradients.
  package var clip: Float
  package var learningRate: Double
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  /// From 1.
  package var number: Int

  package init(
    clip: Float, learningRate: Double, beta1: Double, beta2: Double, epsilon: Double,
    weightDecay: Double, number: Int
  ) {
    precondition(number > 0)
    (self.clip, self.learningRate, self.number) = (clip, learningRate, number)
    (self.beta1, self.beta2) = (beta1, beta2)
    (self.epsilon, self.weightDecay) = (epsilon, weightDecay)
  }

  var arguments: ck_adamw {
    // Products in order: a power by repeated multiplication is the same everywhere.
    let (first, second) = (1...number).reduce((1.0, 1.0)) { powers, _ in
      (powers.0 * beta1, powers.1 * beta2)
    }
    return ck_adamw(
      clip: clip, first_share: Float(1 - beta1), second_share: Float(1 - beta2),
      second_decay: Float(beta2), second_root: Float((1 - second).squareRoot()),
      epsilon: Float(epsilon), step: Float(learningRate / (1 - first)),
      decay: Float(1 - learningRate * weightDecay))
  }
}

extension KernelSet {
  func gatedGradient(_ activation: GatedActivation) -> GatedGradient? {
    switch activation {
    case .silu: table.pointee.gated_gradient.0
    case .geluTanh: table.pointee.gated_gradient.1
    case .gelu: table.pointee.gated_gradient.2
    case .sigmoid: table.pointee.gated_gradient.3
    }
  }
}

typealias GatedGradient =
  @convention(c) (
    UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?, Int,
    UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Float>?
  ) -> Void
