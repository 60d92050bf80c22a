import Foundation

/// Builds a safetensors file in canonical form: the same tensors and metadata give the same bytes,
/// whatever the order in which they were added, so that the file's hash names its contents.
///
/// Canonical form: the header is one JSON object without spaces; `__metadata__` comes first if
/// there is any, then the tensors, keys sorted by their UTF-8 bytes throughout; each tensor is
/// `{"dtype":…,"shape":[…],"data_offsets":[…,…]}` in this order; strings escape only `"`, `\` and
/// control characters (as `\u00XX`, lower case); spaces pad the header to a multiple of 8 bytes.
/// The data are laid out by falling element width, then by name, so that every tensor is aligned to
/// its elements.
package struct SafetensorsWriter: Sendable {
  private struct Entry: Sendable {
    let name: String
    let type: ElementType
    let shape: [Int]
    let bytes: [UInt8]

    var description: Description {
      Description(name: name, type: type, shape: shape, byteCount: bytes.count)
    }
  }

  private struct Description {
    let name: String
    let type: ElementType
    let shape: [Int]
    let byteCount: Int
  }

  private var entries: ExactDictionary<Entry> = [:]
  private var metadata: ExactDictionary<String>

  /// - Parameter metadata: nothing volatile belongs here, as it is part of the hash.
  package init(metadata: ExactDictionary<String> = [:]) {
    self.metadata = metadata
  }

  /// Adds a tensor from its little-endian bytes.
  ///
  /// - Throws: `FormatError`: `duplicate` for a name used before, `badType` for a type that
  ///   safetensors lacks, `badLayout` when `bytes` are not what type and shape need, `malformed`
  ///   for the reserved name `__metadata__`.
  package mutating func add(
    _ name: String, type: ElementType, shape: [Int], bytes: [UInt8]
  ) throws {
    func error(_ code: FormatError.Code, _ reason: String) -> FormatError {
      FormatError(code, file: "safetensors", reason: "tensor \(quoted(name)) \(reason)")
    }
    guard name != "__metadata__" else { throw error(.malformed, "has a reserved name") }
    guard type.isSafetensorsType else { throw error(.badType, "has type \(type.rawValue)") }
    guard type.byteCount(shape: shape) == bytes.count else {
      throw error(
        .badLayout, "of shape \(shape) and type \(type.rawValue) does not have \(bytes.count) bytes"
      )
    }
    guard entries[name] == nil else { throw error(.duplicate, "was added twice") }
    entries[name] = Entry(name: name, type: type, shape: shape, bytes: bytes)
  }

  /// Adds a tensor from its elements, in row-major order.
  ///
  /// - Throws: as `add(_:type:shape:bytes:)`.
  package mutating func add<T: BitwiseElement>(
    _ name: String, shape: [Int], _ elements: [T]
  ) throws {
    let bytes = elements.withUnsafeBytes { [UInt8]($0) }
    try add(name, type: T.elementType, shape: shape, bytes: bytes)
  }

  /// Adds a one-dimensional tensor.
  ///
  /// - Throws: as `add(_:type:shape:bytes:)`.
  package mutating func add<T: BitwiseElement>(_ name: String, _ elements: [T]) throws {
    try add(name, shape: [elements.count], elements)
  }

  /// The file's bytes.
  package func bytes() -> [UInt8] {
    let laidOut = layout()
    var file = Self.header(laidOut.map(\.description), metadata: metadata)
    file.reserveCapacity(file.count + laidOut.reduce(0) { $0 + $1.bytes.count })
    for entry in laidOut {
      file.append(contentsOf: entry.bytes)
    }
    return file
  }

  /// The file as `Data`.
  package func data() -> Data { Data(bytes()) }

  /// Writes the file atomically.
  ///
  /// - Throws: `FormatError` with code `unreadable`.
  package func write(to url: URL) throws {
    do {
      try data().write(to: url, options: .atomic)
    } catch {
      throw FormatError(.unreadable, file: url.path, reason: "cannot write: \(error)")
    }
  }

  private func layout() -> [Entry] {
    entries.values.sorted { left, right in
      left.type.bytesPerBlock == right.type.bytesPerBlock
        ? utf8Order(left.name, right.name) : left.type.bytesPerBlock > right.type.bytesPerBlock
    }
  }

  /// What precedes the bytes of a file's only tensor, for one that is written as it is computed.
  ///
  /// - Throws: `FormatError` with code `badLayout` for an impossible shape.
  package static func header(
    ofOnly name: String, type: ElementType, shape: [Int]
  ) throws -> [UInt8] {
    guard let byteCount = type.byteCount(shape: shape) else {
      throw FormatError(
        .badLayout, file: "safetensors", reason: "tensor \(quoted(name)) of shape \(shape)")
    }
    let only = Description(name: name, type: type, shape: shape, byteCount: byteCount)
    return header([only], metadata: [:])
  }

  /// What precedes the bytes of tensors that are written as they are read, and their order.
  ///
  /// - Throws: `FormatError` with code `badLayout` for an impossible shape.
  package static func header(
    of tensors: [(name: String, type: ElementType, shape: [Int])], metadata: ExactDictionary<String>
  ) throws -> (bytes: [UInt8], order: [String]) {
    let described = try tensors.map { tensor in
      guard let byteCount = tensor.type.byteCount(shape: tensor.shape) else {
        throw FormatError(
          .badLayout, file: "safetensors",
          reason: "tensor \(quoted(tensor.name)) of shape \(tensor.shape)")
      }
      return Description(
        name: tensor.name, type: tensor.type, shape: tensor.shape, byteCount: byteCount)
    }
    let laidOut = described.sorted { left, right in
      left.type.bytesPerBlock == right.type.bytesPerBlock
        ? utf8Order(left.name, right.name) : left.type.bytesPerBlock > right.type.bytesPerBlock
    }
    return (header(laidOut, metadata: metadata), laidOut.map(\.name))
  }

  /// The header with its length in front.
  private static func header(
    _ laidOut: [Description], metadata: ExactDictionary<String>
  ) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.map { "\(escaped($0.key)):\(escaped($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var begin = 0
    var described: [(name: String, text: String)] = []
    for entry in laidOut {
      let end = begin + entry.byteCount
      let shape = entry.shape.map(String.init).joined(separator: ",")
      described.append(
        (
          entry.name,
          "\(escaped(entry.name)):{\"dtype\":\"\(entry.type.rawValue)\",\"shape\":[\(shape)],"
            + "\"data_offsets\":[\(begin),\(end)]}"
        ))
      begin = end
    }
    members += described.sorted { utf8Order($0.name, $1.name) }.map(\.text)
    var text = Array("{\(members.joined(separator: ","))}".utf8)
    text += Array(repeating: 0x20, count: (8 - text.count % 8) % 8)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { [UInt8]($0) } + text
  }

  private static func escaped(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
