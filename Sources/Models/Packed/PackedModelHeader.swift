import Crypto
import Foundation
import Kernels
import ModelFormats

/// What a packed file is made of: the model's content, how it is held, and the layouts' versions.
/// Files of another key are of no use.
package struct PackedModelKey: Hashable, Sendable {
  /// A SHA-256.
  let bytes: [UInt8]

  /// - Parameters:
  ///   - content: stands for every bit of the weights and the description: a manifest's digest, or
  ///     the identity of files.
  ///   - options: how the weights are held.
  package init(content: String, options: Model.LoadOptions = .init()) {
    let text = """
      tally packed model \(PackedModelHeader.version)
      layout \(PackedLayout.version)
      weights \(options.weights)
      \(content)
      """
    bytes = Array(SHA256.hash(data: Data(text.utf8)))
  }

  /// 64 lower-case hexadecimal digits.
  package var hex: String { bytes.map { String(format: "%02x", $0) }.joined() }
}

/// The beginning of a packed file. All integers are little-endian:
///
///     0    8 bytes   "TALLYPKD"
///     8    uint32    version of this format
///     12   uint32    version of the matrices' layout
///     16   uint64    length of the header, a multiple of 4096
///     24   uint64    length of the file
///     32   32 bytes  the key
///     64   32 bytes  SHA-256 of the header, with zeros in these bytes
///     96   uint64    number of tensors; then of each:
///          uint64    length of the name, and the name in UTF-8
///          uint64    length of the panels' type, and the type in UTF-8
///          uint64    number of dimensions, 1 (a vector of float32) or 2 (a packed matrix)
///          uint64    the dimensions, outermost first
///          uint64    where its bytes begin in the file, a multiple of 4096
///          uint64    how many they are
///          32 bytes  their SHA-256
///
/// Tensors lie in the order of the table, each at the next multiple of 4096. So everything follows
/// from names, types and shapes, and a header is right when it is what would be written.
struct PackedModelHeader: Equatable {
  static let version = 2
  static let magic = Array("TALLYPKD".utf8)
  static let alignment = 4096
  /// No model has so many tensors or names so long.
  static let tensorLimit = 1 << 20
  static let lengthLimit = 64 << 20
  private static let digestOffset = 64

  struct Tensor: Equatable {
    let name: String
    let type: WeightType
    let shape: [Int]
    /// Of the tensor's bytes.
    var sha256 = [UInt8](repeating: 0, count: 32)

    /// Bytes of the tensor.
    ///
    /// - Throws: `KernelError.invalidWeights` for an impossible shape.
    func byteCount() throws -> Int {
      switch shape.count {
      case 1 where type == .f32 && (1...1 << 40).contains(shape[0]): return shape[0] * 4
      case 2 where type.storage == type:
        return try PackedLayout(storage: type, outputs: shape[0], inputs: shape[1]).byteCount
      default:
        throw KernelError(code: .invalidWeights, message: "\(type.rawValue) of shape \(shape)")
      }
    }
  }

  let key: PackedModelKey
  var tensors: [Tensor]
  /// Where each tensor lies in the file.
  let ranges: [Range<Int>]
  let headerBytes: Int
  let fileBytes: Int

  /// - Throws: `KernelError.invalidWeights` for an impossible shape.
  init(key: PackedModelKey, tensors: [Tensor]) throws {
    self.key = key
    self.tensors = tensors
    let table = tensors.reduce(0) {
      $0 + 72 + $1.name.utf8.count + $1.type.rawValue.utf8.count + 8 * $1.shape.count
    }
    headerBytes = Self.aligned(104 + table)
    var end = headerBytes
    ranges = try tensors.map { tensor in
      let start = Self.aligned(end)
      end = start + (try tensor.byteCount())
      return start..<end
    }
    fileBytes = Self.aligned(end)
  }

  private static func aligned(_ offset: Int) -> Int {
    (offset + alignment - 1) / alignment * alignment
  }

  /// The header's bytes.
  func encoded() -> [UInt8] {
    var bytes = Self.magic
    func put<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }
    func put(_ text: String) {
      put(UInt64(text.utf8.count))
      bytes += Array(text.utf8)
    }
    put(UInt32(Self.version))
    put(UInt32(PackedLayout.version))
    put(UInt64(headerBytes))
    put(UInt64(fileBytes))
    bytes += key.bytes + [UInt8](repeating: 0, count: 32)
    put(UInt64(tensors.count))
    for (tensor, range) in zip(tensors, ranges) {
      put(tensor.name)
      put(tensor.type.rawValue)
      put(UInt64(tensor.shape.count))
      for dimension in tensor.shape { put(UInt64(dimension)) }
      put(UInt64(range.lowerBound))
      put(UInt64(range.count))
      bytes += tensor.sha256
    }
    bytes += [UInt8](repeating: 0, count: headerBytes - bytes.count)
    bytes.replaceSubrange(
      Self.digestOffset..<Self.digestOffset + 32, with: Array(SHA256.hash(data: bytes)))
    return bytes
  }

  /// Reads and checks the header of a packed file.
  ///
  /// - Parameters:
  ///   - bytes: of the whole file.
  ///   - file: what errors call it.
  /// - Throws: `FormatError` for whatever is not a whole file of this version and key.
  init(_ bytes: UnsafeRawBufferPointer, key: PackedModelKey, file: String) throws {
    var cursor = ByteCursor(bytes, file: file)
    let magic = try cursor.integer(UInt64.self, "the magic")
    guard withUnsafeBytes(of: magic.littleEndian, { $0.elementsEqual(Self.magic) }) else {
      throw cursor.error(.badMagic, at: 0, "this is no packed model")
    }
    let version = try cursor.integer(UInt32.self, "the version")
    let layout = try cursor.integer(UInt32.self, "the layout's version")
    guard version == Self.version, layout == PackedLayout.version else {
      throw cursor.error(.badVersion, at: 8, "version \(version), layout \(layout)")
    }
    let length = Int(clamping: try cursor.integer(UInt64.self, "the header's length"))
    let fileLength = Int(clamping: try cursor.integer(UInt64.self, "the file's length"))
    guard fileLength == bytes.count, length <= min(fileLength, Self.lengthLimit) else {
      throw cursor.error(
        .truncated, at: 16,
        "\(length) bytes of header and \(fileLength) in all, but the file has \(bytes.count)")
    }
    let header = UnsafeRawBufferPointer(rebasing: bytes[..<length])
    self = try Self.parse(header, key: key, file: file)
    guard headerBytes == length, fileBytes == fileLength, encoded().elementsEqual(header) else {
      throw cursor.error(.badLayout, at: 0, "the header is damaged")
    }
  }

  private static func parse(
    _ header: UnsafeRawBufferPointer, key: PackedModelKey, file: String
  ) throws -> PackedModelHeader {
    guard header.count > 104 else {
      throw FormatError(.truncated, file: file, reason: "a header of \(header.count) bytes")
    }
    guard header[32..<64].elementsEqual(key.bytes) else {
      throw FormatError(.malformed, file: file, offset: 32, reason: "this is another model's file")
    }
    // What precedes the table was looked at above.
    var cursor = ByteCursor(
      UnsafeRawBufferPointer(rebasing: header[96...]), file: file)
    let count = try cursor.count("tensors", limit: tensorLimit, bytesEach: 80)
    let tensors = try (0..<count).map { _ in
      let name = try cursor.string("a tensor's name", limit: header.count)
      let type = try cursor.string("a tensor's type", limit: 64)
      let dimensions = try cursor.count("dimensions", limit: 2, bytesEach: 8)
      let shape = try (0..<dimensions).map { _ in
        Int(clamping: try cursor.integer(UInt64.self, "a dimension"))
      }
      _ = try cursor.integer(UInt64.self, "a tensor's offset")
      _ = try cursor.integer(UInt64.self, "a tensor's length")
      let sha256 = try (0..<32).map { _ in try cursor.integer(UInt8.self, "a tensor's SHA-256") }
      guard let type = WeightType(rawValue: type) else {
        throw cursor.error(.badType, "tensor \(quoted(name)) has type \(quoted(type))")
      }
      return Tensor(name: name, type: type, shape: shape, sha256: sha256)
    }
    do {
      return try PackedModelHeader(key: key, tensors: tensors)
    } catch let error as KernelError {
      throw cursor.error(.badLayout, error.message)
    }
  }
}
