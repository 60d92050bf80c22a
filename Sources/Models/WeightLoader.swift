import Kernels
import ModelFormats

/// Streams tensors of a source into memory: at no time is more than one piece of `pieceBytes` held
/// twice.
struct WeightLoader {
  /// Bytes that are read at once, if a row is not longer.
  private static let pieceBytes = 1 << 20

  let source: any TensorSource
  let options: Model.LoadOptions
  /// Has everything already; then the source is not read.
  var packed: PackedModelFile?

  /// A matrix, packed for the kernels.
  ///
  /// - Throws: `FormatError` naming the tensor; `KernelError.outOfResources`.
  func matrix(_ requirement: MatrixRequirement) throws -> PackedWeights {
    if let packed { return try packed.matrix(requirement) }
    let builder = try pack(requirement)
    return try packing(requirement.name) { try PackedWeights(builder) }
  }

  /// The type of the panels that hold a matrix. Of float32 weights it takes reading them.
  ///
  /// - Throws: `FormatError` naming the tensor.
  func panelType(_ requirement: MatrixRequirement) throws -> WeightType {
    let type = try widestPanelType(requirement)
    guard type == .f32, options.weights == .asStored else { return type }
    return try narrowestType(requirement)
  }

  /// The same without reading weights: the type that takes the most bytes which they may need.
  ///
  /// - Throws: `FormatError` naming the tensor.
  func widestPanelType(_ requirement: MatrixRequirement) throws -> WeightType {
    let type = try rowType(requirement)
    return options.weights == .float32 ? .f32 : type.storage
  }

  /// The type in which the rows of a matrix come out of the source: as they are stored, or float32
  /// where columns become rows.
  private func rowType(_ requirement: MatrixRequirement) throws -> WeightType {
    var found: WeightType?
    for piece in requirement.pieces {
      let tensor = try source.tensor(piece.tensor)
      guard let stored = WeightType(tensor.type) else { throw unsupported(piece.tensor, tensor) }
      guard (stored == .f8E4M3) == (piece.scales != nil) else {
        throw FormatError(
          .badType, file: tensor.file ?? source.name, offset: tensor.offset,
          reason: "tensor \(quoted(piece.tensor.name)) of type \(tensor.type.rawValue) "
            + (piece.scales == nil ? "has no scales" : "has scales"))
      }
      let type = piece.isTransposed ? .f32 : stored
      guard found ?? type == type else {
        throw FormatError(
          .badType, file: tensor.file ?? source.name, offset: tensor.offset,
          reason: "tensor \(quoted(piece.tensor.name)) is of another type than those before it")
      }
      found = type
    }
    return found ?? .f32
  }

  /// The type that holds a matrix of float32 in the fewest bytes: many a file is wider than what
  /// went into it, and single decoding takes as long as reading its weights does.
  private func narrowestType(_ requirement: MatrixRequirement) throws -> WeightType {
    var formats = WeightType.Exactness(columns: requirement.inputs)
    try forEachPart(of: requirement) { part in
      if case .rows(let rows, _) = part { formats.add(rows) }
      return !formats.isDecided
    }
    return formats.narrowest
  }

  /// Some rows of a matrix, in order.
  private enum Part {
    /// Whole rows of `rowType`, with the scales of FP8 weights and the row of them at which they
    /// begin.
    case rows(UnsafeRawBufferPointer, scales: (of: BlockScales, from: Int)?)
    case zeros(Int)
  }

  /// - Parameter body: false: no more parts are wanted.
  private func forEachPart(
    of requirement: MatrixRequirement, _ body: (Part) throws -> Bool
  ) throws {
    var scales: (name: String, values: BlockScales)?
    for piece in requirement.pieces {
      if let tensor = piece.scales, scales?.name != tensor.name {
        scales = (tensor.name, try blockScales(tensor, of: piece))
      }
      let own = piece.scales == nil ? nil : scales?.values
      let goesOn =
        try piece.isTransposed
        ? transposed(piece, own).withUnsafeBytes { try body(.rows($0, scales: nil)) }
        : rows(of: piece, own, body)
      guard goesOn, try piece.zeros == 0 || body(.zeros(piece.zeros)) else { return }
    }
  }

  /// The rows of a piece as they are stored.
  private func rows(
    of piece: MatrixRequirement.Piece, _ scales: BlockScales?, _ body: (Part) throws -> Bool
  ) throws -> Bool {
    let (name, rows) = (piece.tensor.name, piece.rows)
    let rowBytes = try source.tensor(piece.tensor).byteCount / piece.tensor.rows
    let step = max(1, Self.pieceBytes / max(1, rowBytes))
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(step, rows.count) * rowBytes, alignment: 64)
    defer { buffer.deallocate() }
    for row in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
      let count = min(step, rows.upperBound - row) * rowBytes
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try source.read(name, offset: row * rowBytes, into: part)
      let goesOn = try body(
        .rows(UnsafeRawBufferPointer(part), scales: scales.map { ($0, row) }))
      source.release(name, upTo: row * rowBytes + count)
      if !goesOn { return false }
    }
    return true
  }

  /// The columns of a piece as rows of float32.
  private func transposed(
    _ piece: MatrixRequirement.Piece, _ scales: BlockScales?
  ) throws -> [Float] {
    let (rows, columns) = (piece.rows.count, piece.tensor.shape.last ?? 0)
    let stored = try source.tensor(piece.tensor)
    guard let type = WeightType(stored.type) else { throw unsupported(piece.tensor, stored) }
    var result = [Float](repeating: 0, count: rows * columns)
    var values = [Float](repeating: 0, count: columns)
    var row = 0
    let rowBytes = stored.byteCount / piece.tensor.rows
    _ = try self.rows(of: piece, nil) { part in
      guard case .rows(let bytes, _) = part else { return true }
      for start in stride(from: 0, to: bytes.count, by: max(1, rowBytes)) {
        try packing(piece.tensor.name) {
          try values.withUnsafeMutableBufferPointer {
            try type.dequantise(
              UnsafeRawBufferPointer(rebasing: bytes[start..<start + rowBytes]), into: $0)
          }
          try scales?.apply(toRow: piece.rows.lowerBound + row, &values)
        }
        guard type != .f8E4M3 || values.allSatisfy(\.isFinite) else {
          throw FormatError(
            .badLayout, file: source.name,
            reason: "tensor \(quoted(piece.tensor.name)): a weight of row "
              + "\(piece.rows.lowerBound + row) is NaN")
        }
        for column in 0..<columns { result[column * rows + row] = values[column] }
        row += 1
      }
      return true
    }
    return result
  }

  private func blockScales(
    _ requirement: TensorRequirement, of piece: MatrixRequirement.Piece
  ) throws -> BlockScales {
    let values = try readVector(requirement)
    return try packing(requirement.name) {
      try BlockScales(
        outputs: piece.tensor.rows, inputs: piece.tensor.shape.last ?? 0, values: values,
        period: piece.scalesPeriod)
    }
  }

  /// Packs all rows of a matrix.
  ///
  /// - Parameters:
  ///   - storage: as `panelType` says, to which it leads if it is nil.
  ///   - target: as `PackedWeightsBuilder` says.
  ///   - progress: called after each part with the rows so far.
  /// - Throws: `FormatError` naming the tensor; `KernelError.outOfResources`.
  func pack(
    _ requirement: MatrixRequirement, as storage: WeightType? = nil,
    into target: UnsafeMutableRawBufferPointer? = nil,
    progress: (Int) -> Void = { _ in }
  ) throws -> PackedWeightsBuilder {
    let type = try rowType(requirement)
    let storage = try storage ?? panelType(requirement)
    let builder = try packing(requirement.name) {
      try PackedWeightsBuilder(
        type: type, outputs: requirement.outputs, inputs: requirement.inputs,
        storage: storage, into: target)
    }
    try forEachPart(of: requirement) { part in
      try packing(requirement.name) {
        switch part {
        case .rows(let rows, let scales): try builder.append(rows, scales: scales)
        case .zeros(let count): try builder.appendZeros(count)
        }
      }
      progress(builder.rowsAppended)
      return true
    }
    return builder
  }

  /// Names the tensor in the errors of packing, except where memory is what is missing.
  private func packing<T>(_ tensor: String, _ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as KernelError where error.code == .invalidWeights {
      throw FormatError(
        .badLayout, file: source.name, reason: "tensor \(quoted(tensor)): \(error.message)")
    }
  }

  /// A vector as float32: F32, F16 or BF16 in the source. Of a tensor of more dimensions, all
  /// elements in order.
  ///
  /// - Throws: `FormatError` naming the tensor.
  func vector(_ requirement: TensorRequirement) throws -> [Float] {
    if let packed { return try packed.vector(requirement) }
    return try readVector(requirement)
  }

  private func readVector(_ requirement: TensorRequirement) throws -> [Float] {
    let (tensor, type) = try vectorType(requirement)
    var bytes = [UInt8](repeating: 0, count: tensor.byteCount)
    try bytes.withUnsafeMutableBytes { try source.read(requirement.name, offset: 0, into: $0) }
    source.release(requirement.name, upTo: tensor.byteCount)
    var values = [Float](repeating: 0, count: requirement.count)
    try bytes.withUnsafeBytes { bytes in
      try values.withUnsafeMutableBufferPointer { try type.dequantise(bytes, into: $0) }
    }
    return values
  }

  private func vectorType(
    _ requirement: TensorRequirement
  ) throws -> (tensor: SourceTensor, type: WeightType) {
    let tensor = try source.tensor(requirement)
    guard let type = WeightType(tensor.type), [.f32, .f16, .bf16].contains(type) else {
      throw unsupported(requirement, tensor)
    }
    return (tensor, type)
  }

  /// Throws what loading would throw, as far as that can be known without reading a matrix: for a
  /// tensor that is missing, has another shape, or is of a type that is not computed with where the
  /// model needs it.
  ///
  /// - Throws: `FormatError` naming the tensor.
  func check(_ requirements: WeightRequirements) throws {
    for matrix in requirements.matrices {
      let type = try rowType(matrix)
      for piece in matrix.pieces {
        if let scales = piece.scales { _ = try blockScales(scales, of: piece) }
      }
      _ = try packing(matrix.name) {
        try PackedLayout(storage: type.storage, outputs: matrix.outputs, inputs: matrix.inputs)
      }
    }
    for vector in requirements.vectors { _ = try vectorType(vector) }
  }

  private func unsupported(_ requirement: TensorRequirement, _ tensor: SourceTensor) -> FormatError
  {
    FormatError(
      .badType, file: tensor.file ?? source.name, offset: tensor.offset,
      reason: "tensor \(quoted(requirement.name)) has type \(tensor.type.rawValue), "
        + "which cannot be computed with here")
  }
}

extension WeightType {
  /// The kernels' type for a stored one; nil when they lack it.
  init?(_ type: ElementType) {
    switch type {
    case .float32: self = .f32
    case .float16: self = .f16
    case .bfloat16: self = .bf16
    case .float8E4M3: self = .f8E4M3
    case .q8_0: self = .q8_0
    case .q4_0: self = .q4_0
    case .q4_1: self = .q4_1
    case .q5_0: self = .q5_0
    case .q5_1: self = .q5_1
    case .iq4NL: self = .iq4NL
    case .q2K: self = .q2K
    case .q3K: self = .q3K
    case .q4K: self = .q4K
    case .q5K: self = .q5K
    case .q6K: self = .q6K
    default: return nil
    }
  }
}
