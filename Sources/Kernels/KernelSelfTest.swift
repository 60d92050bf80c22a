/// Whether kernels give the bits of the scalar reference on this machine, now: a miscompiled
/// kernel, an overclocked processor and bad memory all show here before they can spoil a result.
package struct KernelSelfTest {
  /// An operation whose bits differed.
  package struct Difference: Error, Hashable, Sendable, CustomStringConvertible {
    package var operation: String
    package var variant: KernelVariant

    package var description: String {
      "\(operation) gives other bits with the \(variant.rawValue) kernels than with the reference"
    }
  }

  private let compute: Compute
  private let reference: Compute
  private var random: SplitMix

  /// - Parameters:
  ///   - seed: of the numbers that are computed with.
  /// - Throws: `KernelError.outOfResources`.
  package init(_ compute: Compute, seed: UInt64) throws(KernelError) {
    self.compute = compute
    reference = try Compute(kernels: KernelSet(.scalarSoftware), threads: 1)
    random = SplitMix(state: seed)
  }

  /// Every operation once, at sizes with whole and partial tiles. Milliseconds.
  ///
  /// - Throws: `Difference` for the first that differs; `KernelError.outOfResources`.
  package mutating func run() throws {
    for type in WeightType.allCases { try product(type) }
    try rows()
    try functions()
    for element in CacheElement.allCases { try attention(element) }
    try linearAttention()
    try gradients()
    try attentionGradients()
  }

  private func expect(
    _ operation: String, _ body: (Compute) throws(KernelError) -> [[Float]]
  ) throws {
    let (truth, values) = (try body(reference), try body(compute))
    let isSame = zip(truth, values).allSatisfy { truth, values in
      zip(truth, values).allSatisfy { $0.bitPattern == $1.bitPattern }
    }
    guard isSame, truth.count == values.count else {
      throw Difference(operation: operation, variant: compute.kernels.variant)
    }
  }

  private mutating func product(_ type: WeightType) throws {
    let (outputs, inputs) = (40, 512)
    let weights = try weights(type, outputs: outputs, inputs: inputs)
    for rows in [1, 7, 26] {
      let x = matrix(rows, inputs)
      try expect("the product of \(rows) rows with \(type.rawValue) weights") {
        compute throws(KernelError) in
        let y = try Tensor(rows: rows, columns: outputs)
        try compute.matmul(try Tensor(x), weights, into: y)
        return y.values
      }
    }
  }

  private mutating func rows() throws {
    let (x, y, weight) = (matrix(5, 300), matrix(5, 300), values(300))
    try expect("RMSNorm") { compute throws(KernelError) in
      let output = try Tensor(rows: 5, columns: 300)
      try compute.rmsNorm(try Tensor(x), weight: weight, epsilon: 1e-5, into: output)
      return output.values
    }
    for activation in GatedActivation.allCases {
      try expect("the gate \(activation.rawValue)") { compute throws(KernelError) in
        let output = try Tensor(rows: 5, columns: 300)
        try compute.gate(activation, try Tensor(x), try Tensor(y), into: output)
        return output.values
      }
    }
    let angles = RopeTable(
      inverseFrequencies: RopeTable.inverseFrequencies(base: 10000, dimension: 60),
      positions: 50)
    for interleaved in [false, true] {
      try expect("rotation") { compute throws(KernelError) in
        let rotated = try Tensor(x)
        compute.rope(
          rotated, dimension: 60, positions: [0, 1, 7, 30, 49], table: angles,
          interleaved: interleaved)
        return rotated.values
      }
    }
    try expect("addition") { compute throws(KernelError) in
      let sum = try Tensor(x)
      compute.add(try Tensor(y), to: sum)
      return sum.values
    }
    try expect("a weighted sum") { compute throws(KernelError) in
      let output = try Tensor(rows: 0, columns: 300)
      let terms = [[(row: 0, factor: Float(0.25)), (row: 4, factor: -1.5)], []]
      try compute.weightedSums(of: try Tensor(x), terms, into: output)
      return output.values
    }
    try expect("scaling") { compute throws(KernelError) in
      let scaled = try Tensor(x)
      compute.scale(scaled, by: 0.7)
      return scaled.values
    }
    try expect("the soft cap") { compute throws(KernelError) in
      let capped = try Tensor(x)
      compute.softCap(capped, at: 1.5)
      return capped.values
    }
  }

  private mutating func linearAttention() throws {
    let shape = LinearAttentionShape(
      keyHeads: 2, valueHeads: 4, keyDimension: 24, valueDimension: 72, taps: 4)
    let x = matrix(9, shape.channels)
    let weights = values(shape.taps * shape.channels)
    let (decays, rates) = (matrix(9, 4), matrix(9, 4))
    try expect("linear attention") { compute throws(KernelError) in
      let state = try RecurrentState(shape)
      let sequence = [RecurrentRows(state: state, rows: 0..<9)]
      let channels = try Tensor(rows: 0, columns: shape.channels)
      try compute.convolve(try Tensor(x), weights, shape, sequence, into: channels)
      compute.normaliseHeads(channels, shape, epsilon: 1e-6, queryScale: 0.2)
      let (forgets, learns) = (try Tensor(decays), try Tensor(rates))
      compute.decays(
        forgets,
        DecayParameters(rates: [-0.5, -1, -0.1, -2], biases: [0, 0.5, -0.5, 1]))
      compute.sigmoidRows(learns)
      let output = try Tensor(rows: 0, columns: 4 * 72)
      try compute.deltaRule(
        channels, decays: forgets, rates: learns, shape, sequence, into: output)
      return output.values
    }
  }

  private mutating func gradients() throws {
    let (x, y, d) = (matrix(5, 300), matrix(5, 300), matrix(5, 300))
    let norm = RowNorm(weight: values(300), epsilon: 1e-5)
    try expect("the gradient of RMSNorm") { compute throws(KernelError) in
      let output = try Tensor(rows: 0, columns: 300)
      try compute.rmsNormGradient(try Tensor(x), norm, try Tensor(d), into: output)
      return output.values
    }
    for activation in GatedActivation.allCases {
      try expect("the gradient of the gate \(activation.rawValue)") { compute throws(KernelError) in
        let (gate, up) = (try Tensor(rows: 0, columns: 300), try Tensor(rows: 0, columns: 300))
        try compute.gateGradient(
          activation, try Tensor(x), try Tensor(y), try Tensor(d), into: gate, up)
        return gate.values + up.values
      }
    }
    try expect("the gradient of the soft cap") { compute throws(KernelError) in
      let gradient = try Tensor(d)
      compute.softCapGradient(try Tensor(x), at: 4, gradient)
      return gradient.values
    }
    try expect("a sum over tokens") { compute throws(KernelError) in
      let sum = try Tensor(rows: 300, columns: 300)
      for row in 0..<300 { sum[row].update(repeating: 0.25) }
      compute.addOuterProducts(try Tensor(x), try Tensor(y), sequences: [0..<2, 2..<5], to: sum)
      return sum.values
    }
    try expect("a step of AdamW") { compute throws(KernelError) in
      let (parameters, first, second) = (
        try Tensor(x), try Tensor(y), try Tensor(rows: 5, columns: 300)
      )
      for row in 0..<5 { second[row].update(repeating: 0.5) }
      let step = AdamWStep(
        clip: 0.5, learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1,
        number: 3)
      compute.step(parameters, gradient: try Tensor(d), first: first, second: second, step)
      return parameters.values + first.values + second.values
    }
  }

  private mutating func attentionGradients() throws {
    let (heads, groups, dimension, positions) = (4, 2, 24, 75)
    let inputs = [matrix(positions, heads * dimension)] + (0..<2).map { _ in
      matrix(positions, groups * dimension)
    }
    let above = matrix(positions, heads * dimension)
    try expect("the gradient of attention") { compute throws(KernelError) in
      let gradients = AttentionTensors(
        queries: try Tensor(rows: 0, columns: heads * dimension),
        keys: try Tensor(rows: 0, columns: groups * dimension),
        values: try Tensor(rows: 0, columns: groups * dimension))
      try compute.attentionGradient(
        AttentionTensors(
          queries: try Tensor(inputs[0]), keys: try Tensor(inputs[1]), values: try Tensor(inputs[2])
        ),
        try Tensor(above), shape: AttentionShape(heads: heads, scale: 0.1, window: 60, cap: 20),
        keyValueHeads: groups, sequences: [0..<70, 70..<75], into: gradients)
      return gradients.queries.values + gradients.keys.values + gradients.values.values
    }
  }

  private mutating func functions() throws {
    let x = values(301)
    let positive = x.map { abs($0) + 0.01 }
    try expect("exp") { compute in [compute.exp(x)] }
    try expect("log") { compute in [compute.log(positive)] }
    try expect("tanh") { compute in [compute.tanh(x)] }
    try expect("erf") { compute in [compute.erf(x)] }
    try expect("sigmoid") { compute in [compute.sigmoid(x)] }
    try expect("softmax") { compute in [compute.softmax(x)] }
  }

  private mutating func attention(_ element: CacheElement) throws {
    let (heads, groups, dimension, positions) = (6, 2, 64, 131)
    let queries = matrix(positions, heads * dimension)
    let (keys, stored) = (
      matrix(positions, groups * dimension), matrix(positions, groups * dimension)
    )
    let shape = AttentionShape(heads: heads, scale: 0.125, window: 100, cap: 20, sinks: [])
    // A prompt, and what follows it one by one.
    for chunk in [positions, 1] {
      try expect("attention over a cache of \(element.rawValue)") { compute throws(KernelError) in
        let cache = KeyValueCache(
          layers: [
            CacheLayer(heads: groups, keyDimension: dimension, valueDimension: dimension)
          ], element: element)
        try cache.prepare(0..<positions)
        let output = try Tensor(rows: 0, columns: heads * dimension)
        var result: [[Float]] = []
        for first in stride(from: 0, to: positions, by: chunk) {
          let rows = first..<min(positions, first + chunk)
          let sequence = [SequenceRows(cache: cache, rows: 0..<rows.count, startPosition: first)]
          compute.store(
            keys: try Tensor(Array(keys[rows])), values: try Tensor(Array(stored[rows])), layer: 0,
            sequences: sequence)
          try compute.attention(
            queries: try Tensor(Array(queries[rows])), layer: 0, shape: shape, sequences: sequence,
            into: output)
          result += output.values
        }
        return result
      }
    }
  }

  // MARK: Numbers

  /// In -3 to 3.
  private mutating func values(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float(Int32(truncatingIfNeeded: random.next())) * 0x1.8p-30 }
  }

  private mutating func matrix(_ rows: Int, _ columns: Int) -> [[Float]] {
    (0..<rows).map { _ in values(columns) }
  }

  /// Any bytes, with small scales.
  private mutating func weights(
    _ type: WeightType, outputs: Int, inputs: Int
  ) throws -> PackedWeights {
    let count = try type.rowBytes(columns: inputs) * outputs
    var bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    switch type {
    case .f8E4M3: bytes = bytes.map { $0 & 0x7f == 0x7f ? 0x30 : $0 }
    // The top byte of a float near one, of either sign.
    case .f32, .bf16, .f16, .f24:
      let width = type.blockBytes / type.blockSize
      for at in stride(from: width - 1, to: count, by: width) {
        bytes[at] = bytes[at] & 0x80 | (type == .f16 ? 0x38 : 0x3e)
      }
    default:
      for block in stride(from: 0, to: count, by: type.blockBytes) {
        for offset in type.scaleOffsets { bytes[block + offset + 1] = 0x24 }
      }
    }
    let scales =
      type == .f8E4M3
      ? try BlockScales(outputs: outputs, inputs: inputs, values: [0.5, 0.25, 2, 1]) : nil
    let builder = try PackedWeightsBuilder(
      type: type, outputs: outputs, inputs: inputs, scales: scales)
    try bytes.withUnsafeBytes { try builder.append($0) }
    return try PackedWeights(builder)
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): repeats under its seed.
private struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
