import Foundation
import WireProtocol

/// The operator adds a model, or replaces what the name meant; units of the old one go on.
package struct RegisterModel: FleetEvent {
  package let model: ModelRecord
  /// Whose weights the manifest names, as JSON; nil where nobody looked.
  package let provenance: Data?
  /// Everything that workers may fetch beside the manifest and the vocabulary.
  package let blobs: [Digest]

  package init(_ model: ModelRecord, provenance: Data?, blobs: [Digest]) {
    self.model = model
    self.provenance = provenance
    self.blobs = blobs
  }

  package func decide(in fleet: inout Fleet) throws {
    var manifest =
      fleet.manifests[model.manifest]
      ?? ManifestRow(digest: model.manifest, vocabulary: model.vocabulary, cost: model.cost)
    manifest.vocabulary = model.vocabulary
    manifest.cost = model.cost
    manifest.licence = model.licence
    manifest.provenance = provenance
    if !manifest.names.contains(model.id) { manifest.names.append(model.id) }
    manifest.names.sort()
    manifest.blobs.formUnion(blobs + [model.manifest, model.vocabulary])
    // Answers of its batches are spelled with it, also once the model is replaced or removed.
    manifest.tokenizers.insert(model.tokenizer)
    fleet.put(manifest)
    fleet.put(ModelRow(record: model))
  }
}

/// A name is forgotten; false when there is none. Units of the model go on.
package struct RemoveModel: FleetEvent {
  package let id: String

  package init(id: String) { self.id = id }

  package func decide(in fleet: inout Fleet) throws -> Bool {
    guard fleet.models[id] != nil else { return false }
    fleet.remove(ModelRow.self, id)
    return true
  }
}

/// A client forgets a tuned model of its own, with its job's checkpoints; false when there is none.
package struct RemoveTunedModel: FleetEvent {
  package let id: String
  package let key: String

  package init(id: String, key: String) {
    self.id = id
    self.key = key
  }

  package func decide(in fleet: inout Fleet) throws -> Bool {
    guard let model = fleet.models[id]?.record, model.adapter != nil, model.ownerKeyID == key else {
      return false
    }
    fleet.remove(ModelRow.self, id)
    if model.isCheckpoint != true, let job = model.fineTuningJob { fleet.removeModels(ofJob: job) }
    return true
  }
}

extension Fleet {
  /// Makes a tuned model one that its owner's batches may name; its weights are registered already.
  /// The adapter is none of the model's blobs, which every worker may read.
  ///
  /// - Throws: `StoreError.invalid` for a model without an adapter.
  mutating func insertTuned(_ model: ModelRecord) throws {
    guard model.adapter != nil else {
      throw StoreError(.invalid, "A tuned model has an adapter.")
    }
    if models[model.id] == nil { put(ModelRow(record: model)) }
  }

  mutating func removeModels(ofJob id: String) {
    for model in models.sorted where model.record.fineTuningJob == id {
      remove(ModelRow.self, model.key)
    }
  }

  /// The oldest first.
  package var modelRecords: [ModelRecord] {
    models.rows.values.map(\.record).sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
  }

  /// Everyone's models and a key's own tuned ones.
  package func modelRecords(visibleTo key: String) -> [ModelRecord] {
    modelRecords.filter { $0.adapter == nil || $0.ownerKeyID == key }
  }

  /// What is known of a manifest; nil when no model had it.
  package func manifest(_ digest: Digest) -> ManifestRecord? {
    manifests[digest].map { ManifestRecord(provenance: $0.provenance) }
  }
}
