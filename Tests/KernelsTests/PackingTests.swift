import CKernels
import Kernels
import TestSupport
import Testing

@Suite struct PackingTests {
  private func rows(_ type: WeightType, _ bytes: [UInt8], outputs: Int = 1, inputs: Int = 32) throws
    -> [[Float]]
  {
    try PackedWeights(type, outputs: outputs, inputs: inputs, bytes: bytes).rows
  }

  @Test func bytesWithAScale() throws {
    // d = 0.5 (f16 0x3800), then -128, -1, 0, 1, 127, 0...
    let bytes: [UInt8] = [0x00, 0x38, 0x80, 0xff, 0, 1, 127] + [UInt8](repeating: 0, count: 27)
    let row = try rows(.q8_0, bytes)[0]
    #expect(Array(row[0..<5]) == [-64, -0.5, 0, 0.5, 63.5])
    #expect(row[5...].allSatisfy { $0 == 0 })
  }

  @Test func nibblesWithAScale() throws {
    // d = 2 (0x4000); byte j: low nibble is value j, high nibble value j + 16, both minus 8.
    let bytes: [UInt8] = [0x00, 0x40, 0xf0, 0x18] + [UInt8](repeating: 0x88, count: 14)
    let row = try rows(.q4_0, bytes)[0]
    #expect(row[0] == -16 && row[16] == 14 && row[1] == 0 && row[17] == -14)
    #expect(row[2] == 0 && row[31] == 0)
  }

  @Test func nibblesWithAScaleAndAMinimum() throws {
    // d = 1 (0x3c00), m = -3 (0xc200).
    let bytes: [UInt8] = [0x00, 0x3c, 0x00, 0xc2, 0xf0, 0x18] + [UInt8](repeating: 0, count: 14)
    let row = try rows(.q4_1, bytes)[0]
    #expect(row[0] == -3 && row[16] == 12 && row[1] == 5 && row[17] == -2 && row[2] == -3)
  }

  @Test(arguments: WeightType.allCases)
  func storedRowsEqualDequantisedRows(type: WeightType) throws {
    var random = SeededRandom(seed: 1)
    let (outputs, inputs) = (37, type.whole(600))
    let bytes = random.weightRows(type, outputs: outputs, inputs: inputs, .ordinary)
    let packed = try rows(type, bytes, outputs: outputs, inputs: inputs)
    #expect(Set(packed.joined()).count > 30)
    let dense = try PackedWeights(
      type, outputs: outputs, inputs: inputs, bytes: bytes, storage: .f32)
    #expect(dense.type == .f32)
    #expect(sameBits(dense.rows, packed))
    let best = try compute(try #require(variants.last))
    let result = try Tensor(rows: 0, columns: inputs)
    let table = try PackedWeights(type, outputs: outputs, inputs: inputs, bytes: bytes)
    try best.embed([36, 0, 17], table: table, into: result)
    #expect(sameBits(result.values, [packed[36], packed[0], packed[17]]))
  }

  /// The formats whose panels are those of another keep every bit.
  @Test(arguments: WeightType.allCases.filter { $0.isQuantised })
  func storedRowsEqualTheFile(type: WeightType) throws {
    var random = SeededRandom(seed: 5)
    let inputs = type.whole(512)
    let bytes = random.weightRows(type, outputs: 17, inputs: inputs, .ordinary)
    let packed = try rows(type, bytes, outputs: 17, inputs: inputs)
    let rowBytes = try type.rowBytes(columns: inputs)
    for row in 0..<17 {
      var values = [Float](repeating: 0, count: inputs)
      try bytes[row * rowBytes..<(row + 1) * rowBytes].withUnsafeBytes { bytes in
        try values.withUnsafeMutableBufferPointer { try type.dequantise(bytes, into: $0) }
      }
      #expect(sameBits(values, packed[row]))
    }
  }

  /// What narrow types hold, at the edges of each: the value of the last weight decides.
  @Test(arguments: [
    (0x3f80_0000, [.bf16, .f16, .f24]), (0x8000_0000, [.bf16, .f16, .f24]),
    (0x3f81_0000, [.bf16, .f16, .f24]), (0x3f80_2000, [.f16, .f24]), (0x3f80_1000, [.f24]),
    (0x3f80_0100, [.f24]), (0x3f80_0001, []), (0x7f80_0000, [.bf16, .f24]),
    (0x7fc0_0000, [.bf16, .f24]), (0x7fc0_0001, []), (0x0001_0000, [.bf16, .f24]),
    (0x0000_0100, [.f24]), (0x477f_e000, [.f16, .f24]), (0x4780_0000, [.bf16, .f24]),
    (0x3380_0000, [.bf16, .f16, .f24]), (0x3300_0000, [.bf16, .f24]),
  ] as [(UInt32, [WeightType])])
  func wideWeightsAreHeldNarrowlyWhereNoBitIsLost(word: UInt32, types: [WeightType]) throws {
    let weights = [Float](repeating: -0.5, count: 103) + [Float(bitPattern: word)]
    let bytes = weights.withUnsafeBytes { Array($0) }
    let exactness = weights.withUnsafeBytes { all in
      var exactness = WeightType.Exactness(columns: 52)
      exactness.add(UnsafeRawBufferPointer(rebasing: all[..<412]))
      #expect(!exactness.isDecided)
      exactness.add(UnsafeRawBufferPointer(rebasing: all[412...]))
      return exactness
    }
    #expect(exactness.narrowest == types.first ?? .f32)
    #expect(exactness.isDecided == types.isEmpty)
    for type in [WeightType.bf16, .f16, .f24] {
      if types.contains(type) {
        let held = try PackedWeights(.f32, outputs: 2, inputs: 52, bytes: bytes, storage: type)
        #expect(held.type == type)
        #expect(held.rows.joined().map(\.bitPattern) == weights.map(\.bitPattern))
      } else {
        #expect(throws: KernelError.self) {
          try PackedWeights(.f32, outputs: 2, inputs: 52, bytes: bytes, storage: type)
        }
      }
    }
  }

  @Test func eightBitFloatsWithBlockScales() throws {
    // 0x38 is 1, 0x01 the smallest subnormal 2^-9, 0x7e the largest, 448; with the sign, -448.
    var bytes = [UInt8](repeating: 0, count: 130)
    (bytes[0], bytes[1], bytes[2], bytes[3], bytes[129]) = (0x38, 0x01, 0x7e, 0xfe, 0x38)
    let scales = try BlockScales(outputs: 1, inputs: 130, values: [2, 3])
    let weights = try bytes.withUnsafeBytes {
      try PackedWeights(type: .f8E4M3, outputs: 1, inputs: 130, rows: $0, scales: scales)
    }
    let row = weights.rows[0]
    #expect(Array(row[0..<4]) == [2, 0x1p-8, 896, -896] && row[129] == 3)
    bytes[77] = 0xff
    #expect(throws: KernelError.self) {
      try bytes.withUnsafeBytes {
        _ = try PackedWeights(type: .f8E4M3, outputs: 1, inputs: 130, rows: $0, scales: scales)
      }
    }
    #expect(throws: KernelError.self) {
      let builder = try PackedWeightsBuilder(type: .f8E4M3, outputs: 1, inputs: 130)
      bytes[77] = 0
      try bytes.withUnsafeBytes { try builder.append($0) }
    }
    #expect(throws: KernelError.self) {
      _ = try PackedWeightsBuilder(type: .f8E4M3, outputs: 129, inputs: 130, scales: scales)
    }
    #expect(throws: KernelError.self) {
      _ = try PackedWeightsBuilder(type: .f32, outputs: 1, inputs: 130, scales: scales)
    }
  }

  @Test func blocksOfScalesMayBeginAnew() throws {
    #expect(BlockScales.blockRows(outputs: 400, period: 400) == 4)
    #expect(BlockScales.blockRows(outputs: 400, period: 200) == 4)
    #expect(BlockScales.blockRows(outputs: 400, period: 100) == 4)
    #expect(BlockScales.blockRows(outputs: 410, period: 130) == 7)
    let scales = try BlockScales(
      outputs: 410, inputs: 1, values: [1, 2, 3, 4, 5, 6, 7], period: 130)
    for (row, factor) in [
      (0, 1), (127, 1), (128, 2), (129, 2), (130, 3), (259, 4), (260, 5), (389, 6), (390, 7),
      (409, 7),
    ] {
      var values: [Float] = [1]
      try scales.apply(toRow: row, &values)
      #expect(values == [Float(factor)], "row \(row)")
    }
    #expect(throws: KernelError.self) {
      try BlockScales(outputs: 4, inputs: 1, values: [1], period: 0)
    }
    #expect(throws: KernelError.self) {
      try BlockScales(outputs: 4, inputs: 1, values: [1], period: 3)
    }
  }

  @Test func streamedRowsEqualWholeOnes() throws {
    var random = SeededRandom(seed: 2)
    let bytes = random.weightRows(.q4_1, outputs: 20, inputs: 64, .ordinary)
    let builder = try PackedWeightsBuilder(type: .q4_1, outputs: 20, inputs: 64)
    for part in [0..<3, 3..<4, 4..<20] {
      try Array(bytes[part.lowerBound * 40..<part.upperBound * 40]).withUnsafeBytes {
        try builder.append($0)
      }
    }
    #expect(
      sameBits(
        try PackedWeights(builder).rows, try rows(.q4_1, bytes, outputs: 20, inputs: 64)))
  }

  @Test func badShapesAndSizesThrow() throws {
    func code(_ body: () throws -> Void) -> KernelError.Code? {
      do { try body() } catch let error as KernelError { return error.code } catch {}
      return nil
    }
    #expect(
      code { _ = try PackedWeightsBuilder(type: .q8_0, outputs: 1, inputs: 33) } == .invalidWeights)
    #expect(
      code { _ = try PackedWeightsBuilder(type: .f32, outputs: 0, inputs: 1) } == .invalidWeights)
    #expect(
      code { _ = try PackedWeightsBuilder(type: .f32, outputs: -1, inputs: 1) } == .invalidWeights)
    for huge in [Int.max, Int.max / 2, 1 << 40] {
      #expect(
        code { _ = try PackedWeightsBuilder(type: .f32, outputs: huge, inputs: huge) }
          == .invalidWeights)
    }
    #expect(code { _ = try WeightType.f32.rowBytes(columns: Int.max) } == .invalidWeights)
    let builder = try PackedWeightsBuilder(type: .f32, outputs: 2, inputs: 2)
    #expect(code { _ = try PackedWeights(builder) } == .invalidWeights)
    for count in [1, 7, 24] {
      #expect(
        code { try [UInt8](repeating: 0, count: count).withUnsafeBytes { try builder.append($0) } }
          == .invalidWeights)
    }
    let small = [UInt8](repeating: 0, count: 64)
    #expect(
      code {
        try small.withUnsafeBytes {
          _ = try PackedWeights(type: .f32, outputs: 1 << 20, inputs: 1 << 19, rows: $0)
        }
      } == .invalidWeights)
  }

  @Test func halvesConvertExactlyAndSaturate() {
    for bits in UInt16.min...UInt16.max {
      let truth = Float(Float16(bitPattern: bits))
      let value = ck_float_of_f16(bits)
      #expect(value.bitPattern == truth.bitPattern || (value.isNaN && truth.isNaN))
      if truth.isFinite { #expect(ck_f16_of(truth) == bits) }
    }
    #expect(
      ck_f16_of(.infinity) == 0x7bff && ck_f16_of(-1e9) == 0xfbff && ck_f16_of(65519) == 0x7bff)
    #expect(ck_f16_of(.nan) == 0 && ck_f16_of(-0.0) == 0x8000)
    var random = SeededRandom(seed: 3)
    for _ in 0..<200_000 {
      let x = Float(bitPattern: UInt32.random(in: 0..<0x477f_e000, using: &random))
      #expect(ck_f16_of(x) == Float16(x).bitPattern, "\(x)")
      #expect(ck_f16_of(-x) == Float16(-x).bitPattern, "\(-x)")
    }
  }

  @Test func rowsOfHalvesGiveTheReferenceBits() throws {
    var random = SeededRandom(seed: 4)
    for draw in Draw.allCases {
      for length in [1, 16, 31, 200] {
        let x = random.values(length, draw)
        let truth = x.map { ck_f16_of($0) }
        for variant in KernelSet.available {
          let table = try #require(ck_table_of(ck_variant(UInt32(variant.index))))
          var halves = [UInt16](repeating: 1, count: length)
          table.pointee.to_f16(x, length, &halves)
          #expect(halves == truth, "\(variant) \(draw) \(length)")
          var back = [Float](repeating: 0, count: length)
          table.pointee.from_f16(halves, length, &back)
          #expect(sameBits(back, truth.map { ck_float_of_f16($0) }))
        }
      }
    }
  }

  @Test func brainFloatsRoundToEven() {
    #expect(ck_bf16_of(1) == 0x3f80 && ck_bf16_of(Float(bitPattern: 0x3f80_8000)) == 0x3f80)
    #expect(ck_bf16_of(Float(bitPattern: 0x3f81_8000)) == 0x3f82 && ck_bf16_of(.infinity) == 0x7f80)
    #expect(ck_float_of_bf16(ck_bf16_of(.nan)).isNaN)
  }
}

extension KernelVariant {
  /// The C enumeration's value.
  var index: Int { KernelVariant.allCases.firstIndex(of: self) ?? 0 }
}
