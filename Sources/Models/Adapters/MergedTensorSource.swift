import Foundation
import ModelFormats

/// A model's tensors with an adapter added to them: W + s B A, computed in float64, rounded to
/// float32 and from there to the type that W has.
package struct MergedTensorSource: TensorSource {
  /// What is added to rows of a tensor.
  fileprivate struct Addition {
    let pair: Adapter.Pair
    let scale: Double
    /// Of each row of the tensor, the pair's output; -1 where it has none.
    let outputs: [Int]
  }

  private let base: any TensorSource
  private let additions: [String: [Addition]]

  /// - Parameter adapter: as transformers orders rows.
  /// - Throws: `FormatError` for an adapter of another model, and for matrices that are not
  ///   float32, float16 or bfloat16.
  package init(_ files: ModelFiles, _ adapter: Adapter) throws {
    try adapter.check(files.description)
    let ordered = adapter.ordered(for: files.description)
    var additions: [String: [Addition]] = [:]
    for site in ordered.sites {
      guard let pair = ordered.pairs[site], let linear = files.description.linear(at: site) else {
        continue
      }
      let tensor = try files.source.tensor(linear.weight)
      guard [.float32, .float16, .bfloat16].contains(tensor.type) else {
        throw FormatError(
          .badType, file: files.source.name,
          reason: "tensor \(quoted(linear.weight)) has type \(tensor.type.rawValue): adapters are "
            + "merged into float weights alone")
      }
      let rows = linear.rows?.of ?? linear.outputs
      guard tensor.shape == [rows, linear.inputs] else {
        throw FormatError(
          .badLayout, file: files.source.name,
          reason: "tensor \(quoted(linear.weight)) has shape \(tensor.shape), the model needs "
            + "[\(rows), \(linear.inputs)]")
      }
      var outputs = Array(repeating: -1, count: rows)
      let own = linear.rows?.ranges.flatMap { Array($0) } ?? Array(0..<linear.outputs)
      for (output, row) in own.enumerated() { outputs[row] = output }
      additions[linear.weight, default: []].append(
        Addition(pair: pair, scale: Double(adapter.scale(rank: pair.rank)), outputs: outputs))
    }
    base = files.source
    self.additions = additions
  }

  package var name: String { base.name }
  package var tensorNames: [String] { base.tensorNames }

  /// As `TensorSource` says.
  package func tensor(_ name: String) throws -> SourceTensor { try base.tensor(name) }

  /// As `TensorSource` says; whole elements.
  package func read(
    _ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer
  ) throws {
    try base.read(name, offset: offset, into: target)
    guard let additions = additions[name], let first = additions.first else { return }
    let type = try base.tensor(name).type
    let width = type == .float32 ? 4 : 2
    guard offset % width == 0, target.count % width == 0 else {
      throw FormatError(
        .badLayout, file: self.name, reason: "part of an element of tensor \(quoted(name))")
    }
    let inputs = first.pair.inputs
    for index in 0..<target.count / width {
      let (row, column) = ((offset / width + index) / inputs, (offset / width + index) % inputs)
      let change = additions.reduce(0.0) { $0 + $1.value(row, column) }
      Self.add(change, type, at: index * width, of: target)
    }
  }

  /// As `TensorSource` says.
  package func release(_ name: String, upTo offset: Int) { base.release(name, upTo: offset) }

  private static func add(
    _ change: Double, _ type: ElementType, at offset: Int, of bytes: UnsafeMutableRawBufferPointer
  ) {
    switch type {
    case .float32:
      let value = bytes.loadUnaligned(fromByteOffset: offset, as: Float.self)
      bytes.storeBytes(of: Float(Double(value) + change), toByteOffset: offset, as: Float.self)
    case .float16:
      let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
      let value = Float16(Float(Double(Float16(bitPattern: word)) + change))
      bytes.storeBytes(of: value.bitPattern, toByteOffset: offset, as: UInt16.self)
    default:
      let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
      let value = Float(Double(Float(bitPattern: UInt32(word) << 16)) + change)
      let bits = value.bitPattern
      // Nearest, ties to even.
      let rounded = UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
      bytes.storeBytes(
        of: value.isFinite ? rounded : UInt16(bits >> 16), toByteOffset: offset, as: UInt16.self)
    }
  }
}

extension MergedTensorSource.Addition {
  /// s times the product of the row of B and the column of A; 0 for a row that is not adapted.
  fileprivate func value(_ row: Int, _ column: Int) -> Double {
    guard row < outputs.count, outputs[row] >= 0 else { return 0 }
    var sum = 0.0
    for index in 0..<pair.rank {
      sum += Double(pair.b[outputs[row] * pair.rank + index])
        * Double(pair.a[index * pair.inputs + column])
    }
    return sum * scale
  }
}

extension TensorSource {
  /// Writes all tensors as one safetensors file, a piece at a time.
  ///
  /// - Parameter progress: called after each piece with the share that is written.
  /// - Throws: what reading and writing throw; then there is no file.
  package func writeSafetensors(to url: URL, progress: (Double) -> Void = { _ in }) throws {
    let tensors = try tensorNames.map { name in
      let tensor = try tensor(name)
      return (name: name, type: tensor.type, shape: tensor.shape)
    }
    let (header, order) = try SafetensorsWriter.header(of: tensors, metadata: ["format": "pt"])
    let total = try order.reduce(0) { $0 + (try tensor($1).byteCount) }
    let partial = url.appendingPathExtension("partial")
    guard FileManager.default.createFile(atPath: partial.path, contents: Data(header)) else {
      throw FormatError(.unreadable, file: partial.path, reason: "cannot be written")
    }
    do {
      let file = try FileHandle(forWritingTo: partial)
      try file.seekToEnd()
      var written = 0
      for name in order {
        let count = try tensor(name).byteCount
        for offset in stride(from: 0, to: count, by: 8 << 20) {
          var piece = Data(count: Swift.min(8 << 20, count - offset))
          try piece.withUnsafeMutableBytes { try read(name, offset: offset, into: $0) }
          try file.write(contentsOf: piece)
          written += piece.count
          progress(Double(written) / Double(Swift.max(1, total)))
        }
        release(name, upTo: count)
      }
      try file.synchronize()
      try file.close()
      guard rename(partial.path, url.path) == 0 else {
        throw FormatError(.unreadable, file: url.path, reason: "cannot be written")
      }
    } catch {
      try? FileManager.default.removeItem(at: partial)
      throw error
    }
  }
}
