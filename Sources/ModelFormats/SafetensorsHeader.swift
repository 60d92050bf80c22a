import Foundation

/// The checked header of a safetensors file; see `SafetensorsFile` for the format. With it alone,
/// parts of a file that lies elsewhere can be found and read.
package struct SafetensorsHeader: Sendable {
  package private(set) var metadata: ExactDictionary<String> = [:]
  package private(set) var tensors: ExactDictionary<TensorRecord> = [:]

  private let file: String
  private let limits: SafetensorsFile.Limits
  /// Where the data begin in the file, and how many bytes there are.
  private let dataStart: Int
  private let dataCount: Int

  /// Bytes of the length in front of a header.
  package static let lengthBytes = 8

  /// Bytes of a file's header with its length, as its first `lengthBytes` claim.
  ///
  /// - Throws: `FormatError` where the file is shorter than that, or the header longer than readers
  ///   accept.
  package static func byteCount(
    _ start: Data, fileBytes: Int, file: String,
    limits: SafetensorsFile.Limits = SafetensorsFile.Limits()
  ) throws -> Int {
    try start.withUnsafeBytes {
      try byteCount($0, fileBytes: fileBytes, file: file, limits: limits)
    }
  }

  private static func byteCount(
    _ start: UnsafeRawBufferPointer, fileBytes: Int, file: String, limits: SafetensorsFile.Limits
  ) throws -> Int {
    func error(_ code: FormatError.Code, _ offset: Int, _ reason: String) -> FormatError {
      FormatError(code, file: file, offset: UInt64(offset), reason: reason)
    }
    guard start.count >= lengthBytes else {
      throw error(.truncated, start.count, "shorter than the 8 bytes of the header's length")
    }
    let length = UInt64(littleEndian: start.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(limits.headerBytes) else {
      throw error(
        .limitExceeded, 0, "header of \(length) bytes exceeds \(limits.headerBytes) bytes")
    }
    guard Int(length) <= fileBytes - lengthBytes else {
      throw error(.truncated, 0, "header of \(length) bytes in a file of \(fileBytes) bytes")
    }
    return lengthBytes + Int(length)
  }

  /// Reads the header of a file of `fileBytes` bytes.
  ///
  /// - Parameters:
  ///   - bytes: the file's first bytes, at least `byteCount` of them.
  ///   - file: what errors call it.
  /// - Throws: `FormatError`.
  package init(
    _ bytes: Data, fileBytes: Int, file: String,
    limits: SafetensorsFile.Limits = SafetensorsFile.Limits()
  ) throws {
    self = try bytes.withUnsafeBytes { bytes in
      try SafetensorsHeader(bytes, fileBytes: fileBytes, file: file, limits: limits)
    }
  }

  init(
    _ bytes: UnsafeRawBufferPointer, fileBytes: Int, file: String, limits: SafetensorsFile.Limits
  ) throws {
    self.file = file
    self.limits = limits
    dataStart = try Self.byteCount(bytes, fileBytes: fileBytes, file: file, limits: limits)
    dataCount = fileBytes - dataStart
    guard dataStart <= bytes.count else {
      throw error(
        .truncated, at: bytes.count, "the header goes on after the \(bytes.count) bytes read")
    }
    guard dataStart >= 10, bytes[8] == UInt8(ascii: "{") else {
      throw error(.badMagic, "the header does not start with \"{\"")
    }
    let json = try JSONReader.parse(
      Array(bytes[8..<dataStart]), file: file, baseOffset: 8, rules: .strict.limited(depth: 4))
    guard let members = json.objectValue else {
      throw error(.malformed, "the header is not an object")
    }
    for (key, value) in zip(members.keys, members.values) {
      if key == "__metadata__" {
        metadata = try readMetadata(value)
      } else {
        tensors[key] = try readTensor(key, value)
      }
    }
    try checkLayout()
  }

  private func error(_ code: FormatError.Code, at offset: Int = 8, _ reason: String) -> FormatError
  {
    FormatError(code, file: file, offset: UInt64(offset), reason: reason)
  }

  /// The tensor called `tensor`.
  ///
  /// - Throws: `FormatError` with code `missing`.
  package func record(_ tensor: String) throws -> TensorRecord {
    guard let record = tensors[tensor] else {
      throw FormatError(.missing, file: file, reason: "there is no tensor \(quoted(tensor))")
    }
    return record
  }

  /// The tensor called `tensor`, whose type and shape must be exactly as given.
  ///
  /// - Parameter shape: nil stands for any length of that dimension, and a nil `shape` for any
  ///   shape.
  /// - Throws: `FormatError` with code `missing`, `badType` or `badLayout`.
  package func record(
    _ tensor: String, _ type: ElementType, shape: [Int?]?
  ) throws -> TensorRecord {
    let record = try record(tensor)
    guard record.type == type else {
      throw error(
        .badType, at: record.range.lowerBound,
        "tensor \(quoted(tensor)) has type \(record.type.rawValue), expected \(type.rawValue)")
    }
    guard let shape else { return record }
    let matches =
      shape.count == record.shape.count
      && zip(shape, record.shape).allSatisfy { $0 == nil || $0 == $1 }
    guard matches else {
      let expected = shape.map { $0.map(String.init) ?? "?" }.joined(separator: ", ")
      throw error(
        .badLayout, at: record.range.lowerBound,
        "tensor \(quoted(tensor)) has shape \(record.shape), expected [\(expected)]")
    }
    return record
  }

  private func readMetadata(_ value: JSONValue) throws -> ExactDictionary<String> {
    guard let members = value.objectValue else {
      throw error(.malformed, "__metadata__ is not an object")
    }
    var metadata: ExactDictionary<String> = [:]
    for (key, value) in zip(members.keys, members.values) {
      guard let text = value.stringValue else {
        throw error(.malformed, "__metadata__ holds something that is not a string")
      }
      metadata[key] = text
    }
    return metadata
  }

  private func readTensor(_ name: String, _ value: JSONValue) throws -> TensorRecord {
    let label = "tensor \(quoted(name))"
    guard let members = value.objectValue else {
      throw error(.malformed, "\(label) is not an object")
    }
    for key in members.keys where !["dtype", "shape", "data_offsets"].contains(key) {
      throw error(.malformed, "\(label) has the unknown key \(quoted(key))")
    }
    guard let typeName = members["dtype"]?.stringValue else {
      throw error(.malformed, "\(label) has no dtype")
    }
    guard let type = ElementType(rawValue: typeName), type.isSafetensorsType else {
      throw error(.badType, "\(label) has the unknown dtype \(quoted(typeName))")
    }
    guard let shape = integers(members["shape"]) else {
      throw error(.malformed, "\(label) has no shape of non-negative integers")
    }
    guard shape.count <= limits.dimensions else {
      throw error(.limitExceeded, "\(label) has \(shape.count) dimensions")
    }
    guard let byteCount = type.byteCount(shape: shape) else {
      throw error(.limitExceeded, "\(label): the size of shape \(shape) overflows")
    }
    guard let offsets = integers(members["data_offsets"]), offsets.count == 2 else {
      throw error(.malformed, "\(label) has no pair of data_offsets")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= dataCount else {
      throw error(
        .badLayout, at: clampedOffset(offsets[0]),
        "\(label) has data_offsets \(offsets) outside the \(dataCount) bytes of data")
    }
    guard offsets[1] - offsets[0] == byteCount else {
      throw error(
        .badLayout, at: dataStart + offsets[0],
        "\(label) of shape \(shape) and type \(typeName) needs \(byteCount) bytes, "
          + "data_offsets \(offsets) give \(offsets[1] - offsets[0])")
    }
    return TensorRecord(
      name: name, type: type, shape: shape,
      range: dataStart + offsets[0]..<dataStart + offsets[1])
  }

  /// Non-negative integers, written as such.
  private func integers(_ value: JSONValue?) -> [Int]? {
    guard let elements = value?.arrayValue else { return nil }
    var result: [Int] = []
    for element in elements {
      guard case .int(let integer) = element, integer >= 0 else { return nil }
      result.append(integer)
    }
    return result
  }

  private func clampedOffset(_ offset: Int) -> Int {
    dataStart + min(offset, dataCount)
  }

  /// Tensors in the order of their bytes must follow each other without holes from the first byte
  /// to the last.
  private func checkLayout() throws {
    let ordered = tensors.values.sorted {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    var end = dataStart
    for tensor in ordered {
      guard tensor.range.lowerBound == end else {
        let problem =
          tensor.range.lowerBound < end ? "overlaps the tensor before it" : "leaves a hole"
        throw error(
          .badLayout, at: tensor.range.lowerBound, "tensor \(quoted(tensor.name)) \(problem)")
      }
      end = tensor.range.upperBound
    }
    guard end == dataStart + dataCount else {
      throw error(
        .badLayout, at: end, "\(dataStart + dataCount - end) bytes of data belong to no tensor")
    }
  }
}
