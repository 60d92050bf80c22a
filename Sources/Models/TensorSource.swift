import ModelFormats

/// Where weights come from: a GGUF file, a Hugging Face folder, or the chunks of a manifest.
package protocol TensorSource: Sendable {
  /// What errors call the source.
  var name: String { get }
  /// The tensors' names, sorted by their UTF-8 bytes.
  var tensorNames: [String] { get }
  /// Type and shape of a tensor.
  ///
  /// - Throws: `FormatError`: `missing`, or `badType` for a type that cannot be computed with.
  func tensor(_ name: String) throws -> SourceTensor
  /// Copies bytes of a tensor, from its byte `offset` on, until `target` is full.
  ///
  /// - Throws: `FormatError`, also when the bytes asked for pass the tensor's end.
  func read(_ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer) throws
  /// Says that the bytes before `offset` of a tensor will not be read again soon, so that they need
  /// no memory.
  func release(_ name: String, upTo offset: Int)
}

/// Type and shape of a tensor of a source.
package struct SourceTensor: Hashable, Sendable {
  /// How the elements are encoded.
  package let type: ElementType
  /// Outermost dimension first.
  package let shape: [Int]
  /// Length of the tensor's bytes.
  package let byteCount: Int
  /// The file that holds the tensor, if it is one.
  package let file: String?
  /// Where the tensor's bytes begin in that file.
  package let offset: UInt64?

  package init(
    type: ElementType, shape: [Int], byteCount: Int, file: String? = nil, offset: UInt64? = nil
  ) {
    self.file = file
    self.offset = offset
    self.type = type
    self.shape = shape
    self.byteCount = byteCount
  }
}

/// The weights of a GGUF file, or of the parts that it is cut into.
package struct GGUFTensorSource: TensorSource {
  private let parts: GGUFParts
  private let tensors: ExactDictionary<(part: Int, tensor: GGUFFile.Tensor)>

  /// - Parameter parts: stay mapped as long as the source lives.
  package init(_ parts: GGUFParts) {
    self.parts = parts
    tensors = ExactDictionary(
      parts.files.enumerated().flatMap { part, file in
        file.tensors.map { ($0.name, (part, $0)) }
      }, uniquingKeysWith: { first, _ in first })
  }

  /// - Parameter file: a whole model.
  package init(_ file: GGUFFile) { self.init(GGUFParts(file)) }

  package var name: String { parts.files[0].name }

  package var tensorNames: [String] { tensors.keys }

  private func find(_ name: String) throws -> (file: GGUFFile, tensor: GGUFFile.Tensor) {
    guard let found = tensors[name] else {
      throw FormatError(.missing, file: self.name, reason: "there is no tensor \(quoted(name))")
    }
    return (parts.files[found.part], found.tensor)
  }

  /// As `TensorSource` says.
  package func tensor(_ name: String) throws -> SourceTensor {
    let (file, tensor) = try find(name)
    guard let type = tensor.type.elementType else {
      throw FormatError(
        .badType, file: file.name, offset: UInt64(tensor.range.lowerBound),
        reason: "tensor \(quoted(name)) has type \(tensor.type), which is not supported "
          + "(F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL and Q2_K to Q6_K are)")
    }
    return SourceTensor(
      type: type, shape: tensor.shape, byteCount: tensor.range.count, file: file.name,
      offset: UInt64(tensor.range.lowerBound))
  }

  /// As `TensorSource` says.
  package func read(
    _ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer
  ) throws {
    let (file, tensor) = try find(name)
    try copy(file.storage, tensor.range, offset, target, file: file.name, tensor: name)
  }

  /// As `TensorSource` says.
  package func release(_ name: String, upTo offset: Int) {
    guard let (file, tensor) = try? find(name) else { return }
    let range = tensor.range
    file.storage.releasePages(range.lowerBound..<min(range.upperBound, range.lowerBound + offset))
  }
}

/// The weights of a Hugging Face folder.
package struct HuggingFaceTensorSource: TensorSource {
  private let folder: HuggingFaceFolder

  /// - Parameter folder: its files stay mapped as long as the source lives.
  package init(_ folder: HuggingFaceFolder) {
    self.folder = folder
  }

  package var name: String { folder.url.path }

  package var tensorNames: [String] { folder.names }

  private func find(_ name: String) throws -> (SafetensorsFile, TensorRecord) {
    guard let index = folder.fileOfTensor[name] else {
      throw FormatError(.missing, file: self.name, reason: "there is no tensor \(quoted(name))")
    }
    return (folder.files[index], try folder.files[index].record(name))
  }

  /// As `TensorSource` says.
  package func tensor(_ name: String) throws -> SourceTensor {
    let (file, record) = try find(name)
    return SourceTensor(
      type: record.type, shape: record.shape, byteCount: record.range.count, file: file.name,
      offset: UInt64(record.range.lowerBound))
  }

  /// As `TensorSource` says.
  package func read(
    _ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer
  ) throws {
    let (file, record) = try find(name)
    try copy(file.storage, record.range, offset, target, file: file.name, tensor: name)
  }

  /// As `TensorSource` says.
  package func release(_ name: String, upTo offset: Int) {
    guard let (file, record) = try? find(name) else { return }
    let range = record.range
    file.storage.releasePages(range.lowerBound..<min(range.upperBound, range.lowerBound + offset))
  }
}

/// Copies bytes of the tensor that lies at `range` of `storage`.
func copy(
  _ storage: ByteStorage, _ range: Range<Int>, _ offset: Int,
  _ target: UnsafeMutableRawBufferPointer, file: String, tensor: String
) throws {
  guard offset >= 0, offset <= range.count, target.count <= range.count - offset else {
    throw FormatError(
      .truncated, file: file, offset: UInt64(range.lowerBound),
      reason: "tensor \(quoted(tensor)) of \(range.count) bytes has no \(target.count) bytes "
        + "at its byte \(offset)")
  }
  let start = range.lowerBound + offset
  storage.withUnsafeBytes(start..<start + target.count) { target.copyMemory(from: $0) }
}
