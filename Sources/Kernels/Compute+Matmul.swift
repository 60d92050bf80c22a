import CKernels

/// One of several products that run as one job: for some rows of x, `panels` of a matrix.
package struct MatmulPart {
  /// [N, K].
  package var weight: PackedWeights
  /// Panels of 16 rows of `weight`; nil: all.
  package var panels: Range<Int>?
  /// Rows of x and of the output; nil: all.
  package var rows: Range<Int>?
  /// The first of K columns of x.
  package var inputColumn: Int
  /// Gets N columns, rounded up to 16.
  package var output: Tensor
  /// The first of them.
  package var outputColumn: Int

  package init(
    _ weight: PackedWeights, panels: Range<Int>? = nil, rows: Range<Int>? = nil,
    inputColumn: Int = 0, into output: Tensor, outputColumn: Int = 0
  ) {
    (self.weight, self.panels, self.rows) = (weight, panels, rows)
    (self.inputColumn, self.output, self.outputColumn) = (inputColumn, output, outputColumn)
  }
}

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
    precondition(weights.count == outputs.count)
    for (weight, output) in zip(weights, outputs) {
      precondition(weight.inputs == x.columns && weight.outputs == output.columns)
    }
    try matmul(x, prepared: preparation, zip(weights, outputs).map { MatmulPart($0, into: $1) })
  }

  /// One matrix.
  package func matmul(
    _ x: Tensor, _ weight: PackedWeights, into output: Tensor
  ) throws(KernelError) {
    try matmul(x, [weight], into: [output])
  }

  /// Products of parts of x with parts of matrices, all of the same K, in ascending order of their
  /// columns. Outputs get the rows of x; what no part covers is undefined.
  /// - Parameter preparation: of whole rows, as with `matmul(_:prepared:_:into:)`.
  /// - Throws: `KernelError.outOfResources`.
  package func matmul(
    _ x: Tensor, prepared preparation: RowPreparation = .none, _ parts: [MatmulPart]
  ) throws(KernelError) {
    if parts.contains(where: { !$0.weight.type.isQuantised }), preparation.isAny {
      let prepared = try scratch.prepared(columns: x.columns)
      try prepare(x, preparation, into: prepared)
      return try matmul(prepared, parts)
    }
    guard let inputs = parts.first?.weight.inputs else { return }
    var job = MatmulJob(kernels: kernels)
    for part in parts {
      precondition(part.weight.inputs == inputs && part.inputColumn + inputs <= x.columns)
      precondition(part.output !== x)
      try part.output.resize(rows: x.rows)
    }
    guard x.rows > 0 else { return }
    var columns: [Int] = []
    for part in parts where part.weight.type.isQuantised {
      if part.inputColumn > columns.last ?? -1 { columns.append(part.inputColumn) }
      precondition(columns.last == part.inputColumn, "parts are not in the order of their columns")
    }
    let quantised = try columns.isEmpty
      ? nil : quantise(x, preparation, inputs: inputs, at: columns)
    for part in parts { job.add(part, arguments(x, quantised, part), rows: x.rows) }
    job.run(on: pool)
  }

  /// output = the prepared rows of x, as floats.
  /// - Throws: `KernelError.outOfResources`.
  package func prepare(
    _ x: Tensor, _ preparation: RowPreparation, into output: Tensor
  ) throws(KernelError) {
    precondition(output.columns == x.columns && output !== x)
    try output.resize(rows: x.rows)
    let (preparer, target) = (RowPreparer(x, preparation, kernels), Rows(output))
    let columns = x.columns
    overRows(x.rows, columns: columns * preparer.cost) { rows in
      for row in rows {
        let (from, to) = (preparer.row(row, target[row]), target[row])
        if from != UnsafePointer(to) { to.update(from: from, count: columns) }
      }
    }
  }

  /// `inputs` columns of the prepared rows from each of `starts` on.
  private func quantise(
    _ x: Tensor, _ preparation: RowPreparation, inputs: Int, at starts: [Int]
  ) throws(KernelError) -> QuantisedRows {
    let (rows, columns, blocks) = (x.rows, x.columns, inputs / Int(CK_QBLOCK))
    let quantised = QuantisedRows(
      bytes: try scratch.quantised(bytes: starts.count * rows * inputs),
      meta: try scratch.meta(count: starts.count * rows * blocks), inputs: inputs, rows: rows,
      starts: starts)
    let preparer = RowPreparer(x, preparation, kernels)
    let kernels = kernels
    overRows(rows, columns: columns * preparer.cost) { range in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { buffer in
        guard let buffer = buffer.baseAddress else { return }
        for row in range { quantised.fill(row, preparer.row(row, buffer), kernels) }
      }
    }
    return quantised
  }

  private func arguments(
    _ x: Tensor, _ quantised: QuantisedRows?, _ part: MatmulPart
  ) -> ck_matmul {
    let place = part.weight.type.isQuantised ? quantised?.place(of: part.inputColumn) : nil
    return ck_matmul(
      x: x.base + part.inputColumn, x_stride: x.stride, xq: place?.bytes, meta: place?.meta,
      w: part.weight.base, scales: part.weight.scales, minima: part.weight.minima,
      k: part.weight.inputs, y: part.output.base + part.outputColumn,
      y_stride: part.output.stride)
  }
}

/// Quantised rows, once for each column at which products begin: [starts][rows][inputs].
///
/// `@unchecked Sendable`: tasks write disjoint rows.
private struct QuantisedRows: @unchecked Sendable {
  let bytes: UnsafeMutablePointer<Int8>
  let meta: UnsafeMutablePointer<ck_qmeta>
  let inputs: Int
  let rows: Int
  let starts: [Int]

  private var blocks: Int { inputs / Int(CK_QBLOCK) }

  func fill(_ row: Int, _ x: UnsafePointer<Float>, _ kernels: KernelSet) {
    for (index, start) in starts.enumerated() {
      let at = index * rows + row
      kernels.table.pointee.quantise(x + start, inputs, bytes + at * inputs, meta + at * blocks)
    }
  }

  /// The rows of products that begin at `column`.
  func place(
    of column: Int
  ) -> (bytes: UnsafeMutablePointer<Int8>, meta: UnsafeMutablePointer<ck_qmeta>)? {
    guard let index = starts.firstIndex(of: column) else { return nil }
    return (bytes + index * rows * inputs, meta + index * rows * blocks)
  }
}

/// Several products as one job: tasks are ranges of panels, and of rows where panels are few.
///
/// `@unchecked Sendable`: immutable while it runs; tasks write disjoint panels and rows.
private struct MatmulJob: @unchecked Sendable {
  private struct Part {
    var arguments: ck_matmul
    var format: ck_format
    var panels: Range<Int>
    var rows: Range<Int>
    var isQuantised: Bool
    /// Panels and rows of a task.
    var width = 1
    var height = 1
    var firstTask = 0

    /// Bytes of a row of activations.
    var rowBytes: Int {
      let blocks = arguments.k / Int(CK_QBLOCK)
      return isQuantised
        ? arguments.k + blocks * MemoryLayout<ck_qmeta>.stride : max(1, arguments.k * 4)
    }
    /// Panels that a kernel takes together: for floats two, which hide the latency of chains.
    var panelGroup: Int { isQuantised ? 1 : 2 }
    /// Tasks of one chunk of rows.
    var panelTasks: Int { (panels.count + width - 1) / width }
    var rowChunks: Int { (rows.count + height - 1) / height }
  }

  private let kernels: KernelSet
  private var parts: [Part] = []
  /// Of all parts together where they have the same rows: then a chunk of rows goes through all of
  /// them before the next. Else 0.
  private var tasksPerChunk = 0

  init(kernels: KernelSet) {
    self.kernels = kernels
  }

  mutating func add(_ part: MatmulPart, _ arguments: ck_matmul, rows: Int) {
    let panels = part.panels ?? 0..<part.weight.panels
    let range = part.rows ?? 0..<rows
    precondition(panels.upperBound <= part.weight.panels && range.upperBound <= rows)
    precondition(
      part.outputColumn + panels.count * Int(CK_PANEL) <= part.output.stride)
    guard !range.isEmpty, !panels.isEmpty else { return }
    var arguments = arguments
    // A kernel writes panel p at column 16 p.
    arguments.y -= panels.lowerBound * Int(CK_PANEL)
    parts.append(
      Part(
        arguments: arguments, format: part.weight.type.format, panels: panels, rows: range,
        isQuantised: part.weight.type.isQuantised))
  }

  /// Tasks that each thread gets, about: the more, the less one waits for another at the end. Few
  /// rows take longer to fetch weights than to multiply, which goes best in long pieces: in one
  /// where that is over in microseconds.
  private func tasksPerThread(rows: Int) -> Int {
    guard rows <= 3 else { return 8 }
    let weights = parts.reduce(0) { $0 + $1.panels.count * $1.arguments.k * Int(CK_PANEL) }
    return weights < Self.fewWeights ? 1 : 4
  }
  private static let fewWeights = 1 << 18
  /// Rows that a task has at least if there are as many: whole row tiles of every variant.
  private static let leastRows = 84
  /// Activations of a task: every panel reads them again, so that they should stay in the second
  /// cache.
  private static let cachedBytes = 3 << 18

  mutating func run(on pool: ThreadPool) {
    guard let first = parts.first else { return }
    let isUniform = parts.allSatisfy { $0.rows == first.rows }
    let most = parts.reduce(0) { max($0, $1.rows.count) }
    let wanted = pool.threads * tasksPerThread(rows: most)
    let panels = parts.reduce(0) { $0 + $1.panels.count }
    let work = parts.reduce(0) { $0 + $1.panels.count * $1.rows.count }
    let rowBytes = parts.reduce(0) { max($0, $1.rowBytes) }
    var tasks = 0
    for index in parts.indices {
      let part = parts[index]
      let height = rowsPerTask(
        part.rows.count, rowBytes: rowBytes, spread: panels >= wanted ? 1 : wanted)
      let fair = max(1, work / (wanted * height))
      parts[index].height = height
      parts[index].width = roundUp(fair, part.panelGroup)
      parts[index].firstTask = tasks
      tasks += parts[index].panelTasks * (isUniform ? 1 : parts[index].rowChunks)
    }
    tasksPerChunk = isUniform ? tasks : 0
    let job = self
    pool.run(tasks: isUniform ? tasks * parts[0].rowChunks : tasks) { task, _ in job.run(task) }
  }

  /// Rows in chunks of nearly equal height: as few as the cache allows, or up to `spread`.
  private func rowsPerTask(_ rows: Int, rowBytes: Int, spread: Int) -> Int {
    let cached = max(Self.leastRows, Self.cachedBytes / rowBytes)
    let chunks = max(
      (rows + cached - 1) / cached, min((rows + Self.leastRows - 1) / Self.leastRows, spread))
    return (rows + chunks - 1) / chunks
  }

  private func run(_ task: Int) {
    let place = tasksPerChunk > 0 ? task % tasksPerChunk : task
    let part = part(of: place)
    let own = place - part.firstTask
    let chunk = tasksPerChunk > 0 ? task / tasksPerChunk : own / part.panelTasks
    let panel = part.panels.lowerBound + own % part.panelTasks * part.width
    let row = part.rows.lowerBound + chunk * part.height
    withUnsafePointer(to: part.arguments) { arguments in
      ck_matmul_run(
        kernels.table, part.format, arguments, panel,
        min(part.panels.upperBound, panel + part.width), row,
        min(part.rows.upperBound, row + part.height))
    }
  }

  /// The part that a task belongs to. Parts are few, or as many as experts.
  private func part(of task: Int) -> Part {
    var (low, high) = (0, parts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if parts[middle].firstTask <= task { low = middle } else { high = middle }
    }
    return parts[low]
  }
}
