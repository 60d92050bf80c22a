import CKernels

/// A weight matrix [outputs, inputs] in panels of 16 outputs, ready for `Compute.matmul`. Immutable
/// once built.
///
/// Layouts: f32, f16 and bf16 `[panel][input][16]` in their own width; q8_0
/// `[panel][block][8][16][4]` as byte + 128; q4_0 and q4_1 `[panel][block][4][16][4]`, low nibbles
/// inputs 0-15 of the block, high nibbles 16-31; scales and minima `[panel][block][16]` as the
/// file's f16. Columns beyond the last output are zero.
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
  /// - Parameter storage: another format to hold them in; only `.f32` can differ from `type`.
  /// - Throws: `KernelError.invalidWeights` if the byte count does not fit; `outOfResources`.
  package convenience init(
    type: WeightType, outputs: Int, inputs: Int, rows: UnsafeRawBufferPointer,
    storage: WeightType? = nil
  ) throws(KernelError) {
    let (expected, overflow) = try type.rowBytes(columns: inputs)
      .multipliedReportingOverflow(by: outputs)
    guard !overflow, expected == rows.count else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(rows.count) bytes for \(outputs) x \(inputs) \(type.rawValue) weights")
    }
    let builder = try PackedWeightsBuilder(
      type: type, outputs: outputs, inputs: inputs, storage: storage)
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
  var scales: UnsafePointer<UInt16> {
    (base + layout.scaleOffset).assumingMemoryBound(to: UInt16.self)
  }
  var minima: UnsafePointer<UInt16> {
    (base + layout.minimumOffset).assumingMemoryBound(to: UInt16.self)
  }

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
  private var floats: [Float] = []

  /// - Throws: `KernelError.invalidWeights` for impossible dimensions; `outOfResources`.
  package init(
    type: WeightType, outputs: Int, inputs: Int, storage: WeightType? = nil
  ) throws(KernelError) {
    let storage = storage ?? type
    guard storage == type || storage == .f32 else {
      throw KernelError(
        code: .invalidWeights, message: "\(type.rawValue) cannot be held as \(storage.rawValue)")
    }
    layout = try PackedLayout(storage: storage, outputs: outputs, inputs: inputs)
    rowBytes = try type.rowBytes(columns: inputs)
    self.type = type
    self.storage = storage
    self.outputs = outputs
    self.inputs = inputs
    memory = try AlignedMemory(byteCount: layout.byteCount)
    if storage != type { floats = [Float](repeating: 0, count: inputs) }
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
    for row in 0..<(rows.count / rowBytes) { append(row: start + row * rowBytes) }
  }

  private func append(row: UnsafeRawPointer) {
    let scales = (memory.base + layout.scaleOffset).assumingMemoryBound(to: UInt16.self)
    let minima = (memory.base + layout.minimumOffset).assumingMemoryBound(to: UInt16.self)
    if storage == type {
      ck_pack_row(type.format, row, rowsAppended, inputs, memory.base, scales, minima)
    } else {
      ck_dequantise_row(type.format, row, inputs, &floats)
      ck_pack_row(storage.format, floats, rowsAppended, inputs, memory.base, scales, minima)
    }
    rowsAppended += 1
  }
}
