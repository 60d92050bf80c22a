import Foundation
import ModelFormats
import Models
import WirePayloads
import WireProtocol

/// Where an engine finds a model.
package enum ModelOrigin: Sendable {
  /// The chunks that a manifest names, in a store.
  case store(StoredModel)
  /// A GGUF file or Hugging Face folder; packed weights are kept in the folder, where there is one.
  case files(path: String, packed: PackedModelFolder?)
}

/// A model as a store of blobs holds it.
package struct StoredModel: Sendable {
  /// The digest of `manifest`, which stands for every bit of the weights.
  package var digest: Digest
  /// The bytes of the manifest.
  package var manifest: Data
  /// Whether every chunk is hashed before its first use; else the store is trusted.
  package var verifiesChunks: Bool
  /// Where the packed model is or may be made; nil: weights are packed into memory.
  package var packedPath: String?
  /// Where the file of a chunk is.
  package var chunkPath: @Sendable (Digest) -> String

  package init(
    _ digest: Digest, manifest: Data, verifiesChunks: Bool, packedPath: String? = nil,
    chunkPath: @escaping @Sendable (Digest) -> String
  ) {
    self.digest = digest
    self.manifest = manifest
    self.verifiesChunks = verifiesChunks
    self.packedPath = packedPath
    self.chunkPath = chunkPath
  }

  /// The weights.
  ///
  /// - Throws: `FormatError` for what is no manifest. The source throws what it says itself, and
  ///   `ExecutionError.chunkNameMalformed`.
  package func source() throws -> ManifestTensorSource {
    let decoded = try ModelManifest(json: manifest, name: "manifest \(digest)")
    var digester: (@Sendable (UnsafeRawBufferPointer) -> String)?
    if verifiesChunks { digester = { BlobDigest.sha256($0).hex } }
    return ManifestTensorSource(decoded, name: "model \(digest)", digest: digester) {
      [chunkPath] name in
      guard let chunk = Digest(hex: name) else { throw ExecutionError.chunkNameMalformed }
      return try ByteStorage(mapping: URL(fileURLWithPath: chunkPath(chunk)))
    }
  }

  /// What a packed file of a part is made of; of all of the model, where `part` is nil.
  package func packedKey(_ part: UnitPart?) -> PackedModelKey {
    let whole = "manifest \(digest.hex)"
    guard let part else { return PackedModelKey(content: whole) }
    let stages = "embedding \(part.embedding) head \(part.head)"
    return PackedModelKey(
      content: "\(whole)\nlayers \(part.firstLayer) to \(part.endLayer) \(stages)")
  }
}

extension ModelPart {
  /// What a unit runs; nil stands for all of the model.
  ///
  /// - Throws: `ExecutionError.partMissing` for a part that the model does not have.
  package init(_ part: UnitPart?, of description: ModelDescription) throws {
    guard let part else {
      self = .whole(of: description)
      return
    }
    guard part.fits(layerCount: description.layers.count) else {
      throw ExecutionError.partMissing(part, layers: description.layers.count)
    }
    self.init(
      hasEmbedding: part.embedding, layers: part.firstLayer..<part.endLayer, hasHead: part.head)
  }
}
