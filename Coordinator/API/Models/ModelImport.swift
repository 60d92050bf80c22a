import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Models
import Tokenizers
import WirePayloads
import WireProtocol

/// Adds a model from a GGUF file or a Hugging Face folder: cuts the weights into chunks, keeps
/// tokenizer and chat template, and registers the name.
package struct ModelImport: Sendable {
  private let store: any ModelStore
  private let blobs: any BlobStore

  package init(store: any ModelStore, blobs: any BlobStore) {
    self.store = store
    self.blobs = blobs
  }

  /// Blocks for as long as reading and hashing the weights takes. Adding the same files again
  /// changes nothing.
  ///
  /// - Parameters:
  ///   - path: a GGUF file, or a folder with config.json, tokenizer.json and safetensors.
  ///   - name: what clients call the model; letters, digits, `.`, `_` and `-`.
  ///   - origin: what is not in the files.
  ///   - rounded: how weights in floats are rounded; nil: they stay as they are.
  ///   - progress: bytes of files hashed or weights stored since the last call, `workBytes` in all.
  /// - Throws: `FormatError` and `TokenizerError` for files that cannot be used;
  ///   `StoreError.invalid` for the name.
  package func add(
    path: String, name: String, origin: ModelOrigin = ModelOrigin(),
    rounded rounding: ModelRounding? = nil, now: Timestamp,
    progress: (_ bytes: Int) -> Void = { _ in }
  ) async throws -> ModelRecord {
    try Self.check(name)
    let licence = try origin.licence.map { try ModelLicence.checked($0) }
    var bundle = try TokenizerBundle(path: path)
    let blob = try TokenizerBlob(modelPath: path, bundle: bundle)
    // Proves that what is stored can be read again.
    let tokenizer = try blob.makeTokenizer()
    if let file = origin.chatTemplateFile {
      bundle.replaceChatTemplate(by: try RenderCommand.source(file), file: file)
    }
    try bundle.checkChatTemplate()
    let stored = try ModelFiles(path: path)
    // What no worker could load would fail every request.
    try stored.checkLoadable()
    // Before weights are rounded, which may take hours.
    var provenance = try self.provenance(path, origin, progress)
    let files = try rounding.map { try $0.apply(stored) } ?? stored
    let description = files.description.ending(with: bundle.endIDs)
    provenance.licence = licence ?? provenance.licence
    provenance.rounding = rounding?.name
    provenance.calibration = rounding?.calibration
    let (manifest, chunks) = try makeManifest(description, files.source, provenance, progress)
    let manifestData = try manifest.canonicalJSON()
    let manifestDigest = try await blobs.put(manifestData)
    let vocabulary = try await blobs.put(
      try Self.vocabulary(of: tokenizer, count: description.vocabularySize).encoded())
    let record = ModelRecord(
      id: name, manifest: manifestDigest, tokenizer: try await blobs.put(blob.encoded()),
      vocabulary: vocabulary, chatTemplate: bundle.chatTemplate,
      contextLength: description.contextLength,
      cost: ModelCost(
        description, weightBytes: manifest.byteCount,
        diskBytes: manifest.byteCount + manifestData.count),
      source: provenance.source + (rounding.map { " as \($0.name)" } ?? ""),
      licence: provenance.licence, baseModels: provenance.baseModels, createdAt: now)
    try await store.registerModel(
      record, provenance: try CanonicalJSON.encode(provenance),
      blobs: [manifestDigest, vocabulary] + chunks)
    return record
  }

  /// - Throws: `StoreError.invalid`.
  package static func check(_ name: String) throws {
    let allowed = name.utf8.allSatisfy { byte in
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
        || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }
    guard allowed, (1...100).contains(name.utf8.count) else {
      throw StoreError(
        .invalid, "A model's name has 1 to 100 letters, digits, '.', '_' and '-'.")
    }
  }

  /// What the calls of `progress` add up to: the bytes of all files, and of the weights.
  ///
  /// - Throws: `FormatError`.
  package static func workBytes(path: String, origin: ModelOrigin) throws -> Int {
    let files = try ModelFileNames.files(of: path, notices: origin.notices(path))
    let model = try ModelFiles(path: path)
    return try files.reduce(0) {
      try $0 + ($1.url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0)
    }
      + model.description.requiredTensors.reduce(0) {
        try $0 + model.source.tensor($1.name).byteCount
      }
  }

  /// Reads every file once.
  private func provenance(
    _ path: String, _ origin: ModelOrigin, _ progress: (Int) -> Void
  ) throws -> ModelProvenance {
    let notices = origin.notices(path)
    let statement = try ModelStatement(path: path, notices: notices)
    var provenance = ModelProvenance(
      source: origin.source ?? URL(fileURLWithPath: path).lastPathComponent,
      licence: statement.licence,
      licenceText: try origin.licenceFile.map { try Self.licenceText($0) } ?? statement.licenceText,
      licenceLink: statement.licenceLink, baseModels: statement.baseModels)
    for (name, url) in try ModelFileNames.files(of: path, notices: notices) {
      var hasher = BlobHasher()
      var bytes = 0
      let file = try FileHandle(forReadingFrom: url)
      defer { try? file.close() }
      while let part = try file.read(upToCount: 1 << 20), !part.isEmpty {
        hasher.update(part)
        bytes += part.count
        progress(part.count)
      }
      provenance.files.append(.init(name: name, bytes: bytes, sha256: hasher.finalize().hex))
    }
    return provenance
  }

  private static func licenceText(_ path: String) throws -> String {
    guard let text = try ModelStatement.licenceText(in: URL(fileURLWithPath: path)) else {
      throw FormatError(.unreadable, file: path, reason: "the licence cannot be read")
    }
    return text
  }

  private func makeManifest(
    _ description: ModelDescription, _ source: any TensorSource, _ provenance: ModelProvenance,
    _ progress: (Int) -> Void
  ) throws -> (ModelManifest, [Digest]) {
    var digests: [Digest] = []
    let manifest = try ModelManifest.make(
      description, from: source, provenance: provenance
    ) { _, chunk in
      let data = Data(chunk)
      let digest = BlobDigest.sha256(data)
      try blobs.persist([digest: data])
      digests.append(digest)
      progress(data.count)
      return digest.hex
    }
    return (manifest, digests)
  }

  /// Special tokens show nothing in a text, so that no stop string is found in their spelling.
  private static func vocabulary(of tokenizer: Tokenizer, count: Int) -> VocabularyBytes {
    VocabularyBytes(
      tokens: (0..<Int32(clamping: count)).map { token in
        tokenizer.isSpecial(token) ? [] : tokenizer.tokenBytes(token)
      })
  }
}

extension ModelDescription {
  /// The description with the tokenizer's end tokens beside its own: files often name only one of
  /// them in either place.
  fileprivate func ending(with tokens: Set<TokenID>) -> ModelDescription {
    var description = self
    let known = tokens.map { Int($0) }.filter { (0..<vocabularySize).contains($0) }
    description.endOfSequenceIds = Set(endOfSequenceIds + known).sorted()
    return description
  }
}

extension ModelCost {
  /// The figures of a model, from `ModelDescription.flops`, of which they are the coefficients.
  init(_ description: ModelDescription, weightBytes: Int, diskBytes: Int) {
    // One fed token costs the body and one attended position; two cost two bodies and three
    // positions.
    let one = description.flops(promptTokens: 1, generatedTokens: 0)
    let two = description.flops(promptTokens: 2, generatedTokens: 0)
    let position = two - 2 * one
    // What a sequence needs however long it is, as linear attention does, is spread over a thousand
    // tokens.
    let context = min(1024, max(1, description.contextLength))
    self.init(
      bodyFlopsPerToken: one - position,
      headFlopsPerToken: description.flops(promptTokens: 0, generatedTokens: 1),
      attentionFlopsPerPosition: position, weightBytes: weightBytes,
      cacheBytesPerToken: (description.cacheBytes(tokens: context, element: .f16) + context - 1)
        / context,
      diskBytes: diskBytes)
  }
}
