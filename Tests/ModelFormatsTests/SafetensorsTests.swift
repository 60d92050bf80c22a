import Foundation
import ModelFormats
import Testing

/// Helper: a file made of a header text and data.
func safetensors(_ header: String, data: [UInt8] = []) -> [UInt8] {
  withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { [UInt8]($0) }
    + Array(header.utf8) + data
}

@Suite struct SafetensorsTests {
  @Test func writtenFilesReadBack() throws {
    var writer = SafetensorsWriter(metadata: ["b": "2", "a": "\"\\\n\u{1}é"])
    try writer.add("tokens", shape: [2, 2], [1, -2, 3, Int32.max] as [Int32])
    try writer.add("logits", [1.5, -0.0, .infinity] as [Float])
    try writer.add("flag", type: .bool, shape: [], bytes: [1])
    try writer.add("empty", shape: [0, 7], [] as [Int64])
    let file = try SafetensorsFile(bytes: writer.bytes(), name: "memory")
    #expect(file.names == ["empty", "flag", "logits", "tokens"])
    #expect(file.metadata == ["b": "2", "a": "\"\\\n\u{1}é"])
    #expect(
      try file.elements("tokens", as: Int32.self, shape: [nil, 2]) == [1, -2, 3, Int32.max])
    let logits = try file.elements("logits", as: Float.self)
    #expect(logits.map(\.bitPattern) == [1.5, -0.0, Float.infinity].map(\.bitPattern))
    #expect(try file.record("flag").shape == [])
    #expect(try file.withBytes(of: "flag") { $0.first } == 1)
    #expect(try file.elements("empty", as: Int64.self, shape: [0, 7]).isEmpty)
  }

  @Test func bytesDoNotDependOnTheOrderOfAdding() throws {
    var forward = SafetensorsWriter(metadata: ["k": "v"])
    var backward = SafetensorsWriter(metadata: ["k": "v"])
    for index in 0..<20 {
      try forward.add("t\(index)", [Float(index)])
      try backward.add("t\(19 - index)", [Float(19 - index)])
    }
    try forward.add("byte", [7] as [UInt8])
    try backward.add("byte", [7] as [UInt8])
    #expect(forward.bytes() == backward.bytes())
  }

  @Test func canonicalBytesArePinned() throws {
    var writer = SafetensorsWriter(metadata: ["kind": "x"])
    try writer.add("b", [0x0102] as [Int32])
    try writer.add("a", [9] as [UInt8])
    let header =
      #"{"__metadata__":{"kind":"x"},"a":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},"#
      + #""b":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#
    let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    #expect(writer.bytes() == safetensors(padded, data: [2, 1, 0, 0, 9]))
  }

  @Test func everyTensorIsAligned() throws {
    var writer = SafetensorsWriter()
    try writer.add("a", [1] as [UInt8])
    try writer.add("b", [1] as [Int64])
    try writer.add("c", [1] as [Int16])
    try writer.add("d", [1] as [Float])
    let file = try SafetensorsFile(bytes: writer.bytes(), name: "memory")
    for record in file.tensors.values {
      #expect(record.range.lowerBound % record.type.bytesPerBlock == 0, "\(record.name)")
    }
  }

  @Test func writerRefusesNonsense() throws {
    var writer = SafetensorsWriter()
    try writer.add("x", [1] as [Float])
    #expect(throws: FormatError.self) { try writer.add("x", [1] as [Float]) }
    #expect(throws: FormatError.self) { try writer.add("__metadata__", [1] as [Float]) }
    #expect(throws: FormatError.self) { try writer.add("y", shape: [2], [1] as [Float]) }
    #expect(throws: FormatError.self) { try writer.add("y", shape: [-1, -1], [1] as [Float]) }
    #expect(throws: FormatError.self) {
      try writer.add("y", type: .q8_0, shape: [32], bytes: Array(repeating: 0, count: 34))
    }
  }

  static let hostile: [(String, FormatError.Code, [UInt8])] = [
    ("empty", .truncated, []),
    ("seven bytes", .truncated, [1, 0, 0, 0, 0, 0, 0]),
    ("header past the end", .truncated, [200, 0, 0, 0, 0, 0, 0, 0, 0x7B]),
    ("header of 2^63", .limitExceeded, [0, 0, 0, 0, 0, 0, 0, 0x80, 0x7B, 0x7D]),
    ("header of 2^64-1", .limitExceeded, Array(repeating: 255, count: 8) + [0x7B, 0x7D]),
    ("no brace", .badMagic, safetensors("  {}")),
    ("an array", .badMagic, safetensors("[]")),
    ("cut JSON", .malformed, safetensors("{\"a\"")),
    ("not UTF-8", .malformed, [5, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x22, 0xFF, 0x22, 0x7D]),
    ("depth bomb", .limitExceeded, safetensors("{\"a\":" + String(repeating: "[", count: 100_000))),
    (
      "duplicate name", .duplicate,
      safetensors(
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
          + #""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
        data: [0])
    ),
    (
      "overlap", .badLayout,
      safetensors(
        #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"#
          + #""b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
        data: [0, 0, 0])
    ),
    (
      "hole", .badLayout,
      safetensors(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, data: [0, 0])
    ),
    (
      "bytes left over", .badLayout,
      safetensors(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: [0, 0])
    ),
    (
      "out of range", .badLayout,
      safetensors(#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#, data: [0])
    ),
    (
      "reversed offsets", .badLayout,
      safetensors(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#, data: [0])
    ),
    (
      "size does not fit the shape", .badLayout,
      safetensors(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1]}}"#, data: [0])
    ),
    (
      "dimension of 2^63", .malformed,
      safetensors(
        #"{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,0]}}"#)
    ),
    (
      "product overflows", .limitExceeded,
      safetensors(
        #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#)
    ),
    (
      "overflow hidden by a zero", .limitExceeded,
      safetensors(
        #"{"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}"#)
    ),
    (
      "negative dimensions", .malformed,
      safetensors(#"{"a":{"dtype":"U8","shape":[-1,-1],"data_offsets":[0,1]}}"#, data: [0])
    ),
    (
      "fractional shape", .malformed,
      safetensors(#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, data: [0])
    ),
    (
      "unknown type", .badType,
      safetensors(#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,1]}}"#, data: [0])
    ),
    (
      "block type", .badType,
      safetensors(#"{"a":{"dtype":"Q8_0","shape":[0],"data_offsets":[0,0]}}"#)
    ),
    (
      "unknown key", .malformed,
      safetensors(#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}"#)
    ),
    ("metadata of numbers", .malformed, safetensors(#"{"__metadata__":{"a":1}}"#)),
    (
      "three offsets", .malformed,
      safetensors(#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}"#)
    ),
  ]

  @Test(arguments: hostile.indices)
  func hostileFilesAreRefused(index: Int) throws {
    let (label, code, bytes) = Self.hostile[index]
    let error = try #require(throws: FormatError.self, "\(label)") {
      try SafetensorsFile(bytes: bytes, name: "hostile.safetensors")
    }
    #expect(error.code == code, "\(label): \(error)")
    #expect(error.file == "hostile.safetensors")
    #expect(error.offset != nil)
  }

  @Test func wrongTypeShapeAndNameAreNamed() throws {
    var writer = SafetensorsWriter()
    try writer.add("x", shape: [1, 2], [1, 2] as [Float])
    let file = try SafetensorsFile(data: writer.data(), name: "unit.safetensors")
    #expect(throws: FormatError.self) { try file.elements("x", as: Int32.self) }
    #expect(throws: FormatError.self) { try file.elements("x", as: Float.self, shape: [nil, 3]) }
    #expect(throws: FormatError.self) { try file.elements("x", as: Float.self, shape: [2]) }
    let missing = try #require(throws: FormatError.self) { try file.record("y") }
    #expect(missing.code == .missing)
    #expect("\(missing)".contains("unit.safetensors"))
  }

  @Test func mappedFilesReadBack() throws {
    let url = FileManager.default.temporaryDirectory
      .appendingPathComponent("safetensors-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    var writer = SafetensorsWriter()
    try writer.add("x", (0..<10_000).map(Float.init))
    try writer.write(to: url)
    let file = try SafetensorsFile(contentsOf: url)
    file.storage.releasePages(try file.record("x").range)
    #expect(try file.elements("x", as: Float.self) == (0..<10_000).map(Float.init))
    #expect(throws: FormatError.self) {
      try SafetensorsFile(contentsOf: url.appendingPathExtension("absent"))
    }
    #expect(throws: FormatError.self) {
      try SafetensorsFile(contentsOf: FileManager.default.temporaryDirectory)
    }
  }
}
