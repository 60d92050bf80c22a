import Foundation
import ModelFormats

/// A model as a list of chunks that are named by their hashes.
///
/// Its canonical JSON (keys sorted, no spaces) is itself named by its hash, so that hash stands for
/// every bit of the model. A worker fetches the chunks it needs, checks each, and resumes at a
/// chunk.
package struct ModelManifest: Codable, Hashable, Sendable {
  /// A run of a tensor's bytes.
  package struct Chunk: Codable, Hashable, Sendable {
    /// Of the bytes, as 64 lower-case hexadecimal digits.
    package let sha256: String
    /// Length in bytes.
    package let bytes: Int

    package init(sha256: String, bytes: Int) {
      self.sha256 = sha256
      self.bytes = bytes
    }
  }

  /// A tensor and the chunks that its bytes are cut into.
  package struct Tensor: Codable, Hashable, Sendable {
    /// The name in the description.
    package let name: String
    /// How the elements are encoded.
    package let type: ElementType
    /// Outermost dimension first.
    package let shape: [Int]
    /// The tensor's bytes in order.
    package let chunks: [Chunk]
  }

  /// The bytes of a tensor are cut into chunks of at most this length.
  package static let chunkLimitBytes = 8 << 20

  /// The manifest's format: `ModelDescription.manifestVersion`.
  package let version: Int
  /// What the tensors belong to.
  package let description: ModelDescription
  /// The tensors that `description` requires, sorted by name.
  package let tensors: [Tensor]
  /// Where the weights are from; nil in manifests of programs that did not ask.
  package let provenance: ModelProvenance?

  private init(
    _ description: ModelDescription, _ tensors: [Tensor], _ provenance: ModelProvenance?
  ) {
    version = description.manifestVersion
    (self.description, self.tensors, self.provenance) = (description, tensors, provenance)
  }

  /// Cuts the tensors that `description` requires into chunks and gives each to `sink`.
  ///
  /// Chunks hold whole rows where a row fits. Memory: one chunk.
  ///
  /// - Parameter sink: stores a chunk's bytes and returns their SHA-256 as lower-case hexadecimal.
  /// - Throws: `FormatError`, and what `sink` throws.
  package static func make(
    _ description: ModelDescription, from source: any TensorSource,
    provenance: ModelProvenance? = nil,
    sink: (_ tensor: String, UnsafeRawBufferPointer) throws -> String
  ) throws -> ModelManifest {
    try description.validate(file: source.name)
    try provenance?.validate(file: source.name)
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: chunkLimitBytes, alignment: 64)
    defer { buffer.deallocate() }
    let required = description.requiredTensors.sorted { utf8Order($0.name, $1.name) }
    let tensors = try required.map { requirement in
      let tensor = try source.tensor(requirement)
      let rowBytes = tensor.shape.first.map { $0 > 0 ? tensor.byteCount / $0 : 1 } ?? 1
      let step =
        rowBytes >= 1 && rowBytes <= chunkLimitBytes
        ? chunkLimitBytes / rowBytes * rowBytes : chunkLimitBytes
      var chunks: [Chunk] = []
      for offset in stride(from: 0, to: tensor.byteCount, by: step) {
        let count = min(step, tensor.byteCount - offset)
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try source.read(requirement.name, offset: offset, into: part)
        if tensor.type == .float8E4M3, let bad = part.firstIndex(where: { $0 & 0x7F == 0x7F }) {
          throw FormatError(
            .badLayout, file: tensor.file ?? source.name, offset: tensor.offset,
            reason: "tensor \(quoted(requirement.name)): weight \(offset + bad) is NaN")
        }
        let digest = try sink(requirement.name, UnsafeRawBufferPointer(part))
        chunks.append(Chunk(sha256: digest, bytes: count))
        source.release(requirement.name, upTo: offset + count)
      }
      return Tensor(
        name: requirement.name, type: tensor.type, shape: tensor.shape, chunks: chunks)
    }
    return ModelManifest(description, tensors, provenance)
  }

  /// The chunks that a part of the model is loaded from, each once, in the order of the manifest.
  package func distinctChunks(of part: ModelPart) -> [Chunk] {
    var seen: Set<Chunk> = []
    return chunks(of: part).filter { seen.insert($0).inserted }
  }

  /// Bytes of all tensors.
  package var byteCount: Int { byteCount(of: .whole(of: description)) }

  /// Bytes of the tensors that a part of the model is loaded from.
  package func byteCount(of part: ModelPart) -> Int {
    chunks(of: part).reduce(0) { $0 + $1.bytes }
  }

  private func chunks(of part: ModelPart) -> [Chunk] {
    let needed = Set(description.requirements(of: part).tensors.map(\.name))
    return tensors.filter { needed.contains($0.name) }.flatMap(\.chunks)
  }
}

extension TensorSource {
  /// A tensor whose shape must be as required.
  ///
  /// - Throws: `FormatError`.
  func tensor(_ requirement: TensorRequirement) throws -> SourceTensor {
    let tensor = try tensor(requirement.name)
    guard tensor.shape == requirement.shape else {
      throw FormatError(
        .badLayout, file: tensor.file ?? name, offset: tensor.offset,
        reason: "tensor \(quoted(requirement.name)) has shape \(tensor.shape), "
          + "the model needs \(requirement.shape)")
    }
    return tensor
  }
}
