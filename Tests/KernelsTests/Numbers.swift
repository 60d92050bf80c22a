import Kernels
import TestSupport
import Testing

/// What kind of values a case draws.
enum Draw: String, CaseIterable, Sendable {
  /// Around one.
  case ordinary
  /// Subnormals, zeros of both signs, values near the largest, and ordinary ones.
  case extreme
  /// Mostly ordinary, with infinities and NaNs.
  case nonFinite
}

extension SeededRandom {
  mutating func value(_ draw: Draw) -> Float {
    let ordinary = Float.random(in: -2...2, using: &self)
    if draw == .ordinary || chance(0.6) { return ordinary }
    if draw == .nonFinite {
      return chance(0.9)
        ? ordinary : [.infinity, -.infinity, .nan][Int.random(in: 0..<3, using: &self)]
    }
    switch Int.random(in: 0..<6, using: &self) {
    case 0: return Float(bitPattern: UInt32.random(in: 1..<0x0080_0000, using: &self))
    case 1: return -Float(bitPattern: UInt32.random(in: 1..<0x0080_0000, using: &self))
    case 2: return 0
    case 3: return -0.0
    case 4: return ordinary * 1e-30
    default: return ordinary * 1e18
    }
  }

  mutating func values(_ count: Int, _ draw: Draw) -> [Float] {
    (0..<count).map { _ in value(draw) }
  }

  mutating func matrix(_ rows: Int, _ columns: Int, _ draw: Draw) -> [[Float]] {
    (0..<rows).map { _ in values(columns, draw) }
  }

  /// Rows of a weight matrix as a file has them. Scales are ordinary unless `draw` is not.
  mutating func weightRows(_ type: WeightType, outputs: Int, inputs: Int, _ draw: Draw) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<(outputs * inputs / type.blockSize) {
      switch type {
      case .f32: append(value(draw).bitPattern, to: &bytes)
      case .f16:
        append(Float16(value(draw == .extreme ? .extreme : .ordinary)).bitPattern, to: &bytes)
      case .bf16: append(UInt16(value(draw).bitPattern >> 16), to: &bytes)
      case .f24:
        for value in values(4, draw) {
          withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0.dropFirst() }
        }
      case .f8E4M3:
        bytes.append(UInt8.random(in: 0..<0x7f, using: &self) | (chance(0.5) ? 0x80 : 0))
      default: bytes += quantisedBlock(type)
      }
    }
    return bytes
  }

  /// Every byte may be anything; the f16 scales and minima are small.
  private mutating func quantisedBlock(_ type: WeightType) -> [UInt8] {
    var block = self.bytes(type.blockBytes)
    for offset in type.scaleOffsets {
      let half = Float16(value(.ordinary) / 16).bitPattern
      (block[offset], block[offset + 1]) = (UInt8(half & 0xff), UInt8(half >> 8))
    }
    // The byte -128, which llama.cpp never writes but a file may hold.
    if type == .q8_0, chance(0.3) { block[29] = 0x80 }
    return block
  }

  private func append(_ word: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
  }
}

extension WeightType {
  /// `inputs` rounded to whole blocks, at least one.
  func whole(_ inputs: Int) -> Int { max(1, inputs / blockSize) * blockSize }
}

/// Equal bits; any NaN equals any NaN.
func sameBits(_ a: [Float], _ b: [Float]) -> Bool {
  a.count == b.count
    && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
}

func sameBits(_ a: [[Float]], _ b: [[Float]]) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { sameBits($0, $1) }
}

/// The variants that this machine can run, besides the reference; printed once so that a log shows
/// what was tested.
let variants: [KernelVariant] = {
  let found = KernelSet.available
  print("kernel variants on this machine: \(found.map(\.rawValue).joined(separator: " "))")
  return found.filter { $0 != .scalarSoftware }
}()

/// The scalar reference with the fused multiply-add in software.
func reference() throws -> Compute {
  try Compute(kernels: KernelSet(.scalarSoftware), threads: 1)
}

func compute(_ variant: KernelVariant, threads: Int = 1) throws -> Compute {
  try Compute(kernels: KernelSet(variant), threads: threads)
}

/// Scales of FP8 weights, each another one.
func blockScales(outputs: Int, inputs: Int) throws -> BlockScales {
  let blocks = ((outputs + 127) / 128) * ((inputs + 127) / 128)
  return try BlockScales(
    outputs: outputs, inputs: inputs, values: (0..<blocks).map { 0.01 + 0.003 * Float($0) })
}

extension PackedWeights {
  convenience init(
    _ type: WeightType, outputs: Int, inputs: Int, bytes: [UInt8], storage: WeightType? = nil
  ) throws {
    var weights: PackedWeightsBuilder?
    try bytes.withUnsafeBytes {
      let builder = try PackedWeightsBuilder(
        type: type, outputs: outputs, inputs: inputs, storage: storage,
        scales: type == .f8E4M3 ? try blockScales(outputs: outputs, inputs: inputs) : nil)
      try builder.append($0)
      weights = builder
    }
    try self.init(try #require(weights))
  }

  /// Row by row as float32.
  var rows: [[Float]] {
    (0..<outputs).map { output in
      [Float](unsafeUninitializedCapacity: inputs) { buffer, count in
        copyRow(output, to: UnsafeMutableBufferPointer(rebasing: buffer[0..<inputs]))
        count = inputs
      }
    }
  }
}
