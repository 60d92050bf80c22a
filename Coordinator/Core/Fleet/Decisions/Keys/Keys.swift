import WireProtocol

/// The operator makes an API key.
package struct CreateKey: FleetEvent {
  package let key: NewKey
  private let name: String

  /// - Throws: `StoreError.invalid`.
  package init(_ key: NewKey) throws {
    try Self.requireWeight(key.weight)
    self.key = key
    do {
      name = try Name.checked(key.name)
    } catch {
      throw StoreError(.invalid, "The key's name \(error.description)")
    }
  }

  fileprivate static func requireWeight(_ weight: Double) throws {
    guard (0.01...100).contains(weight) else {
      throw StoreError(.invalid, "A key's weight is between 0.01 and 100.")
    }
  }

  /// - Throws: `StoreError.conflict` for a hash that another key has or had.
  package func decide(in fleet: inout Fleet) throws -> KeyRecord {
    guard fleet.index.clients.keys[key.hash] == nil else {
      throw StoreError(.conflict, "There is a key with this secret already.")
    }
    let row = KeyRow(
      id: fleet.newID("key_"), name: name, hash: key.hash, weight: key.weight,
      createdAt: fleet.now)
    fleet.put(row)
    return row.record
  }
}

/// False when there is no such key. Its batches go on.
package struct RevokeKey: FleetEvent {
  package let id: String

  package init(id: String) { self.id = id }

  package func decide(in fleet: inout Fleet) throws -> Bool {
    guard let key = fleet.keys[id], key.revokedAt == nil else { return false }
    fleet.change(KeyRow.self, id) { [now = fleet.now] in $0.revokedAt = now }
    return true
  }
}

/// A key's share of the fleet from its next unit on.
package struct SetWeight: FleetEvent {
  package let key: String
  package let weight: Double

  /// - Throws: `StoreError.invalid` unless it is 0.01 to 100.
  package init(key: String, weight: Double) throws {
    try CreateKey.requireWeight(weight)
    self.key = key
    self.weight = weight
  }

  /// - Throws: `StoreError.notFound`.
  package func decide(in fleet: inout Fleet) throws {
    try fleet.requireKey(key)
    fleet.change(KeyRow.self, key) { $0.weight = weight }
  }
}

/// The operator limits what a key may use.
package struct SetQuota: FleetEvent {
  package let key: String
  package let quota: Quota

  /// - Throws: `StoreError.invalid` for a negative limit.
  package init(key: String, quota: Quota) throws {
    let limits = [quota.requestsPerDay, quota.tokensPerDay, quota.openBatches, quota.storedBytes]
    guard limits.allSatisfy({ ($0 ?? 0) >= 0 }) else {
      throw StoreError(.invalid, "A quota's limits are 0 or more.")
    }
    self.key = key
    self.quota = quota
  }

  /// - Throws: `StoreError.notFound`.
  package func decide(in fleet: inout Fleet) throws {
    try fleet.requireKey(key)
    fleet.change(KeyRow.self, key) { $0.quota = quota }
  }
}

extension Fleet {
  fileprivate func requireKey(_ id: String) throws {
    guard keys[id] != nil else { throw StoreError(.notFound, "There is no key \(id).") }
  }

  /// The key with this hash; nil when unknown or revoked.
  package func key(hash: Digest) -> KeyRecord? {
    guard let key = index.clients.keys[hash].flatMap({ keys[$0] }), key.revokedAt == nil else {
      return nil
    }
    return key.record
  }

  /// The oldest first.
  package var keyRecords: [KeyRecord] {
    keys.rows.values.map(\.record).sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
  }

  /// - Throws: `QuotaRefusal` when the key's quota does not allow the demand.
  package func requireQuota(_ demand: Quota.Demand, key: String, at time: Timestamp) throws {
    guard let quota = keys[key]?.quota, !quota.isUnlimited else { return }
    if case .refused(let refusal) = quota.verdict(on: demand, usage: usage(ofKey: key, at: time)) {
      throw refusal
    }
  }
}
