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
  /// What the file says of its tensors.
  package let header: SafetensorsHeader
  /// The file's bytes.
  package let storage: ByteStorage

  /// The members of `__metadata__`.
  package var metadata: ExactDictionary<String> { header.metadata }
  /// The tensors by name.
  package var tensors: ExactDictionary<TensorRecord> { header.tensors }

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
    try self.init(storage: ByteStorage(data), name: name, limits: limits)
  }

  private init(storage: ByteStorage, name: String, limits: Limits) throws {
    header = try storage.withUnsafeBytes { bytes in
      try SafetensorsHeader(bytes, fileBytes: bytes.count, file: name, limits: limits)
    }
    self.storage = storage
    self.name = name
  }

  /// The tensor called `tensor`.
  ///
  /// - Throws: `FormatError` with code `missing`.
  package func record(_ tensor: String) throws -> TensorRecord {
    try header.record(tensor)
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
    let record = try header.record(tensor, T.elementType, shape: shape)
    return storage.withUnsafeBytes(record.range) { T.elements(in: $0) }
  }
}

/// A number whose memory is its safetensors encoding on a little-endian machine, which all
/// supported machines are.
package protocol BitwiseElement: BitwiseCopyable {
  static var elementType: ElementType { get }
}

extension BitwiseElement {
  /// The elements that fill `bytes`, which need not be aligned.
  package static func elements(in bytes: UnsafeRawBufferPointer) -> [Self] {
    (0..<bytes.count / MemoryLayout<Self>.stride).map {
      bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Self>.stride, as: Self.self)
    }
  }
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
