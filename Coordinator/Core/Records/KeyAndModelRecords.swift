import Foundation
import WireProtocol

/// An API key to be stored, by its hash.
package struct NewKey: Hashable, Sendable {
  package var name: String
  /// SHA-256 of the key's UTF-8 bytes.
  package var hash: Digest
  /// Its share of the fleet against other keys, 0.01 to 100; 1 is usual.
  package var weight: Double

  package init(name: String, hash: Digest, weight: Double = 1) {
    self.name = name
    self.hash = hash
    self.weight = weight
  }
}

/// An API key without its secret.
package struct KeyRecord: Hashable, Sendable {
  /// `key_` and 24 letters or digits; owns files and batches.
  package var id: String
  package var name: String
  package var weight: Double
  package var createdAt: Timestamp
  package var revokedAt: Timestamp?
  package var quota = Quota()

  package init(
    id: String, name: String, weight: Double, createdAt: Timestamp, revokedAt: Timestamp? = nil,
    quota: Quota = Quota()
  ) {
    self.id = id
    self.name = name
    self.weight = weight
    self.createdAt = createdAt
    self.revokedAt = revokedAt
    self.quota = quota
  }
}

/// A manifest that a model has, or had.
package struct ManifestRecord: Hashable, Sendable {
  /// Whose weights it names, as JSON; nil where nobody looked.
  package var provenance: Data?

  package init(provenance: Data? = nil) { self.provenance = provenance }
}

/// A model that batches may name.
package struct ModelRecord: Hashable, Sendable, Codable {
  /// What clients call it, such as "smollm2-135m-instruct".
  package var id: String
  /// The blob of its manifest.
  package var manifest: Digest
  /// The blob of its tokenizer (tokenizer.json, or a GGUF file's metadata as the API chooses).
  package var tokenizer: Digest
  /// The blob of its `VocabularyBytes`, for units with stop strings.
  package var vocabulary: Digest
  package var chatTemplate: String?
  /// Tokens of prompt and answer together, at most.
  package var contextLength: Int
  package var cost: ModelCost
  /// Where it came from, for people.
  package var source: String
  /// An SPDX identifier in lower case where there is one; nil when the files do not say.
  package var licence: String?
  /// What it is derived from; nil where nobody looked.
  package var baseModels: [String]?
  package var ownedBy: String
  package var createdAt: Timestamp
  /// Of a tuned model: the digest of its `AdapterPayload`, which is applied to the manifest's
  /// weights.
  package var adapter: Digest?
  /// Of a tuned model: the key that may use it, the job that it is from, and whether it is one of
  /// the job's checkpoints, which lists leave out.
  package var ownerKeyID: String?
  package var fineTuningJob: String?
  package var isCheckpoint: Bool?

  package init(
    id: String, manifest: Digest, tokenizer: Digest, vocabulary: Digest, chatTemplate: String?,
    contextLength: Int, cost: ModelCost, source: String, licence: String? = nil,
    baseModels: [String]? = nil, ownedBy: String = "tallystick", createdAt: Timestamp
  ) {
    self.id = id
    self.manifest = manifest
    self.tokenizer = tokenizer
    self.vocabulary = vocabulary
    self.chatTemplate = chatTemplate
    self.contextLength = contextLength
    self.cost = cost
    self.source = source
    self.licence = licence
    self.baseModels = baseModels
    self.ownedBy = ownedBy
    self.createdAt = createdAt
  }

  /// Whether a key may name the model.
  package func isVisible(toKey key: String) -> Bool { ownerKeyID == nil || ownerKeyID == key }
}
