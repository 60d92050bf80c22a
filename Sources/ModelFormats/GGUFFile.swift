import Foundation

/// A GGUF file (versions 2 and 3, little-endian), in memory or mapped from disk.
///
/// The format (ggml, `docs/gguf.md`): the magic `GGUF`, a `uint32` version, `uint64` counts of
/// tensors and of metadata pairs; the pairs; for each tensor its name, dimensions (innermost
/// first), type and offset from the start of the data; padding to `general.alignment` (32 if
/// absent); the data, every tensor at a multiple of the alignment.
package struct GGUFFile: Sendable {
  /// A tensor as the file lists it; its type may be one that cannot be computed with.
  package struct Tensor: Hashable, Sendable {
    /// The name in the file.
    package let name: String
    /// How the elements are encoded.
    package let type: GGMLType
    /// Outermost dimension first, as everywhere in this project: the file's order reversed.
    package let shape: [Int]
    /// The tensor's bytes, as offsets from the start of the file.
    package let range: Range<Int>
  }

  /// What a reader accepts before it gives up. Sizes of parts are bounded by the file's own size
  /// anyway; these bound what a small file can make the reader allocate.
  package struct Limits: Sendable {
    /// Tensors in the file.
    package var tensors = 1_000_000
    /// Pairs of metadata.
    package var metadataPairs = 100_000
    /// Elements of all metadata arrays together.
    package var arrayElements = 16_000_000
    /// Nesting of arrays in arrays.
    package var arrayDepth = 4
    /// UTF-8 length of a key or a tensor's name.
    package var nameBytes = 65_535

    package init() {}
  }

  /// The file's name, for messages.
  package let name: String
  /// The version in the file, 2 or 3.
  package let version: UInt32
  /// The metadata pairs.
  package let metadata: ExactDictionary<GGUFValue>
  /// Where each metadata key stands in the file.
  package let metadataOffsets: ExactDictionary<Int>
  /// The tensors in the file's order.
  package private(set) var tensors: [Tensor]
  /// The file's bytes.
  package let storage: ByteStorage

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

  private init(storage: ByteStorage, name: String, limits: Limits) throws {
    let header = try storage.withUnsafeBytes { bytes in
      try GGUFHeader(bytes, file: name, limits: limits)
    }
    self.storage = storage
    self.name = name
    version = header.version
    metadata = header.metadata
    metadataOffsets = header.metadataOffsets
    tensors = header.tensors
  }

  /// The same file with another list of tensors.
  func listing(_ tensors: [Tensor]) -> GGUFFile {
    var file = self
    file.tensors = tensors
    return file
  }

  /// The metadata value of `key`.
  ///
  /// - Throws: `FormatError` with code `missing`.
  package func value(_ key: String) throws -> GGUFValue {
    guard let value = metadata[key] else {
      throw FormatError(.missing, file: name, reason: "there is no metadata key \(quoted(key))")
    }
    return value
  }
}
