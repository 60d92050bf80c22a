import Foundation
import ModelFormats
import Testing

@Suite struct GGUFTests {
  @Test func readsEveryMetadataType() throws {
    let builder = GGUFBuilder(tensors: 1, pairs: 17) { file in
      file.pair("u8", type: 0)
      file.integer(UInt8.max)
      file.pair("i8", type: 1)
      file.integer(Int8.min)
      file.pair("u16", type: 2)
      file.integer(UInt16.max)
      file.pair("i16", type: 3)
      file.integer(Int16.min)
      file.pair("u32", type: 4)
      file.integer(UInt32.max)
      file.pair("i32", type: 5)
      file.integer(Int32.min)
      file.pair("f32", type: 6)
      file.integer((1.5 as Float).bitPattern)
      file.pair("bool", type: 7)
      file.integer(1 as UInt8)
      file.pair("string", type: 8)
      file.string("é")
      file.pair("u64", type: 10)
      file.integer(UInt64.max)
      file.pair("i64", type: 11)
      file.integer(Int64.min)
      file.pair("f64", type: 12)
      file.integer((0.1 as Double).bitPattern)
      file.pair("strings", type: 9)
      file.integer(8 as UInt32)
      file.integer(2 as UInt64)
      file.string("a")
      file.string("")
      file.pair("ints", type: 9)
      file.integer(3 as UInt32)
      file.integer(2 as UInt64)
      file.integer(-1 as Int16)
      file.integer(2 as Int16)
      file.pair("floats", type: 9)
      file.integer(6 as UInt32)
      file.integer(1 as UInt64)
      file.integer((0.25 as Float).bitPattern)
      file.pair("bools", type: 9)
      file.integer(7 as UInt32)
      file.integer(2 as UInt64)
      file.bytes += [0, 1]
      file.pair("nested", type: 9)
      file.integer(9 as UInt32)
      file.integer(1 as UInt64)
      file.integer(4 as UInt32)
      file.integer(1 as UInt64)
      file.integer(7 as UInt32)
      file.tensor("w", [32, 2], type: 8, offset: 0)
      file.data(68)
    }
    let file = try GGUFFile(bytes: builder.bytes, name: "memory")
    #expect(file.metadata["u8"] == .integer(255))
    #expect(file.metadata["i8"] == .integer(-128))
    #expect(file.metadata["u16"] == .integer(65535))
    #expect(file.metadata["i16"] == .integer(-32768))
    #expect(file.metadata["u32"] == .integer(Int64(UInt32.max)))
    #expect(file.metadata["i32"] == .integer(Int64(Int32.min)))
    #expect(file.metadata["f32"] == .double(1.5))
    #expect(file.metadata["bool"] == .bool(true))
    #expect(file.metadata["string"] == .string("é"))
    #expect(file.metadata["u64"] == .unsigned(.max))
    #expect(file.metadata["i64"] == .integer(.min))
    #expect(file.metadata["f64"] == .double(0.1))
    #expect(file.metadata["strings"] == .strings(["a", ""]))
    #expect(file.metadata["ints"] == .integers([-1, 2]))
    #expect(file.metadata["floats"] == .doubles([0.25]))
    #expect(file.metadata["bools"] == .bools([false, true]))
    #expect(file.metadata["nested"] == .array([.integers([7])]))
    let tensor = try #require(file.tensors.first)
    #expect(tensor.shape == [2, 32])
    #expect(tensor.type.elementType == .q8_0)
    #expect(tensor.range.count == 68 && tensor.range.lowerBound % 32 == 0)
  }

  @Test func typesThatCannotBeComputedWithAreNamed() throws {
    let builder = GGUFBuilder(tensors: 1) { file in
      file.tensor("w", [256], type: 17, offset: 0)
      file.data(74)
    }
    let tensor = try #require(try GGUFFile(bytes: builder.bytes, name: "memory").tensors.first)
    #expect("\(tensor.type)" == "IQ2_XS")
    #expect(tensor.type.elementType == nil)
  }

  static let hostile: [(String, FormatError.Code, GGUFBuilder)] = [
    ("magic", .badMagic, GGUFBuilder(magic: "GGML")),
    ("version 1", .badVersion, GGUFBuilder(version: 1)),
    ("big-endian", .badVersion, GGUFBuilder(version: 0x0300_0000)),
    ("2^64-1 tensors", .limitExceeded, GGUFBuilder(tensors: .max)),
    ("2^63 pairs", .limitExceeded, GGUFBuilder(pairs: 1 << 63)),
    ("tensors that do not fit", .truncated, GGUFBuilder(tensors: 100)),
    ("pairs that do not fit", .truncated, GGUFBuilder(pairs: 100)),
    (
      "key of 2^63 bytes", .limitExceeded,
      GGUFBuilder(pairs: 1) {
        $0.integer(UInt64(1) << 63)
        $0.data(40)
      }
    ),
    (
      "key past the end", .truncated,
      GGUFBuilder(pairs: 1) {
        $0.integer(100 as UInt64)
        $0.data(9)
      }
    ),
    (
      "string past the end", .truncated,
      GGUFBuilder(pairs: 1) {
        $0.pair("k", type: 8)
        $0.integer(30 as UInt64)
        $0.bytes += [1]
      }
    ),
    (
      "string of 2^64-1 bytes", .limitExceeded,
      GGUFBuilder(pairs: 1) {
        $0.pair("k", type: 8)
        $0.integer(UInt64.max)
      }
    ),
    (
      "unknown value type", .badType,
      GGUFBuilder(pairs: 1) {
        $0.pair("k", type: 13)
        $0.data(8)
      }
    ),
    (
      "unknown array type", .badType,
      GGUFBuilder(pairs: 1) {
        $0.pair("k", type: 9)
        $0.integer(99 as UInt32)
        $0.integer(0 as UInt64)
      }
    ),
    (
      "bool of 2", .malformed,
      GGUFBuilder(pairs: 1) {
        $0.pair("k", type: 7)
        $0.bytes += [2]
      }
    ),
    (
      "key that is not UTF-8", .malformed,
      GGUFBuilder(pairs: 1) {
        $0.integer(1 as UInt64)
        $0.bytes += [0xFF]
        $0.integer(0 as UInt32)
        $0.bytes += [0]
      }
    ),
    (
      "array of 2^40", .limitExceeded,
      GGUFBuilder(pairs: 1) {
        $0.pair("k", type: 9)
        $0.integer(0 as UInt32)
        $0.integer(UInt64(1) << 40)
      }
    ),
    (
      "array that does not fit", .truncated,
      GGUFBuilder(pairs: 1) {
        $0.pair("k", type: 9)
        $0.integer(8 as UInt32)
        $0.integer(1000 as UInt64)
        $0.data(100)
      }
    ),
    (
      "depth bomb", .limitExceeded,
      GGUFBuilder(pairs: 1) { file in
        file.pair("k", type: 9)
        for _ in 0..<100_000 {
          file.integer(9 as UInt32)
          file.integer(1 as UInt64)
        }
      }
    ),
    (
      "duplicate key", .duplicate,
      GGUFBuilder(pairs: 2) { file in
        for _ in 0..<2 {
          file.pair("k", type: 0)
          file.integer(0 as UInt8)
        }
      }
    ),
    (
      "alignment 0", .badLayout,
      GGUFBuilder(pairs: 1) {
        $0.pair("general.alignment", type: 4)
        $0.integer(0 as UInt32)
      }
    ),
    (
      "alignment 24", .badLayout,
      GGUFBuilder(pairs: 1) {
        $0.pair("general.alignment", type: 4)
        $0.integer(24 as UInt32)
      }
    ),
    (
      "alignment as a string", .badLayout,
      GGUFBuilder(pairs: 1) {
        $0.pair("general.alignment", type: 8)
        $0.string("32")
      }
    ),
    (
      "five dimensions", .limitExceeded,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1, 1, 1, 1, 1], type: 0, offset: 0)
        $0.data(4)
      }
    ),
    (
      "2^32-1 dimensions", .limitExceeded,
      GGUFBuilder(tensors: 1) {
        $0.string("w")
        $0.integer(UInt32.max)
        $0.data(40)
      }
    ),
    (
      "dimension 2^63", .limitExceeded,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1 << 63], type: 0, offset: 0)
        $0.data(4)
      }
    ),
    (
      "product overflows", .limitExceeded,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1 << 32, 1 << 32], type: 0, offset: 0)
        $0.data(4)
      }
    ),
    (
      "bytes overflow", .badLayout,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1 << 62], type: 0, offset: 0)
        $0.data(4)
      }
    ),
    (
      "unknown tensor type", .badType,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1], type: 4, offset: 0)
        $0.data(4)
      }
    ),
    (
      "rows of half blocks", .badLayout,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [48, 2], type: 8, offset: 0)
        $0.data(200)
      }
    ),
    (
      "misaligned", .badLayout,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1], type: 0, offset: 4)
        $0.data(32)
      }
    ),
    (
      "offset past the end", .truncated,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1], type: 0, offset: 3200)
        $0.data(4)
      }
    ),
    (
      "offset near 2^64", .truncated,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [1], type: 0, offset: .max - 31)
        $0.data(4)
      }
    ),
    (
      "data cut", .truncated,
      GGUFBuilder(tensors: 1) {
        $0.tensor("w", [2], type: 0, offset: 0)
        $0.data(4)
      }
    ),
    (
      "duplicate tensor", .duplicate,
      GGUFBuilder(tensors: 2) { file in
        for _ in 0..<2 { file.tensor("w", [1], type: 0, offset: 0) }
        file.data(4)
      }
    ),
    (
      "overlap", .badLayout,
      GGUFBuilder(tensors: 2) { file in
        file.tensor("a", [16], type: 0, offset: 0)
        file.tensor("b", [1], type: 0, offset: 32)
        file.data(64)
      }
    ),
  ]

  @Test(arguments: hostile.indices)
  func hostileFilesAreRefused(index: Int) throws {
    let (label, code, builder) = Self.hostile[index]
    let error = try #require(throws: FormatError.self, "\(label)") {
      try GGUFFile(bytes: builder.bytes, name: "hostile.gguf")
    }
    #expect(error.code == code, "\(label): \(error)")
    #expect(error.file == "hostile.gguf")
    #expect(error.offset != nil)
  }

  @Test func fixturesOpen() throws {
    let file = try GGUFFile(
      contentsOf: fixtures.appendingPathComponent("gguf/llama3.1.gguf"))
    #expect(try file.value("general.architecture").stringValue == "llama")
    #expect(file.metadata["tokenizer.ggml.tokens"]?.stringsValue?.count == 288)
    #expect(file.tensors.first { $0.name == "blk.0.ffn_down.weight" }?.shape == [64, 112])
    #expect(throws: FormatError.self) { try file.value("absent") }
  }
}
