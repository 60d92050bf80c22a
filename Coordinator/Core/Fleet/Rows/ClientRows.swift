import Foundation
import WireProtocol

/// An API key.
package struct KeyRow: FleetRow {
  package let id: String
  package let name: String
  /// SHA-256 of the key's UTF-8 bytes.
  package let hash: Digest
  package var weight: Double
  /// By fair queueing (`FairShare`).
  package var virtualTime = 0.0
  package let createdAt: Timestamp
  package var revokedAt: Timestamp?
  package var quota = Quota()

  package init(id: String, name: String, hash: Digest, weight: Double, createdAt: Timestamp) {
    self.id = id
    self.name = name
    self.hash = hash
    self.weight = weight
    self.createdAt = createdAt
  }

  package var key: String { id }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.keys }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    if let old { index.clients.keys[old.hash] = nil }
    if let new { index.clients.keys[new.hash] = new.id }
  }

  package var record: KeyRecord {
    KeyRecord(
      id: id, name: name, weight: weight, createdAt: createdAt, revokedAt: revokedAt, quota: quota)
  }
}

/// A file of the Files API.
package struct FileRow: FleetRow {
  /// Grows with each file.
  package let number: Int64
  package var record: FileRecord

  package init(number: Int64, record: FileRecord) {
    self.number = number
    self.record = record
  }

  package var key: Int64 { number }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.files }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    index.clients.reindex(file: old, to: new)
  }
}

/// A manifest that a model has, or had: units outlive a model's record.
package struct ManifestRow: FleetRow {
  package let digest: Digest
  package var vocabulary: Digest
  package var cost: ModelCost
  package var licence: String?
  /// Whose weights it names, as JSON; nil where nobody looked.
  package var provenance: Data?
  /// What its models were called, in the order of registering.
  package var names: [String] = []
  /// Everything of it that workers may fetch.
  package var blobs: Set<Digest> = []
  /// Tokenizers that answers of its batches are spelled with, also of models that were replaced.
  package var tokenizers: Set<Digest> = []

  package init(digest: Digest, vocabulary: Digest, cost: ModelCost) {
    self.digest = digest
    self.vocabulary = vocabulary
    self.cost = cost
  }

  package var key: Digest { digest }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.manifests }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    if let old {
      for blob in old.blobs { index.clients.modelBlobs.remove(old.digest, under: blob) }
      for blob in old.tokenizers { index.clients.tokenizers.remove(old.digest, under: blob) }
    }
    if let new {
      for blob in new.blobs { index.clients.modelBlobs.insert(new.digest, under: blob) }
      for blob in new.tokenizers { index.clients.tokenizers.insert(new.digest, under: blob) }
    }
  }
}

/// A model that batches may name.
package struct ModelRow: FleetRow {
  package var record: ModelRecord

  package init(record: ModelRecord) { self.record = record }

  package var key: String { record.id }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.models }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    if let old, let adapter = old.record.adapter {
      index.clients.adapters.remove(old.key, under: adapter)
    }
    if let new, let adapter = new.record.adapter {
      index.clients.adapters.insert(new.key, under: adapter)
    }
  }
}
