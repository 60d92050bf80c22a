import Foundation

/// A safetensors file, in memory or mapped from disk.
///
/// The format (huggingface/safetensors, `README.md`): eight bytes N, little-endian; N bytes of
/// JSON, an object that starts with `{` and may be padded with trailing spaces; then the data. Each
/// member but `__metadata__` (a map from string to string) is a tensor
/// `{"dtype":"F16","shape":[1,16],"data_offsets":[BEGIN,END]}` with offsets from the start of the
/// data, which the tensors must fill without holes and without overlap.
package struct SafetensorsFile: Sendable {
  /// What a reader accepts before it gives up.
  package struct Limits: Sendable {
    /// The reference implementation's limit.
    package var headerBytes = 100_000_000
    /// Dimensions of a tensor.
    package var dimensions = 16

    package init() {}
  }

  /// The file's name, for messages.
  package let name: String
  /// The members of `__metadata__`.
  package let metadata: ExactDictionary<String>
  /// The tensors by name.
  package let tensors: ExactDictionary<TensorRecord>
  /// The file's bytes.
  package let storage: ByteStorage

  /// The tensors' names, sorted by their UTF-8 bytes.
  package var names: [String] { tensors.keys }

  /// Maps the file at `url`.
  ///
  /// - Throws: `FormatError`.
  package init(contentsOf url: URL, limits: Limits = Limits()) throws {
    try self.init(storage: ByteStorage(mapping: url), name: url.path, limits: limits)
  }

  /// Reads a file that is in memory.
  ///
  /// - Parameter name: what errors call it.
  /// - Throws: `FormatError`.
  package init(bytes: [UInt8], name: String, limits: Limits = Limits()) throws {
    try self.init(storage: ByteStorage(bytes), name: name, limits: limits)
  }

  /// Reads a file that is in memory.
  ///
  /// - Parameter name: what errors call it.
  /// - Throws: `FormatError`.
  package init(data: Data, name: String, limits: Limits = Limits()) throws {
    try self.init(storage: ByteStorage([UInt8](data)), name: name, limits: limits)
  }

  private init(storage: ByteStorage, name: String, limits: Limits) throws {
    let header = try storage.withUnsafeBytes { bytes in
      try SafetensorsHeader(bytes, file: name, limits: limits)
    }
    self.storage = storage
    self.name = name
    self.metadata = header.metadata
    self.tensors = header.tensors
  }

  /// The tensor called `tensor`.
  ///
  /// - Throws: `FormatError` with code `missing`.
  package func record(_ tensor: String) throws -> TensorRecord {
    guard let record = tensors[tensor] else {
      throw FormatError(.missing, file: name, reason: "there is no tensor \(quoted(tensor))")
    }
    return record
  }

  /// Calls `body` with the bytes of a tensor.
  ///
  /// - Throws: `FormatError` with code `missing`, and what `body` throws.
  package func withBytes<R>(
    of tensor: String, _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    try storage.withUnsafeBytes(record(tensor).range, body)
  }

  /// The elements of a tensor whose type and shape must be exactly as given.
  ///
  /// - Parameters:
  ///   - type: the expected element type, whose width must be `T`'s.
  ///   - shape: the expected shape; nil stands for any length of that dimension, and a nil `shape`
  ///     for any shape.
  /// - Throws: `FormatError` with code `missing` or `badType`.
  package func elements<T: BitwiseElement>(
    _ tensor: String, as type: T.Type, shape: [Int?]? = nil
  ) throws -> [T] {
    let record = try record(tensor)
    guard record.type == T.elementType else {
      throw FormatError(
        .badType, file: name, offset: UInt64(record.range.lowerBound),
        reason:
          "tensor \(quoted(tensor)) has type \(record.type.rawValue), "
          + "expected \(T.elementType.rawValue)"
      )
    }
    if let shape {
      let matches =
        shape.count == record.shape.count
        && zip(shape, record.shape).allSatisfy { $0 == nil || $0 == $1 }
      guard matches else {
        let expected = shape.map { $0.map(String.init) ?? "?" }.joined(separator: ", ")
        throw FormatError(
          .badLayout, file: name, offset: UInt64(record.range.lowerBound),
          reason: "tensor \(quoted(tensor)) has shape \(record.shape), expected [\(expected)]")
      }
    }
    return storage.withUnsafeBytes(record.range) { bytes in
      (0..<bytes.count / MemoryLayout<T>.stride).map {
        bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.stride, as: T.self)
      }
    }
  }
}

/// A number whose memory is its safetensors encoding on a little-endian machine, which all
/// supported machines are.
package protocol BitwiseElement: BitwiseCopyable {
  static var elementType: ElementType { get }
}

extension Double: BitwiseElement { package static var elementType: ElementType { .float64 } }
extension Float: BitwiseElement { package static var elementType: ElementType { .float32 } }
extension Int64: BitwiseElement { package static var elementType: ElementType { .int64 } }
extension Int32: BitwiseElement { package static var elementType: ElementType { .int32 } }
extension Int16: BitwiseElement { package static var elementType: ElementType { .int16 } }
extension Int8: BitwiseElement { package static var elementType: ElementType { .int8 } }
extension UInt64: BitwiseElement { package static var elementType: ElementType { .uint64 } }
extension UInt32: BitwiseElement { package static var elementType: ElementType { .uint32 } }
extension UInt16: BitwiseElement { package static var elementType: ElementType { .uint16 } }
extension UInt8: BitwiseElement { package static var elementType: ElementType { .uint8 } }

/// Orders strings by their UTF-8 bytes, which no Unicode version changes.
package func utf8Order(_ left: String, _ right: String) -> Bool {
  left.utf8.lexicographicallyPrecedes(right.utf8)
}
