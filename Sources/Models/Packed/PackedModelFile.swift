import Crypto
import Foundation
import Kernels
import MachineLimits
import ModelFormats

/// Where a model's packed weights belong.
package struct PackedModelPlace: Hashable, Sendable {
  /// The file; its folder exists.
  package let path: String
  /// What the file must be made of.
  package let key: PackedModelKey
  /// Whether every byte is hashed before it is used. It reads the whole file.
  package let isVerified: Bool
  /// Bytes of memory that it may take; nil: as the system says.
  package let availableBytes: Int?

  package init(
    path: String, key: PackedModelKey, isVerified: Bool, availableBytes: Int? = nil
  ) {
    self.path = path
    self.key = key
    self.isVerified = isVerified
    self.availableBytes = availableBytes
  }
}

/// The weights of a model as the kernels want them, in a file that is mapped: they are read when
/// they are touched, processes share them, and the system may drop them from memory at any time,
/// so that a model larger than memory runs.
///
/// A file is complete and synchronised before it gets its name, and nobody changes it afterwards:
/// it is replaced by renaming or removed, which mappings survive. When it is opened, its length and
/// every byte of its header are checked; its weights are checked against their hashes only where
/// the place says so, as a worker's does. Else a disk that changes bytes behind our back is trusted
/// as with every model file that is mapped.
package final class PackedModelFile: Sendable {
  private let storage: ByteStorage
  private let mapping: MappedBytes
  private let header: PackedModelHeader
  private let indexes: [String: Int]
  private let path: String
  /// Whether there is too little memory for the file, so that its pages come and go.
  let isStreamed: Bool

  /// - Parameter availableBytes: of memory.
  /// - Throws: `FormatError` for a file that is missing, unreadable, damaged or of another key.
  init(path: String, key: PackedModelKey, availableBytes: Int) throws {
    storage = try ByteStorage(mapping: URL(fileURLWithPath: path))
    guard let bytes = storage.mapping else {
      throw FormatError(.truncated, file: path, reason: "the file is empty")
    }
    header = try PackedModelHeader(bytes, key: key, file: path)
    isStreamed = bytes.count > availableBytes
    if !isStreamed {
      // Pages of 2 MiB where the file system's cache can hold such: single decoding gains a sixth.
      // With too little memory, they would bring in more than is wanted.
      let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
      madvise(base, bytes.count, 14)  // MADV_HUGEPAGE
    }
    mapping = MappedBytes(bytes)
    self.path = path
    indexes = Dictionary(
      header.tensors.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Bytes of the file that a model would be packed into, at most: float32 weights may turn out to
  /// need fewer. Reads no weights.
  ///
  /// - Parameter part: of the model; nil: all of it.
  /// - Throws: `FormatError` for a tensor that is missing or cannot be computed with, and for
  ///   layers that the model lacks.
  package static func largestByteCount(
    _ description: ModelDescription, part: ModelPart? = nil, from source: any TensorSource,
    options: Model.LoadOptions = .init()
  ) throws -> Int {
    let loader = WeightLoader(source: source, options: options)
    try part?.check(description, file: source.name)
    return try plan(
      PackedModelKey(content: ""),
      description.requirements(of: part ?? .whole(of: description)), loader,
      type: loader.widestPanelType
    ).fileBytes
  }

  /// Bytes of memory that a model's weights take, at least: float32 weights may turn out to need no
  /// more than half of their bytes. Reads no weights.
  ///
  /// - Parameter part: of the model; nil: all of it.
  /// - Throws: as `largestByteCount`.
  package static func leastByteCount(
    _ description: ModelDescription, part: ModelPart? = nil, from source: any TensorSource,
    options: Model.LoadOptions = .init()
  ) throws -> Int {
    let loader = WeightLoader(source: source, options: options)
    try part?.check(description, file: source.name)
    let header = try plan(
      PackedModelKey(content: ""),
      description.requirements(of: part ?? .whole(of: description)), loader
    ) { requirement in
      let type = try loader.widestPanelType(requirement)
      return type == .f32 && options.weights == .asStored ? .bf16 : type
    }
    return header.fileBytes
  }

  /// The header of the file that holds what is required, without hashes.
  static func plan(
    _ key: PackedModelKey, _ requirements: WeightRequirements, _ loader: WeightLoader,
    type: (MatrixRequirement) throws -> WeightType
  ) throws -> PackedModelHeader {
    let matrices = try requirements.matrices.map {
      PackedModelHeader.Tensor(name: $0.name, type: try type($0), shape: [$0.outputs, $0.inputs])
    }
    let vectors = requirements.vectors.map {
      PackedModelHeader.Tensor(name: $0.name, type: .f32, shape: [$0.count])
    }
    do {
      return try PackedModelHeader(key: key, tensors: matrices + vectors)
    } catch let error as KernelError {
      throw FormatError(.badLayout, file: loader.source.name, reason: error.message)
    }
  }

  /// The file at `place`, written if need be; nil if that is not possible.
  ///
  /// - Throws: what is wrong with the source.
  static func openOrWrite(
    _ place: PackedModelPlace, _ requirements: WeightRequirements, _ loader: WeightLoader
  ) throws -> PackedModelFile? {
    let available = place.availableBytes ?? SystemMemory.availableBytes()
    func open() throws -> PackedModelFile {
      try PackedModelFile(path: place.path, key: place.key, availableBytes: available)
    }
    if let file = try? open(), file.serves(requirements),
      !place.isVerified || file.damagedTensor() == nil
    {
      file.readAhead(available)
      return file
    }
    do {
      try PackedModelWriter(place, requirements, loader).write()
    } catch is PackedModelWriter.Failure {
      return nil
    }
    let file = try? open()
    file?.readAhead(available)
    return file
  }

  /// True when the tensors are those that are required.
  private func serves(_ requirements: WeightRequirements) -> Bool {
    let shapes =
      requirements.matrices.map { ($0.name, [$0.outputs, $0.inputs]) }
      + requirements.vectors.map { ($0.name, [$0.count]) }
    return shapes.elementsEqual(header.tensors) { $0.0 == $1.name && $0.1 == $1.shape }
  }

  /// The first tensor whose bytes are not what they were when they were written.
  package func damagedTensor() -> String? {
    zip(header.tensors, header.ranges).first { tensor, range in
      !SHA256.hash(data: mapping[range]).elementsEqual(tensor.sha256)
    }?.0.name
  }

  /// A matrix, used in place.
  ///
  /// - Throws: `FormatError` if there is none of this name and shape.
  func matrix(_ requirement: MatrixRequirement) throws -> PackedWeights {
    let index = try find(requirement.name, [requirement.outputs, requirement.inputs])
    let (tensor, range) = (header.tensors[index], header.ranges[index])
    return try PackedWeights(
      type: tensor.type, outputs: tensor.shape[0], inputs: tensor.shape[1], packed: mapping[range],
      owner: storage)
  }

  /// A vector.
  ///
  /// - Throws: `FormatError` if there is none of this name and length.
  func vector(_ requirement: TensorRequirement) throws -> [Float] {
    let index = try find(requirement.name, [requirement.count])
    return Array(mapping[header.ranges[index]].bindMemory(to: Float.self))
  }

  private func find(_ name: String, _ shape: [Int]) throws -> Int {
    guard let index = indexes[name], header.tensors[index].shape == shape else {
      throw FormatError(
        .missing, file: path,
        reason: "there is no tensor \(quoted(name)) of shape \(shape)")
    }
    return index
  }

  /// Reads the file into memory, unless that would push out what others use.
  private func readAhead(_ availableBytes: Int) {
    guard header.fileBytes <= availableBytes / 2 else { return }
    // MADV_POPULATE_READ: other ways to read ahead fill the cache with small pages.
    madvise(UnsafeMutableRawPointer(mutating: mapping.base), header.fileBytes, 22)
  }
}

/// The bytes of a mapping.
///
/// `@unchecked Sendable`: they are never written.
private struct MappedBytes: @unchecked Sendable {
  private let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var base: UnsafeRawPointer? { bytes.baseAddress }

  subscript(range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[range])
  }
}
