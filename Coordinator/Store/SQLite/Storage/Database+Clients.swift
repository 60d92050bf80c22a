import CoordinatorCore
import GRDB
import WireProtocol

/// Keys, files and models.
extension Database {
  func loadClients(into set: inout WorkingSet) throws {
    set.keys = try all("SELECT * FROM api_key ORDER BY id").map { row in
      var key = KeyRow(
        id: try row.value("id"), name: try row.value("name"), hash: try row.value("hash"),
        weight: try row.value("weight"), createdAt: try row.value("created_at"))
      key.virtualTime = try row.value("virtual_time")
      key.revokedAt = try row.optional("revoked_at")
      key.quota = try row.json("quota")
      return key
    }
    set.files = try all("SELECT * FROM file ORDER BY number").map { row in
      FileRow(
        number: try row.value("number"),
        record: FileRecord(
          id: try row.value("id"), keyID: try row.value("key_id"),
          purpose: try row.name("purpose"), filename: try row.value("filename"),
          bytes: try row.value("bytes"), blob: try row.value("blob"),
          createdAt: try row.value("created_at"), expiresAt: try row.optional("expires_at")))
    }
    set.models = try all("SELECT record FROM model ORDER BY id").map {
      ModelRow(record: try $0.json("record"))
    }
    try loadManifests(into: &set)
  }

  private func loadManifests(into set: inout WorkingSet) throws {
    var manifests = try all("SELECT * FROM manifest ORDER BY digest").map { row in
      var manifest = ManifestRow(
        digest: try row.value("digest"), vocabulary: try row.value("vocabulary"),
        cost: try ModelCost(row: row))
      manifest.licence = try row.optional("licence")
      manifest.provenance = try row.optional("provenance")
      return manifest
    }
    let places = Dictionary(
      uniqueKeysWithValues: manifests.enumerated().map { ($1.digest, $0) })
    for row in try all("SELECT manifest, name FROM model_name ORDER BY name") {
      guard let place = places[try row.value("manifest")] else { continue }
      manifests[place].names.append(try row.value("name"))
    }
    for row in try all("SELECT manifest, blob FROM model_blob") {
      guard let place = places[try row.value("manifest")] else { continue }
      manifests[place].blobs.insert(try row.value("blob"))
    }
    for model in set.models {
      guard let place = places[model.record.manifest] else { continue }
      manifests[place].tokenizers.insert(model.record.tokenizer)
    }
    // Those of models that were replaced stay with any manifest: they are kept, whosever they are.
    let known = Set(manifests.flatMap(\.tokenizers))
    for row in try all("SELECT blob FROM tokenizer") where !manifests.isEmpty {
      let blob: Digest = try row.value("blob")
      if !known.contains(blob) { manifests[0].tokenizers.insert(blob) }
    }
    set.manifests = manifests
  }

  func writeClients(_ changes: FleetChanges) throws {
    for row in changes.keys.upserts {
      try run(
        """
        INSERT INTO api_key (id, name, hash, created_at, weight, virtual_time, revoked_at, quota)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET weight = excluded.weight,
          virtual_time = excluded.virtual_time, revoked_at = excluded.revoked_at,
          quota = excluded.quota
        """,
        [
          row.id, row.name, row.hash, row.createdAt, row.weight, row.virtualTime, row.revokedAt,
          try jsonText(row.quota),
        ])
    }
    for number in changes.files.deletions {
      try run("DELETE FROM file WHERE number = ?", [number])
    }
    for row in changes.files.upserts { try write(row) }
    for row in changes.manifests.upserts { try write(row) }
    for id in changes.models.deletions { try run("DELETE FROM model WHERE id = ?", [id]) }
    for row in changes.models.upserts {
      try run(
        """
        INSERT INTO model (id, manifest, record, adapter, created_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, record = excluded.record,
          adapter = excluded.adapter
        """,
        [
          row.record.id, row.record.manifest, try jsonText(row.record), row.record.adapter,
          row.record.createdAt,
        ])
    }
  }

  private func write(_ row: FileRow) throws {
    let file = row.record
    try run(
      """
      INSERT INTO file (number, id, key_id, purpose, filename, bytes, blob, created_at, expires_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (number) DO UPDATE SET expires_at = excluded.expires_at
      """,
      [
        row.number, file.id, file.keyID, file.purpose.rawValue, file.filename, file.bytes,
        file.blob, file.createdAt, file.expiresAt,
      ])
  }

  private func write(_ row: ManifestRow) throws {
    let cost = row.cost
    try run(
      """
      INSERT INTO manifest (digest, vocabulary, body_flops, head_flops, attention_flops,
        weight_bytes, cache_bytes, disk_bytes, licence, provenance)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (digest) DO UPDATE SET vocabulary = excluded.vocabulary,
        body_flops = excluded.body_flops, head_flops = excluded.head_flops,
        attention_flops = excluded.attention_flops, weight_bytes = excluded.weight_bytes,
        cache_bytes = excluded.cache_bytes, disk_bytes = excluded.disk_bytes,
        licence = excluded.licence, provenance = excluded.provenance
      """,
      [
        row.digest, row.vocabulary, cost.bodyFlopsPerToken, cost.headFlopsPerToken,
        cost.attentionFlopsPerPosition, cost.weightBytes, cost.cacheBytesPerToken, cost.diskBytes,
        row.licence, row.provenance,
      ])
    for name in row.names {
      try run(
        "INSERT INTO model_name (manifest, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [row.digest, name])
    }
    for blob in row.blobs.sorted() {
      try run(
        "INSERT INTO model_blob (blob, manifest) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [blob, row.digest])
    }
    for blob in row.tokenizers.sorted() {
      try run("INSERT INTO tokenizer (blob) VALUES (?) ON CONFLICT DO NOTHING", [blob])
    }
  }
}
