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
  func matrix(_ requirement: TensorRequirement) throws -> PackedWeights {
    if let packed { return try packed.matrix(requirement) }
    let builder = try pack(requirement)
    return try packing(requirement) { try PackedWeights(builder) }
  }

  /// The type of the panels that hold a matrix. Of float32 weights it takes reading them.
  ///
  /// - Throws: `FormatError` naming the tensor.
  func panelType(_ requirement: TensorRequirement) throws -> WeightType {
    let type = try widestPanelType(requirement)
    guard type == .f32, options.weights == .asStored else { return type }
    return try narrowestType(requirement, source.tensor(requirement))
  }

  /// The same without reading weights: the type that takes the most bytes which they may need.
  ///
  /// - Throws: `FormatError` naming the tensor.
  func widestPanelType(_ requirement: TensorRequirement) throws -> WeightType {
    let tensor = try source.tensor(requirement)
    guard let type = WeightType(tensor.type) else { throw unsupported(requirement, tensor) }
    return options.weights == .float32 ? .f32 : type.storage
  }

  /// The type that holds a matrix of float32 in the fewest bytes: many a file is wider than what
  /// went into it, and single decoding takes as long as reading its weights does.
  private func narrowestType(_ requirement: TensorRequirement, _ tensor: SourceTensor) throws
    -> WeightType
  {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(Self.pieceBytes, tensor.byteCount), alignment: 64)
    defer { buffer.deallocate() }
    var offset = 0
    return try WeightType.narrowest(columns: requirement.shape[1]) {
      let count = min(buffer.count, tensor.byteCount - offset)
      guard count > 0 else { return nil }
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try source.read(requirement.name, offset: offset, into: piece)
      offset += count
      source.release(requirement.name, upTo: offset)
      return UnsafeRawBufferPointer(piece)
    }
  }

  /// Packs all rows of a matrix.
  ///
  /// - Parameters:
  ///   - storage: as `panelType` says, to which it leads if it is nil.
  ///   - target: as `PackedWeightsBuilder` says.
  ///   - progress: called after each piece with the bytes of the source so far.
  /// - Throws: `FormatError` naming the tensor; `KernelError.outOfResources`.
  func pack(
    _ requirement: TensorRequirement, as storage: WeightType? = nil,
    into target: UnsafeMutableRawBufferPointer? = nil,
    progress: (Int) -> Void = { _ in }
  ) throws -> PackedWeightsBuilder {
    let tensor = try source.tensor(requirement)
    guard let type = WeightType(tensor.type) else { throw unsupported(requirement, tensor) }
    let (rows, columns) = (requirement.shape[0], requirement.shape[1])
    let storage = try storage ?? panelType(requirement)
    let builder = try packing(requirement) {
      try PackedWeightsBuilder(
        type: type, outputs: rows, inputs: columns,
        storage: storage, into: target)
    }
    let rowBytes = tensor.byteCount / rows
    let rowsPerPiece = max(1, Self.pieceBytes / max(1, rowBytes))
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(rowsPerPiece, rows) * rowBytes, alignment: 64)
    defer { buffer.deallocate() }
    for row in stride(from: 0, to: rows, by: rowsPerPiece) {
      let count = min(rowsPerPiece, rows - row) * rowBytes
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try source.read(requirement.name, offset: row * rowBytes, into: piece)
      try packing(requirement) { try builder.append(UnsafeRawBufferPointer(piece)) }
      source.release(requirement.name, upTo: row * rowBytes + count)
      progress(row * rowBytes + count)
    }
    return builder
  }

  /// Names the tensor in the errors of packing, except where memory is what is missing.
  private func packing<T>(
    _ requirement: TensorRequirement, _ body: () throws -> T
  ) throws -> T {
    do {
      return try body()
    } catch let error as KernelError where error.code == .invalidWeights {
      throw FormatError(
        .badLayout, file: source.name,
        reason: "tensor \(quoted(requirement.name)): \(error.message)")
    }
  }

  /// A vector as float32: F32, F16 or BF16 in the source.
  ///
  /// - Throws: `FormatError` naming the tensor.
  func vector(_ requirement: TensorRequirement) throws -> [Float] {
    if let packed { return try packed.vector(requirement) }
    let tensor = try source.tensor(requirement)
    var bytes = [UInt8](repeating: 0, count: tensor.byteCount)
    try bytes.withUnsafeMutableBytes { try source.read(requirement.name, offset: 0, into: $0) }
    source.release(requirement.name, upTo: tensor.byteCount)
    let count = requirement.shape.reduce(1, *)
    return try bytes.withUnsafeBytes { bytes in
      switch tensor.type {
      case .float32:
        return (0..<count).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
      case .float16:
        return (0..<count).map {
          Float(bytes.loadUnaligned(fromByteOffset: $0 * 2, as: Float16.self))
        }
      case .bfloat16:
        return (0..<count).map {
          Float(
            bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self)) << 16)
        }
      default: throw unsupported(requirement, tensor)
      }
    }
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
