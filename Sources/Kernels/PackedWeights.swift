import CKernels

/// A weight matrix [outputs, inputs] in panels of 16 outputs, ready for `Compute.matmul`. Immutable
/// once built.
///
/// Float types lie as `[panel][input][16]` in their own width; the quantised ones as
/// `CKernels/reference/block_panel.c` says, their scales and minima as at `ck_matmul`. Columns
/// beyond the last output are zero.
package final class PackedWeights: Sendable {
  package let type: WeightType
  /// N: rows in the file.
  package let outputs: Int
  /// K: columns in the file.
  package let inputs: Int
  private let memory: AlignedMemory
  private let layout: PackedLayout

  /// Packs all rows at once.
  /// - Parameter rows: `outputs` rows of `type.rowBytes(columns: inputs)` bytes, as in GGUF or
  ///   safetensors.
  /// - Parameter storage: `.f32` widens the weights; nil holds them as `type.storage`.
  /// - Parameter scales: of `.f8E4M3` weights, and of no others.
  /// - Throws: `KernelError.invalidWeights` if the byte count does not fit; `outOfResources`.
  package convenience init(
    type: WeightType, outputs: Int, inputs: Int, rows: UnsafeRawBufferPointer,
    storage: WeightType? = nil, scales: BlockScales? = nil
  ) throws(KernelError) {
    let (expected, overflow) = try type.rowBytes(columns: inputs)
      .multipliedReportingOverflow(by: outputs)
    guard !overflow, expected == rows.count else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(rows.count) bytes for \(outputs) x \(inputs) \(type.rawValue) weights")
    }
    let builder = try PackedWeightsBuilder(
      type: type, outputs: outputs, inputs: inputs, storage: storage, scales: scales)
    try builder.append(rows)
    try self.init(builder)
  }

  /// Takes over what a builder has packed.
  /// - Throws: `KernelError.invalidWeights` if rows are missing.
  package init(_ builder: PackedWeightsBuilder) throws(KernelError) {
    guard builder.rowsAppended == builder.outputs else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(builder.rowsAppended) of \(builder.outputs) weight rows were given")
    }
    type = builder.storage
    outputs = builder.outputs
    inputs = builder.inputs
    memory = builder.memory
    layout = builder.layout
  }

  /// Bytes held.
  package var byteCount: Int { memory.byteCount }

  var panels: Int { (outputs + Int(CK_PANEL) - 1) / Int(CK_PANEL) }
  var base: UnsafeRawPointer { UnsafeRawPointer(memory.base) }
  var scales: UnsafeRawPointer { base + layout.scaleOffset }
  var minima: UnsafeRawPointer { base + layout.minimumOffset }

  /// Row `output` as float32, as in an embedding table: exact values of the format, `inputs` of
  /// them.
  package func copyRow(_ output: Int, to row: UnsafeMutableBufferPointer<Float>) {
    precondition(output >= 0 && output < outputs && row.count == inputs)
    guard let destination = row.baseAddress else { return }
    ck_unpack_row(type.format, base, scales, minima, output, inputs, destination)
  }
}

/// Packs a matrix piece by piece, so that a file can be streamed: no second copy of it is ever
/// held.
package final class PackedWeightsBuilder {
  package let type: WeightType
  package let storage: WeightType
  package let outputs: Int
  package let inputs: Int
  package private(set) var rowsAppended = 0
  let memory: AlignedMemory
  let layout: PackedLayout
  private let rowBytes: Int
  private let blockScales: BlockScales?
  private var floats: [Float] = []

  /// - Parameter storage: `.f32` widens the weights; nil holds them as `type.storage`.
  /// - Parameter scales: of `.f8E4M3` weights, and of no others.
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions or scales; `outOfResources`.
  package init(
    type: WeightType, outputs: Int, inputs: Int, storage: WeightType? = nil,
    scales: BlockScales? = nil
  ) throws(KernelError) {
    let storage = storage ?? type.storage
    guard storage == type.storage || storage == .f32 else {
      throw KernelError(
        code: .invalidWeights, message: "\(type.rawValue) cannot be held as \(storage.rawValue)")
    }
    guard (type == .f8E4M3) == (scales != nil) else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(type.rawValue) weights \(scales == nil ? "need" : "have no") block scales")
    }
    if let scales {
      // Made for this very shape.
      _ = try BlockScales(outputs: outputs, inputs: inputs, values: scales.values)
    }
    layout = try PackedLayout(storage: storage, outputs: outputs, inputs: inputs)
    rowBytes = try type.rowBytes(columns: inputs)
    self.type = type
    blockScales = scales
    self.storage = storage
    self.outputs = outputs
    self.inputs = inputs
    memory = try AlignedMemory(byteCount: layout.byteCount)
    if storage == .f32 { floats = [Float](repeating: 0, count: inputs) }
  }

  /// Packs the next rows.
  /// - Throws: `KernelError.invalidWeights` if `rows` is not whole rows or there are too many.
  package func append(_ rows: UnsafeRawBufferPointer) throws(KernelError) {
    guard rows.count % rowBytes == 0, rows.count / rowBytes <= outputs - rowsAppended else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(rows.count) bytes for \(outputs - rowsAppended) rows of \(rowBytes) bytes")
    }
    guard let start = rows.baseAddress else { return }
    for row in 0..<(rows.count / rowBytes) {
      let from = start + row * rowBytes
      if let blockScales {
        try check(UnsafeRawBufferPointer(start: from, count: rowBytes))
        append(row: from, scales: blockScales.row(rowsAppended))
      } else {
        append(row: from)
      }
    }
  }

  private func append(row: UnsafeRawPointer) {
    let (scales, minima) = (memory.base + layout.scaleOffset, memory.base + layout.minimumOffset)
    if storage == type.storage {
      ck_pack_row(type.format, row, rowsAppended, inputs, memory.base, scales, minima)
    } else {
      ck_dequantise_row(type.format, row, inputs, &floats)
      ck_pack_row(storage.format, floats, rowsAppended, inputs, memory.base, scales, minima)
    }
    rowsAppended += 1
  }

  /// A row of FP8 with the scales of its blocks.
  private func append(row: UnsafeRawPointer, scales: ArraySlice<Float>) {
    if storage == .f32 {
      ck_dequantise_row(type.format, row, inputs, &floats)
      for input in 0..<inputs {
        floats[input] *= scales[scales.startIndex + input / BlockScales.blockSize]
      }
      ck_pack_row(storage.format, floats, rowsAppended, inputs, memory.base, nil, nil)
    } else {
      ck_pack_row(type.format, row, rowsAppended, inputs, memory.base, nil, nil)
      let lanes = Int(CK_PANEL)
      let panel = (memory.base + layout.scaleOffset).assumingMemoryBound(to: Float.self)
        + rowsAppended / lanes * scales.count * lanes
      for (block, scale) in scales.enumerated() {
        panel[block * lanes + rowsAppended % lanes] = scale
      }
    }
    rowsAppended += 1
  }

  /// The kernels know finite FP8 alone: a NaN weight would fail every request anyway.
  private func check(_ row: UnsafeRawBufferPointer) throws(KernelError) {
    if let bad = row.firstIndex(where: { $0 & 0x7f == 0x7f }) {
      throw KernelError(
        code: .invalidWeights, message: "weight \(bad) of row \(rowsAppended) is NaN")
    }
  }
}
