/// The checked header of a GGUF file; see `GGUFFile` for the format.
struct GGUFHeader {
  private(set) var version: UInt32 = 0
  private(set) var metadata: ExactDictionary<GGUFValue> = [:]
  private(set) var metadataOffsets: ExactDictionary<Int> = [:]
  private(set) var tensors: [GGUFFile.Tensor] = []

  private let limits: GGUFFile.Limits

  init(_ bytes: UnsafeRawBufferPointer, file: String, limits: GGUFFile.Limits) throws {
    self.limits = limits
    var cursor = ByteCursor(bytes, file: file)
    guard try cursor.integer(UInt32.self, "the magic") == 0x4655_4747 else {
      throw cursor.error(.badMagic, at: 0, "does not start with \"GGUF\"")
    }
    version = try cursor.integer(UInt32.self, "the version")
    guard version == 2 || version == 3 else {
      let note = version.byteSwapped == 3 ? " (a big-endian file)" : ""
      throw cursor.error(.badVersion, at: 4, "GGUF version \(version)\(note) is not supported")
    }
    let tensorCount = try cursor.count(
      "tensors", limit: limits.tensors, bytesEach: 8 + 4 + 4 + 8)
    let pairCount = try cursor.count(
      "metadata pairs", limit: limits.metadataPairs, bytesEach: 8 + 4 + 1)
    var reader = GGUFMetadataReader(limits: limits)
    for _ in 0..<pairCount {
      let start = cursor.position
      let key = try cursor.string("a metadata key", limit: limits.nameBytes)
      let value = try reader.value(&cursor)
      guard metadata.updateValue(value, forKey: key) == nil else {
        throw cursor.error(.duplicate, at: start, "metadata key \(quoted(key)) appears twice")
      }
      metadataOffsets[key] = start
    }
    try readTensors(&cursor, count: tensorCount)
  }

  /// A tensor's entry before the start of the data is known.
  private struct Entry {
    let name: String
    let type: GGMLType
    let shape: [Int]
    let byteCount: Int
    let offset: UInt64
    /// Where the entry stands in the file, for messages.
    let position: Int
  }

  private mutating func readTensors(_ cursor: inout ByteCursor, count: Int) throws {
    let alignment = try alignment(cursor)
    var names: Set<ExactString> = []
    var entries: [Entry] = []
    for _ in 0..<count {
      let entry = try readEntry(&cursor)
      guard names.insert(ExactString(entry.name)).inserted else {
        throw cursor.error(
          .duplicate, at: entry.position, "tensor \(quoted(entry.name)) appears twice")
      }
      entries.append(entry)
    }
    let (padded, overflow) = cursor.position.addingReportingOverflow(alignment - 1)
    guard !overflow else { throw cursor.error(.badLayout, "the alignment overflows") }
    let dataStart = padded / alignment * alignment
    tensors = try entries.map { entry in
      let label = "tensor \(quoted(entry.name))"
      guard entry.offset % UInt64(alignment) == 0 else {
        throw cursor.error(
          .badLayout, at: entry.position,
          "\(label) has offset \(entry.offset), not a multiple of the alignment \(alignment)")
      }
      guard dataStart <= cursor.bytes.count, entry.offset <= UInt64(cursor.bytes.count - dataStart),
        entry.byteCount <= cursor.bytes.count - dataStart - Int(entry.offset)
      else {
        throw cursor.error(
          .truncated, at: entry.position,
          "\(label) has \(entry.byteCount) bytes at offset \(entry.offset) of the data, "
            + "but the file has \(max(0, cursor.bytes.count - dataStart)) bytes of data")
      }
      let start = dataStart + Int(entry.offset)
      return GGUFFile.Tensor(
        name: entry.name, type: entry.type, shape: entry.shape,
        range: start..<start + entry.byteCount)
    }
    try checkOverlap(cursor)
  }

  private func alignment(_ cursor: ByteCursor) throws -> Int {
    guard let value = metadata["general.alignment"] else { return 32 }
    guard let alignment = value.intValue, alignment >= 8, alignment <= 1 << 30,
      alignment & (alignment - 1) == 0
    else {
      throw cursor.error(
        .badLayout, "general.alignment is not a power of two from 8 to 2^30")
    }
    return alignment
  }

  private func readEntry(_ cursor: inout ByteCursor) throws -> Entry {
    let position = cursor.position
    let name = try cursor.string("a tensor's name", limit: limits.nameBytes)
    let label = "tensor \(quoted(name))"
    let dimensions = try cursor.integer(UInt32.self, "a tensor's dimensions")
    guard dimensions <= 4 else {
      throw cursor.error(.limitExceeded, at: position, "\(label) has \(dimensions) dimensions")
    }
    var shape: [Int] = []
    for _ in 0..<dimensions {
      let dimension = try cursor.integer(UInt64.self, "a tensor's dimensions")
      guard let dimension = Int(exactly: dimension) else {
        throw cursor.error(.limitExceeded, at: position, "\(label) has a dimension of \(dimension)")
      }
      shape.insert(dimension, at: 0)
    }
    let type = GGMLType(rawValue: try cursor.integer(UInt32.self, "a tensor's type"))
    guard type.isKnown else {
      throw cursor.error(.badType, at: position, "\(label) has the unknown \(type)")
    }
    guard ElementType.elementCount(shape: shape) != nil else {
      throw cursor.error(
        .limitExceeded, at: position, "\(label): the size of shape \(shape) overflows")
    }
    guard let byteCount = type.byteCount(shape: shape) else {
      throw cursor.error(
        .badLayout, at: position,
        "\(label) of type \(type) has shape \(shape), whose rows are not whole blocks")
    }
    let offset = try cursor.integer(UInt64.self, "a tensor's offset")
    return Entry(
      name: name, type: type, shape: shape, byteCount: byteCount, offset: offset,
      position: position)
  }

  private func checkOverlap(_ cursor: ByteCursor) throws {
    let ordered = tensors.filter { !$0.range.isEmpty }
      .sorted { $0.range.lowerBound < $1.range.lowerBound }
    for (left, right) in zip(ordered, ordered.dropFirst())
    where left.range.upperBound > right.range.lowerBound {
      throw cursor.error(
        .badLayout, at: right.range.lowerBound,
        "tensor \(quoted(right.name)) overlaps tensor \(quoted(left.name))")
    }
  }
}

/// Reads metadata values; counts array elements over the whole file.
struct GGUFMetadataReader {
  private let limits: GGUFFile.Limits
  private var elementsLeft: Int

  init(limits: GGUFFile.Limits) {
    self.limits = limits
    elementsLeft = limits.arrayElements
  }

  mutating func value(_ cursor: inout ByteCursor) throws -> GGUFValue {
    let type = try cursor.integer(UInt32.self, "a metadata type")
    return try value(&cursor, type: type, depth: 0)
  }

  /// `enum gguf_metadata_value_type`.
  private mutating func value(
    _ cursor: inout ByteCursor, type: UInt32, depth: Int
  ) throws -> GGUFValue {
    let what = "a metadata value"
    switch type {
    case 0: return .integer(Int64(try cursor.integer(UInt8.self, what)))
    case 1: return .integer(Int64(try cursor.integer(Int8.self, what)))
    case 2: return .integer(Int64(try cursor.integer(UInt16.self, what)))
    case 3: return .integer(Int64(try cursor.integer(Int16.self, what)))
    case 4: return .integer(Int64(try cursor.integer(UInt32.self, what)))
    case 5: return .integer(Int64(try cursor.integer(Int32.self, what)))
    case 6: return .double(Double(Float(bitPattern: try cursor.integer(UInt32.self, what))))
    case 7: return .bool(try bool(&cursor))
    case 8: return .string(try cursor.string(what, limit: cursor.bytes.count))
    case 9: return try array(&cursor, depth: depth)
    case 10:
      let value = try cursor.integer(UInt64.self, what)
      return Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)
    case 11: return .integer(try cursor.integer(Int64.self, what))
    case 12: return .double(Double(bitPattern: try cursor.integer(UInt64.self, what)))
    default:
      throw cursor.error(
        .badType, at: cursor.position - 4, "metadata value of the unknown type \(type)")
    }
  }

  private func bool(_ cursor: inout ByteCursor) throws -> Bool {
    let byte = try cursor.integer(UInt8.self, "a metadata value")
    guard byte <= 1 else {
      throw cursor.error(.malformed, at: cursor.position - 1, "a bool of value \(byte)")
    }
    return byte == 1
  }

  private mutating func array(_ cursor: inout ByteCursor, depth: Int) throws -> GGUFValue {
    guard depth < limits.arrayDepth else {
      throw cursor.error(.limitExceeded, "arrays nested more than \(limits.arrayDepth) deep")
    }
    let type = try cursor.integer(UInt32.self, "an array's type")
    let smallest = [0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 9: 12]
    let count = try cursor.count(
      "array elements", limit: elementsLeft, bytesEach: smallest[Int(type)] ?? 8)
    elementsLeft -= count
    switch type {
    case 7: return .bools(try (0..<count).map { _ in try bool(&cursor) })
    case 8:
      return .strings(
        try (0..<count).map { _ in
          try cursor.string("a metadata value", limit: cursor.bytes.count)
        })
    case 6, 12:
      return .doubles(
        try (0..<count).compactMap { _ in
          try value(&cursor, type: type, depth: depth + 1).doubleValue
        })
    case 0...5, 11:
      return .integers(
        try (0..<count).compactMap { _ in
          try value(&cursor, type: type, depth: depth + 1).intValue.map { Int64($0) }
        })
    case 9, 10:
      let values = try (0..<count).map { _ in
        try value(&cursor, type: type, depth: depth + 1)
      }
      let integers = values.compactMap(\.intValue)
      guard type == 10, integers.count == count else { return .array(values) }
      return .integers(integers.map { Int64($0) })
    default:
      throw cursor.error(.badType, "array of the unknown type \(type)")
    }
  }
}
