import CoordinatorCore
import CoordinatorStore
import Foundation
import Models
import ModelFormats
import Tokenizers
import WirePayloads
import WireProtocol

/// The models that batches may name, with their tokenizers loaded from blobs and kept while they
/// are in use.
package actor ModelCatalog {
  private let store: any ModelStore
  private let blobs: any BlobStore
  private var loaded: [(digest: Digest, bundle: LoadedTokenizer)] = []
  private var vocabularySizes: [Digest: Int] = [:]
  private var manifestVocabularySizes: [Digest: Int] = [:]

  /// Tokenizers that are kept; a large vocabulary takes tens of megabytes.
  private static let capacity = 4

  package init(store: any ModelStore, blobs: any BlobStore) {
    self.store = store
    self.blobs = blobs
  }

  struct LoadedTokenizer: Sendable {
    var tokenizer: Tokenizer
    var specialTokens: JSONMembers
  }

  /// A model as it is registered now; nil when there is none of that name.
  ///
  /// - Parameter date: what its chat template takes for the present.
  /// - Throws: `TemplateError` for a template that cannot be parsed, and what loading the tokenizer
  ///   throws.
  package func model(_ id: String, date: Timestamp) async throws -> ServedModel? {
    guard let record = try await store.model(id) else { return nil }
    let bundle = try await load(record.tokenizer)
    return ServedModel(
      record: record, tokenizer: bundle.tokenizer,
      template: try record.chatTemplate.map { try ChatTemplate(source: $0) },
      specialTokens: bundle.specialTokens, vocabularySize: try await vocabularySize(record),
      date: date)
  }

  /// The tokenizer of a blob that a `ModelRecord` named.
  package func tokenizer(_ digest: Digest) async throws -> Tokenizer {
    try await load(digest).tokenizer
  }

  /// Tokens that the model of a manifest knows, its tokenizer or not.
  func vocabularySize(ofManifest digest: Digest) async throws -> Int {
    if let size = manifestVocabularySizes[digest] { return size }
    let manifest = try ModelManifest(json: try await blobs.read(digest), name: digest.hex)
    manifestVocabularySizes[digest] = manifest.description.vocabularySize
    return manifest.description.vocabularySize
  }

  /// Tokens that both the model and its tokenizer know.
  private func vocabularySize(_ record: ModelRecord) async throws -> Int {
    if let size = vocabularySizes[record.vocabulary] { return size }
    let vocabulary = try VocabularyBytes(decoding: try await blobs.read(record.vocabulary))
    vocabularySizes[record.vocabulary] = vocabulary.count
    return vocabulary.count
  }

  private func load(_ digest: Digest) async throws -> LoadedTokenizer {
    if let index = loaded.firstIndex(where: { $0.digest == digest }) {
      let entry = loaded.remove(at: index)
      loaded.append(entry)
      return entry.bundle
    }
    let blob = try TokenizerBlob(
      decoding: try await blobs.read(digest), name: "tokenizer \(digest)")
    let entry = LoadedTokenizer(
      tokenizer: try blob.makeTokenizer(), specialTokens: blob.specialTokens)
    loaded.removeAll { $0.digest == digest }
    if loaded.count >= Self.capacity { loaded.removeFirst() }
    loaded.append((digest, entry))
    return entry
  }
}
