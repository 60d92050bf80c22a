import CoordinatorCore
import Foundation
import GRDB
import WireProtocol

package extension SQLiteStore {
  func registerModel(
    _ model: ModelRecord, provenance: Data?, blobs: [Digest]
  ) async throws {
    try await write { transaction in
      let db = transaction.db
      let cost = model.cost
      try db.run(
        """
        INSERT INTO manifest (digest, vocabulary, body_flops, head_flops, attention_flops,
          weight_bytes, cache_bytes, disk_bytes, licence, provenance)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET vocabulary = excluded.vocabulary,
          body_flops = excluded.body_flops, head_flops = excluded.head_flops,
          attention_flops = excluded.attention_flops, weight_bytes = excluded.weight_bytes,
          cache_bytes = excluded.cache_bytes, disk_bytes = excluded.disk_bytes,
          licence = excluded.licence, provenance = excluded.provenance
        """,
        [
          model.manifest, model.vocabulary, cost.bodyFlopsPerToken, cost.headFlopsPerToken,
          cost.attentionFlopsPerPosition, cost.weightBytes, cost.cacheBytesPerToken, cost.diskBytes,
          model.licence, provenance,
        ])
      try db.run(
        "INSERT INTO model_name (manifest, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [model.manifest, model.id])
      for blob in Set(blobs + [model.manifest, model.vocabulary]) {
        try db.run(
          "INSERT INTO model_blob (blob, manifest) VALUES (?, ?) ON CONFLICT DO NOTHING",
          [blob, model.manifest])
      }
      // Answers of its batches are spelled with it, also once the model is replaced or removed.
      try db.run(
        "INSERT INTO tokenizer (blob) VALUES (?) ON CONFLICT DO NOTHING", [model.tokenizer])
      try db.run(
        """
        INSERT INTO model (id, manifest, record, created_at) VALUES (?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET manifest = excluded.manifest, record = excluded.record
        """,
        [model.id, model.manifest, try jsonText(model), model.createdAt])
    }
  }

  func models() async throws -> [ModelRecord] {
    try await read { db in
      try db.all("SELECT record FROM model ORDER BY created_at, id").map { try $0.json("record") }
    }
  }

  func models(visibleTo key: String) async throws -> [ModelRecord] {
    try await read { db in
      try db.all(
        """
        SELECT record FROM model WHERE adapter IS NULL OR record ->> 'ownerKeyID' = ?
        ORDER BY created_at, id
        """, [key]
      ).map { try $0.json("record") }
    }
  }

  func model(_ id: String) async throws -> ModelRecord? {
    try await read { db in
      try db.first("SELECT record FROM model WHERE id = ?", [id]).map { try $0.json("record") }
    }
  }

  func manifest(_ digest: Digest) async throws -> ManifestRecord? {
    try await read { db in
      try db.first("SELECT provenance FROM manifest WHERE digest = ?", [digest]).map {
        ManifestRecord(provenance: try $0.optional("provenance"))
      }
    }
  }

  func removeTunedModel(_ id: String, key: String) async throws -> Bool {
    try await write { transaction in
      guard let row = try transaction.db.first("SELECT record FROM model WHERE id = ?", [id]),
        case let model = try row.json("record", as: ModelRecord.self), model.adapter != nil,
        model.ownerKeyID == key
      else { return false }
      try transaction.db.run("DELETE FROM model WHERE id = ?", [id])
      if model.isCheckpoint != true, let job = model.fineTuningJob {
        try transaction.db.run("DELETE FROM model WHERE record ->> 'fineTuningJob' = ?", [job])
      }
      return true
    }
  }

  func removeModel(_ id: String) async throws -> Bool {
    try await write { transaction in
      try transaction.db.run("DELETE FROM model WHERE id = ?", [id])
      return transaction.db.changesCount > 0
    }
  }
}

extension Transaction {
  /// Makes a tuned model one that its owner's batches may name; its weights are registered already.
  /// The adapter is none of the model's blobs, which every worker may read.
  func insertTuned(_ model: ModelRecord) throws {
    guard let adapter = model.adapter else {
      throw StoreError(.invalid, "A tuned model has an adapter.")
    }
    try db.run(
      """
      INSERT INTO model (id, manifest, record, adapter, created_at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO NOTHING
      """, [model.id, model.manifest, try jsonText(model), adapter, model.createdAt])
  }
}

extension ModelCost {
  /// From the columns of `manifest`.
  init(row: Row) throws {
    self.init(
      bodyFlopsPerToken: try row.value("body_flops"),
      headFlopsPerToken: try row.value("head_flops"),
      attentionFlopsPerPosition: try row.value("attention_flops"),
      weightBytes: try row.value("weight_bytes"), cacheBytesPerToken: try row.value("cache_bytes"),
      diskBytes: try row.value("disk_bytes"))
  }
}
