import CKernels

extension Compute {
  /// outputs[i][M, N_i] = x[M, K] times the transpose of weights[i][N_i, K]. Outputs get M rows.
  /// For quantised weights the activations are quantised once for all matrices of the call: give
  /// query, key and value together, gate and up.
  /// - Parameter preparation: done to the rows of x first; for quantised weights in one go with
  ///   their quantisation.
  /// - Throws: `KernelError.outOfResources` if scratch memory is not to be had.
  package func matmul(
    _ x: Tensor, prepared preparation: RowPreparation = .none, _ weights: [PackedWeights],
    into outputs: [Tensor]
  ) throws(KernelError) {
    if weights.contains(where: { !$0.type.isQuantised }), let prepared = try prepare(x, preparation) {
      return try matmul(prepared, weights, into: outputs)
    }
    precondition(weights.count == outputs.count)
    var job = MatmulJob(rows: x.rows, kernels: kernels)
    for (weight, output) in zip(weights, outputs) {
      precondition(weight.inputs == x.columns && weight.outputs == output.columns)
      precondition(output !== x)
      try output.resize(rows: x.rows)
    }
    guard x.rows > 0 else { return }
    var quantised: QuantisedRows?
    if weights.contains(where: \.type.isQuantised) { quantised = try quantise(x, preparation) }
    for (weight, output) in zip(weights, outputs) {
      job.add(arguments(x, quantised, weight, output), weight)
    }
    job.run(on: pool)
  }

  /// One matrix.
  package func matmul(
    _ x: Tensor, _ weight: PackedWeights, into output: Tensor
  ) throws(KernelError) {
    try matmul(x, [weight], into: [output])
  }

  /// The prepared rows as floats; nil where they are those of x.
  private func prepare(
    _ x: Tensor, _ preparation: RowPreparation
  ) throws(KernelError) -> Tensor? {
    if case .none = preparation { return nil }
    let prepared = try scratch.prepared(columns: x.columns)
    try prepared.resize(rows: x.rows)
    let (preparer, target) = (RowPreparer(x, preparation, kernels), Rows(prepared))
    overRows(x.rows, columns: x.columns * preparer.cost) { rows in
      for row in rows { _ = preparer.row(row, target[row]) }
    }
    return prepared
  }

  private func quantise(
    _ x: Tensor, _ preparation: RowPreparation
  ) throws(KernelError) -> QuantisedRows {
    let blocks = x.columns / Int(CK_QBLOCK)
    let quantised = QuantisedRows(
      bytes: try scratch.quantised(bytes: x.rows * x.columns),
      meta: try scratch.meta(count: x.rows * blocks), blocks: blocks)
    let preparer = RowPreparer(x, preparation, kernels)
    let (columns, kernels) = (x.columns, kernels)
    overRows(x.rows, columns: columns * preparer.cost) { rows in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { buffer in
        guard let buffer = buffer.baseAddress else { return }
        for row in rows { quantised.fill(row, preparer.row(row, buffer), columns, kernels) }
      }
    }
    return quantised
  }

  private func arguments(
    _ x: Tensor, _ quantised: QuantisedRows?, _ weight: PackedWeights, _ output: Tensor
  ) -> ck_matmul {
    ck_matmul(
      x: x.base, x_stride: x.stride, xq: quantised?.bytes, meta: quantised?.meta, w: weight.base,
      scales: weight.scales, minima: weight.minima, k: weight.inputs, y: output.base,
      y_stride: output.stride)
  }
}

/// `@unchecked Sendable`: tasks write disjoint rows.
private struct QuantisedRows: @unchecked Sendable {
  let bytes: UnsafeMutablePointer<Int8>
  let meta: UnsafeMutablePointer<ck_qmeta>
  let blocks: Int

  func fill(_ row: Int, _ x: UnsafePointer<Float>, _ columns: Int, _ kernels: KernelSet) {
    kernels.table.pointee.quantise(x, columns, bytes + row * columns, meta + row * blocks)
  }
}

/// Several products over the same rows as one job: tasks are ranges of panels, and of rows where
/// panels are few.
///
/// `@unchecked Sendable`: immutable while it runs; tasks write disjoint panels and rows.
private struct MatmulJob: @unchecked Sendable {
  private struct Part {
    var arguments: ck_matmul
    var format: ck_format
    var panels: Int
    var isQuantised: Bool
    var panelsPerTask = 1
    var firstTask = 0
    var panelTasks: Int { (panels + panelsPerTask - 1) / panelsPerTask }
  }

  private let rows: Int
  private let kernels: KernelSet
  private var parts: [Part] = []

  init(rows: Int, kernels: KernelSet) {
    self.rows = rows
    self.kernels = kernels
  }

  mutating func add(_ arguments: ck_matmul, _ weight: PackedWeights) {
    parts.append(
      Part(
        arguments: arguments, format: weight.type.format, panels: weight.panels,
        isQuantised: weight.type.isQuantised))
  }

  /// Tasks that each thread gets, about: the more, the less one waits for another at the end. Few
  /// rows take longer to fetch weights than to multiply, which goes best in long pieces: in one
  /// where that is over in microseconds.
  private var tasksPerThread: Int {
    guard rows <= 3 else { return 8 }
    let weights = parts.reduce(0) { $0 + $1.panels * $1.arguments.k * Int(CK_PANEL) }
    return weights < Self.fewWeights ? 1 : 4
  }
  private static let fewWeights = 1 << 18
  /// Rows that a task has at least if there are as many: whole row tiles of every variant.
  private static let leastRows = 84
  /// Activations of a task: every panel reads them again, so that they should stay in the second
  /// cache.
  private static let cachedBytes = 3 << 18

  mutating func run(on pool: ThreadPool) {
    let allPanels = parts.reduce(0) { $0 + $1.panels }
    let wanted = pool.threads * tasksPerThread
    let rowsPerTask = rowsPerTask(spread: allPanels >= wanted ? 1 : wanted)
    let rowChunks = (rows + rowsPerTask - 1) / rowsPerTask
    var panelTasks = 0
    for index in parts.indices {
      let fair = max(1, allPanels * rowChunks / wanted)
      parts[index].panelsPerTask = roundUp(fair, panelGroup(parts[index]))
      parts[index].firstTask = panelTasks
      panelTasks += parts[index].panelTasks
    }
    let (job, tasksPerChunk) = (self, panelTasks)
    pool.run(tasks: tasksPerChunk * rowChunks) { task, _ in
      let chunk = task / tasksPerChunk
      job.run(
        panelTask: task % tasksPerChunk,
        rows: chunk * rowsPerTask..<min(job.rows, (chunk + 1) * rowsPerTask))
    }
  }

  /// Rows in chunks of nearly equal height: as few as the cache allows, or up to `spread`.
  private func rowsPerTask(spread: Int) -> Int {
    let cached = max(Self.leastRows, Self.cachedBytes / rowBytes)
    let chunks = max(
      (rows + cached - 1) / cached, min((rows + Self.leastRows - 1) / Self.leastRows, spread))
    return (rows + chunks - 1) / chunks
  }

  /// Panels that a kernel takes together: for floats two, which hide the latency of chains.
  private func panelGroup(_ part: Part) -> Int { part.isQuantised ? 1 : 2 }

  /// Bytes of a row of activations.
  private var rowBytes: Int {
    parts.reduce(1) { most, part in
      let blocks = part.arguments.k / Int(CK_QBLOCK)
      let quantised = part.arguments.k + blocks * MemoryLayout<ck_qmeta>.stride
      return max(most, part.isQuantised ? quantised : part.arguments.k * 4)
    }
  }

  private func run(panelTask: Int, rows: Range<Int>) {
    guard let part = parts.last(where: { $0.firstTask <= panelTask && $0.panels > 0 }) else {
      return
    }
    let first = (panelTask - part.firstTask) * part.panelsPerTask
    withUnsafePointer(to: part.arguments) { arguments in
      ck_matmul_run(
        kernels.table, part.format, arguments, first, min(part.panels, first + part.panelsPerTask),
        rows.lowerBound, rows.upperBound)
    }
  }
}
