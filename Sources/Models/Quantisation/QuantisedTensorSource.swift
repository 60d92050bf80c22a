import Dispatch
import Kernels
import ModelFormats

/// A source whose matrices are rounded to a block format as they are read.
package struct QuantisedTensorSource: TensorSource {
  private let base: any TensorSource
  /// Of the tensors that are rounded.
  package let formats: [String: RoundedFormat]

  /// Rounds what a model multiplies with: the matrices of its layers, experts among them, to
  /// `format`, embedding and output matrix to at least eight bits. Routers, small matrices, those
  /// that are stored in FP8 or quantised already, and rows that make up no whole blocks stay as
  /// they are.
  ///
  /// - Throws: `FormatError` for a tensor that is missing.
  package init(
    _ base: any TensorSource, _ description: ModelDescription, to format: RoundedFormat
  ) throws {
    self.base = base
    var formats: [String: RoundedFormat] = [:]
    func round(_ matrix: MatrixRequirement, to format: RoundedFormat) throws {
      for piece in matrix.pieces {
        let tensor = try base.tensor(piece.tensor)
        let columns = tensor.shape.last ?? 0
        guard [.float32, .float16, .bfloat16].contains(tensor.type) else { continue }
        let fitting = sequence(first: format, next: \.fallback).first {
          columns % $0.type.blockSize == 0
        }
        if let fitting { formats[piece.tensor.name] = fitting }
      }
    }
    var kept: Set<String> = []
    for layer in description.layers {
      for linear in layer.linears where linear.outputs >= Self.leastRows {
        try round(linear.matrix, to: format)
      }
      for stack in layer.stacks { try round(stack.matrix, to: format) }
      // Columns that become rows are held as floats whatever they are stored as.
      for piece in layer.stacks.flatMap(\.matrix.pieces) where piece.isTransposed {
        kept.insert(piece.tensor.name)
      }
      if let experts = layer.feedForward.experts {
        kept.formUnion([experts.router.weight] + (experts.sharedGate.map { [$0.weight] } ?? []))
      }
    }
    for matrix in [description.embedding.matrix(description), description.output.matrix] {
      try round(matrix, to: format == .q6K ? .q6K : .q8_0)
    }
    self.formats = formats.filter { !kept.contains($0.key) }
  }

  /// Matrices of fewer rows decide much and weigh little.
  private static let leastRows = 64

  package var name: String { base.name }

  package var tensorNames: [String] { base.tensorNames }

  /// As `TensorSource` says.
  package func tensor(_ name: String) throws -> SourceTensor {
    let tensor = try base.tensor(name)
    guard let element = formats[name]?.element else { return tensor }
    guard let bytes = element.byteCount(shape: tensor.shape) else {
      throw FormatError(.badLayout, file: base.name, reason: "tensor \(quoted(name)) is too large")
    }
    return SourceTensor(type: element, shape: tensor.shape, byteCount: bytes)
  }

  /// As `TensorSource` says. Rounds the rows that the bytes are of.
  package func read(
    _ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer
  ) throws {
    guard let format = formats[name] else {
      return try base.read(name, offset: offset, into: target)
    }
    let (stored, rounded) = (try base.tensor(name), try tensor(name))
    let columns = stored.shape.last ?? 1
    let rowBytes = try format.type.rowBytes(columns: columns)
    guard offset >= 0, offset <= rounded.byteCount, target.count <= rounded.byteCount - offset
    else {
      throw FormatError(
        .truncated, file: base.name, reason: "tensor \(quoted(name)) has no such bytes")
    }
    guard !target.isEmpty else { return }
    let rows = offset / rowBytes..<(offset + target.count - 1) / rowBytes + 1
    let bytes = try quantised(name, stored, rows, columns, format)
    let start = offset - rows.lowerBound * rowBytes
    target.copyBytes(from: bytes[start..<start + target.count])
  }

  private func quantised(
    _ name: String, _ stored: SourceTensor, _ rows: Range<Int>, _ columns: Int,
    _ format: RoundedFormat
  ) throws -> [UInt8] {
    let values = try base.floats(name, rows: rows)
    let rowBytes = try format.type.rowBytes(columns: columns)
    var result = [UInt8](repeating: 0, count: rows.count * rowBytes)
    let count = rows.count
    values.withUnsafeBufferPointer { values in
      result.withUnsafeMutableBufferPointer { result in
        let job = RowJob(values: values, result: result, columns: columns, rowBytes: rowBytes)
        DispatchQueue.concurrentPerform(iterations: count) { job.run($0, BlockQuantiser(format)) }
      }
    }
    return result
  }

  /// As `TensorSource` says.
  package func release(_ name: String, upTo offset: Int) {
    guard let format = formats[name], let stored = try? base.tensor(name),
      let columns = stored.shape.last, let rowBytes = try? format.type.rowBytes(columns: columns),
      let rawType = WeightType(stored.type), let rawBytes = try? rawType.rowBytes(columns: columns),
      rowBytes > 0
    else { return base.release(name, upTo: offset) }
    base.release(name, upTo: offset / rowBytes * rawBytes)
  }
}

extension TensorSource {
  /// Rows of a tensor of floats, its leading dimensions taken together.
  ///
  /// - Throws: `FormatError`, also for a value that is not finite.
  package func floats(_ name: String, rows: Range<Int>) throws -> [Float] {
    let stored = try tensor(name)
    let columns = stored.shape.last ?? 1
    guard let type = WeightType(stored.type) else {
      throw FormatError(.badType, file: self.name, reason: "tensor \(quoted(name))")
    }
    let rowBytes = try type.rowBytes(columns: columns)
    var raw = [UInt8](repeating: 0, count: rows.count * rowBytes)
    try raw.withUnsafeMutableBytes { try read(name, offset: rows.lowerBound * rowBytes, into: $0) }
    var values = [Float](repeating: 0, count: rows.count * columns)
    try raw.withUnsafeBytes { raw in
      try values.withUnsafeMutableBufferPointer { try type.dequantise(raw, into: $0) }
    }
    guard values.allSatisfy(\.isFinite) else {
      throw FormatError(
        .malformed, file: self.name,
        reason: "tensor \(quoted(name)) has a weight that is not finite")
    }
    return values
  }
}

extension ModelFiles {
  /// The same model with its matrices rounded, as `QuantisedTensorSource` says.
  ///
  /// - Throws: as `quantised(to:)`.
  package func rounded(to format: RoundedFormat) throws -> ModelFiles {
    replacing(source: try quantised(to: format))
  }

  /// The same model with other weights of the same shapes.
  package func replacing(source: any TensorSource) -> ModelFiles {
    ModelFiles(description: description, source: source)
  }

  /// Its weights with the matrices rounded.
  ///
  /// - Throws: `FormatError`; `unsupported` when it has no matrices in floats.
  package func quantised(to format: RoundedFormat) throws -> QuantisedTensorSource {
    let rounded = try QuantisedTensorSource(source, description, to: format)
    guard !rounded.formats.isEmpty else {
      throw FormatError(
        .unsupported, file: source.name,
        reason: "there are no float weights that could be rounded to \(format.rawValue)")
    }
    return rounded
  }
}

/// `@unchecked Sendable`: iterations read and write disjoint rows, and the caller waits for all.
private struct RowJob: @unchecked Sendable {
  let values: UnsafeBufferPointer<Float>
  let result: UnsafeMutableBufferPointer<UInt8>
  let columns: Int
  let rowBytes: Int

  func run(_ row: Int, _ quantiser: BlockQuantiser) {
    let own = UnsafeBufferPointer(rebasing: values[row * columns..<(row + 1) * columns])
    let target = UnsafeMutableBufferPointer(
      rebasing: result[row * rowBytes..<(row + 1) * rowBytes])
    _ = target.update(fromContentsOf: quantiser.row(own))
  }
}
