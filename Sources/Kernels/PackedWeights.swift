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
  private let bytes: PackedBytes
  private let layout: PackedLayout

  /// Packs all rows at once.
  /// - Parameter rows: `outputs` rows of `type.rowBytes(columns: inputs)` bytes, as in GGUF or
  ///   safetensors.
  /// - Parameter storage: as `PackedWeightsBuilder` says.
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
    guard let memory = builder.memory else {
      throw KernelError(code: .invalidWeights, message: "the rows were packed for somebody else")
    }
    type = builder.storage
    outputs = builder.outputs
    inputs = builder.inputs
    bytes = PackedBytes(base: UnsafeRawPointer(memory.base), owner: memory)
    layout = builder.layout
  }

  /// Takes over what was packed before, as in a mapped file.
  /// - Parameters:
  ///   - type: the format of the panels.
  ///   - packed: the bytes that a builder has filled, at a multiple of 64; never written again.
  ///   - owner: keeps `packed` in place as long as it lives.
  /// - Throws: `KernelError.invalidWeights` if the byte count or the alignment is not right.
  package init(
    type: WeightType, outputs: Int, inputs: Int, packed: UnsafeRawBufferPointer,
    owner: any AnyObject & Sendable
  ) throws(KernelError) {
    layout = try PackedLayout(storage: type, outputs: outputs, inputs: inputs)
    guard packed.count == layout.byteCount, let base = packed.baseAddress,
      UInt(bitPattern: base) % 64 == 0
    else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(packed.count) bytes of packed \(outputs) x \(inputs) \(type.rawValue) weights")
    }
    self.type = type
    self.outputs = outputs
    self.inputs = inputs
    bytes = PackedBytes(base: base, owner: owner)
  }

  /// Bytes of the packed matrix.
  package var byteCount: Int { layout.byteCount }

  var panels: Int { (outputs + Int(CK_PANEL) - 1) / Int(CK_PANEL) }
  var base: UnsafeRawPointer { bytes.base }
  var scales: UnsafeRawPointer { base + layout.scaleOffset }
  var minima: UnsafeRawPointer { base + layout.minimumOffset }

  /// Where some panels lie, about: their weights, scales and minima.
  package func bytes(ofPanels panels: Range<Int>) -> [UnsafeRawBufferPointer] {
    precondition(panels.lowerBound >= 0 && panels.upperBound <= self.panels)
    let bounds = [0, layout.scaleOffset, layout.minimumOffset, layout.byteCount]
    return zip(bounds, bounds.dropFirst()).map { start, end in
      // Panels are alike: each has its share of all three.
      let first = (end - start) * panels.lowerBound / self.panels
      let last = (end - start) * panels.upperBound / self.panels
      return UnsafeRawBufferPointer(start: base + start + first, count: last - first)
    }
  }

  /// Row `output` as float32, as in an embedding table: exact values of the format, `inputs` of
  /// them.
  package func copyRow(_ output: Int, to row: UnsafeMutableBufferPointer<Float>) {
    precondition(output >= 0 && output < outputs && row.count == inputs)
    guard let destination = row.baseAddress else { return }
    ck_unpack_row(type.format, base, scales, minima, output, inputs, destination)
  }
}

/// Where packed bytes are and what keeps them there.
///
/// `@unchecked Sendable`: nobody writes them any more.
private struct PackedBytes: @unchecked Sendable {
  let base: UnsafeRawPointer
  let owner: any AnyObject & Sendable
}

/// Packs a matrix piece by piece, so that a file can be streamed: no second copy of it is ever
/// held.
package final class PackedWeightsBuilder {
  package let type: WeightType
  package let storage: WeightType
  package let outputs: Int
  package let inputs: Int
  package private(set) var rowsAppended = 0
  /// The builder's own memory; nil when it fills somebody else's.
  let memory: AlignedMemory?
  let layout: PackedLayout
  private let base: UnsafeMutableRawPointer
  private let rowBytes: Int
  private let blockScales: BlockScales?
  private var floats: [Float] = []
  private var narrow: [UInt8] = []

  /// - Parameters:
  ///   - storage: `.f32` widens the weights, `.f24`, `.bf16` and `.f16` narrow those of float32
  ///     that lose nothing by it; nil holds them as `type.storage`.
  ///   - scales: of `.f8E4M3` weights, and of no others.
  ///   - target: `PackedLayout.byteCount` zeroed bytes at a multiple of 64 that outlive the
  ///     builder, to be filled instead of memory of its own.
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions or scales; `outOfResources`.
  package init(
    type: WeightType, outputs: Int, inputs: Int, storage: WeightType? = nil,
    scales: BlockScales? = nil, into target: UnsafeMutableRawBufferPointer? = nil
  ) throws(KernelError) {
    let storage = storage ?? type.storage
    let narrows = type == .f32 && [.f24, .bf16, .f16].contains(storage)
    guard storage == type.storage || storage == .f32 || narrows else {
      throw KernelError(
        code: .invalidWeights, message: "\(type.rawValue) cannot be held as \(storage.rawValue)")
    }
    guard type == .f8E4M3 || scales == nil else {
      throw KernelError(
        code: .invalidWeights, message: "\(type.rawValue) weights have no block scales")
    }
    guard scales.map({ $0.outputs == outputs && $0.inputs == inputs }) ?? true else {
      throw KernelError(
        code: .invalidWeights,
        message: "block scales of another matrix than \(outputs) x \(inputs)")
    }
    layout = try PackedLayout(storage: storage, outputs: outputs, inputs: inputs)
    rowBytes = try type.rowBytes(columns: inputs)
    self.type = type
    blockScales = scales
    self.storage = storage
    self.outputs = outputs
    self.inputs = inputs
    if let target {
      guard target.count == layout.byteCount, let address = target.baseAddress,
        UInt(bitPattern: address) % 64 == 0
      else {
        throw KernelError(
          code: .invalidWeights, message: "\(target.count) bytes for \(layout.byteCount)")
      }
      (memory, base) = (nil, address)
    } else {
      let own = try AlignedMemory(byteCount: layout.byteCount)
      (memory, base) = (own, own.base)
    }
    if storage == .f32 { floats = [Float](repeating: 0, count: inputs) }
    if narrows { narrow = [UInt8](repeating: 0, count: try storage.rowBytes(columns: inputs)) }
  }

  /// Packs rows of zeros.
  /// - Throws: `KernelError.invalidWeights` if there are too many.
  package func appendZeros(_ count: Int) throws(KernelError) {
    guard count >= 0, count <= outputs - rowsAppended else {
      throw KernelError(
        code: .invalidWeights, message: "\(count) rows for \(outputs - rowsAppended)")
    }
    guard count > 0 else { return }
    // Every format reads zero bytes as zeros.
    let zeros = [UInt8](repeating: 0, count: try storage.rowBytes(columns: inputs))
    for _ in 0..<count {
      ck_pack_row(
        storage.format, zeros, rowsAppended, inputs, base, base + layout.scaleOffset,
        base + layout.minimumOffset)
      rowsAppended += 1
    }
  }

  /// Packs the next rows.
  /// - Parameter scales: of FP8 weights, of which matrix and from which of its rows on `rows` are;
  ///   nil: those that the builder was given.
  /// - Throws: `KernelError.invalidWeights` if `rows` is not whole rows, there are too many, or
  ///   weights would lose bits.
  package func append(
    _ rows: UnsafeRawBufferPointer, scales: (of: BlockScales, from: Int)? = nil
  ) throws(KernelError) {
    let scales = scales ?? blockScales.map { ($0, rowsAppended) }
    guard (type == .f8E4M3) == (scales != nil) else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(type.rawValue) weights \(scales == nil ? "need" : "have no") block scales")
    }
    guard rows.count % rowBytes == 0, rows.count / rowBytes <= outputs - rowsAppended else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(rows.count) bytes for \(outputs - rowsAppended) rows of \(rowBytes) bytes")
    }
    guard let start = rows.baseAddress else { return }
    for row in 0..<(rows.count / rowBytes) {
      let from = start + row * rowBytes
      if let scales {
        guard scales.of.inputs == inputs, scales.from + row < scales.of.outputs else {
          throw KernelError(code: .invalidWeights, message: "block scales of another matrix")
        }
        try check(UnsafeRawBufferPointer(start: from, count: rowBytes))
        append(row: from, scales: scales.of.row(scales.from + row))
      } else if !narrow.isEmpty {
        try append(narrowing: from)
      } else {
        append(row: from)
      }
    }
  }

  private func append(row: UnsafeRawPointer) {
    let (scales, minima) = (base + layout.scaleOffset, base + layout.minimumOffset)
    if storage == type.storage {
      ck_pack_row(type.format, row, rowsAppended, inputs, base, scales, minima)
    } else {
      ck_dequantise_row(type.format, row, inputs, &floats)
      ck_pack_row(storage.format, floats, rowsAppended, inputs, base, scales, minima)
    }
    rowsAppended += 1
  }

  /// A row of float32 that the storage holds to the bit.
  private func append(narrowing row: UnsafeRawPointer) throws(KernelError) {
    guard ck_exact_formats(row, inputs) >> storage.format.rawValue & 1 == 1 else {
      throw KernelError(
        code: .invalidWeights,
        message: "row \(rowsAppended) would lose bits as \(storage.rawValue)")
    }
    ck_narrow(storage.format, row, inputs, &narrow)
    ck_pack_row(storage.format, narrow, rowsAppended, inputs, base, nil, nil)
    rowsAppended += 1
  }

  /// A row of FP8 with the scales of its blocks.
  private func append(row: UnsafeRawPointer, scales: ArraySlice<Float>) {
    if storage == .f32 {
      ck_dequantise_row(type.format, row, inputs, &floats)
      for input in 0..<inputs {
        floats[input] *= scales[scales.startIndex + input / BlockScales.blockSize]
      }
      ck_pack_row(storage.format, floats, rowsAppended, inputs, base, nil, nil)
    } else {
      ck_pack_row(type.format, row, rowsAppended, inputs, base, nil, nil)
      let lanes = Int(CK_PANEL)
      let panel = (base + layout.scaleOffset).assumingMemoryBound(to: Float.self)
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
