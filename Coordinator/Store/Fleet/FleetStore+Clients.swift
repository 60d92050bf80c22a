import CoordinatorCore
import Foundation
import ModelFormats
import WireProtocol

// Keys, models, settings.
extension FleetStore {
  package func createKey(_ key: NewKey, now: Timestamp) async throws -> KeyRecord {
    try await service.handle(CreateKey(key), now: now)
  }

  package func key(hash: Digest) async throws -> KeyRecord? {
    try await service.read { $0.key(hash: hash) }
  }

  package func keys() async throws -> [KeyRecord] { try await service.read { $0.keyRecords } }

  package func revokeKey(_ id: String, now: Timestamp) async throws -> Bool {
    try await service.handle(RevokeKey(id: id), now: now)
  }

  package func setWeight(_ weight: Double, ofKey id: String) async throws {
    try await handle(SetWeight(key: id, weight: weight))
  }

  package func setQuota(_ quota: Quota, ofKey id: String) async throws {
    try await handle(SetQuota(key: id, quota: quota))
  }

  package func usage(ofKey id: String, now: Timestamp) async throws -> Quota.Usage {
    try await service.read { $0.usage(ofKey: id, at: now) }
  }

  package func checkQuota(_ demand: Quota.Demand, key: String, now: Timestamp) async throws {
    try await service.read { try $0.requireQuota(demand, key: key, at: now) }
  }

  package func registerModel(_ model: ModelRecord, provenance: Data?, blobs: [Digest]) async throws
  {
    try await handle(RegisterModel(model, provenance: provenance, blobs: blobs))
  }

  package func models() async throws -> [ModelRecord] { try await service.read { $0.modelRecords } }

  package func models(visibleTo key: String) async throws -> [ModelRecord] {
    try await service.read { $0.modelRecords(visibleTo: key) }
  }

  package func model(_ id: String) async throws -> ModelRecord? {
    try await service.read { $0.models[id]?.record }
  }

  package func manifest(_ digest: Digest) async throws -> ManifestRecord? {
    try await service.read { $0.manifest(digest) }
  }

  package func removeModel(_ id: String) async throws -> Bool {
    try await handle(RemoveModel(id: id))
  }

  package func removeTunedModel(_ id: String, key: String) async throws -> Bool {
    try await handle(RemoveTunedModel(id: id, key: key))
  }

  package func administration() async throws -> Administration {
    try await service.read { $0.setting.administration }
  }

  package func setLeasing(_ state: LeasingState) async throws {
    try await handle(Administrate(.leasing(state)))
  }

  package func setMessage(_ message: String?) async throws {
    try await handle(Administrate(.message(message)))
  }

  package func setMinimumWorkerVersion(_ version: ProgramVersion?) async throws {
    try await handle(Administrate(.minimumWorkerVersion(version)))
  }

  package func setNextAddress(_ url: String?) async throws {
    try await handle(Administrate(.nextAddress(url)))
  }

  package func setOperatorKey(hash: Digest?) async throws {
    try await handle(Administrate(.operatorKey(hash)))
  }

  package func isOperatorKey(hash: Digest) async throws -> Bool {
    try await service.read { $0.setting.operatorKey == hash }
  }
}

// Fine-tuning.
extension FleetStore {
  package func createFineTuningJob(
    _ job: NewFineTuningJob, isRetry: Bool, now: Timestamp
  ) async throws -> FineTuningJobRecord {
    try await service.handle(CreateTuningJob(job, isRetry: isRetry), now: now)
  }

  package func fineTuningJob(_ id: String, key: String?) async throws -> FineTuningJobRecord? {
    let row = try await storage.tuningJob(id)
    return row.flatMap { key == nil || $0.record.job.keyID == key ? $0.record : nil }
  }

  package func fineTuningJobs(
    key: String, metadata: ExactDictionary<String>, page: PageRequest
  ) async throws -> Page<FineTuningJobRecord> {
    var after: Int64?
    if let id = page.after {
      after = try await storage.tuningJob(id).flatMap {
        $0.record.job.keyID == key ? $0.number : nil
      }
      guard after != nil else {
        throw StoreError(.unknownCursor, "No item of this list has the id given as 'after'.")
      }
    }
    var found: [FineTuningJobRecord] = []
    // Slices, so that no list of a key's jobs is held whole.
    while found.count <= page.limit {
      let slice = try await storage.tuningJobs(
        ofKey: key, after: after, limit: max(100, page.limit + 1), order: page.order)
      found += slice.filter { $0.matches(metadata) }.map(\.record)
      guard let last = slice.last else { break }
      after = last.number
    }
    return Page(items: Array(found.prefix(page.limit)), hasMore: found.count > page.limit)
  }

  package func tuningJobs(limit: Int) async throws -> [FineTuningJobRecord] {
    try await storage.tuningJobs(ofKey: nil, after: nil, limit: limit, order: .descending)
      .map(\.record)
  }

  package func ask(
    _ wish: FineTuningWish, ofFineTuningJob id: String, key: String, now: Timestamp
  ) async throws -> FineTuningJobRecord {
    try await service.handle(AskTuningJob(wish, of: id, key: key), now: now)
  }

  private func requireJob(_ id: String, key: String?) async throws -> TuningJobRow {
    guard let row = try await storage.tuningJob(id), key == nil || row.record.job.keyID == key
    else { throw StoreError(.notFound, "No fine-tuning job found with id '\(id)'.") }
    return row
  }

  package func fineTuningEvents(
    of id: String, key: String, after: String?, limit: Int
  ) async throws -> Page<FineTuningEvent> {
    let job = try await requireJob(id, key: key)
    let events = try await storage.events(ofJob: job.number, after: after, limit: limit + 1)
    return Page(items: Array(events.prefix(limit)), hasMore: events.count > limit)
  }

  package func fineTuningRounds(
    of id: String, key: String?, openOnly: Bool
  ) async throws -> [FineTuningRoundRecord] {
    let job = try await requireJob(id, key: key)
    let rounds = try await storage.rounds(ofJob: job.number)
    let units = try await storage.units(ofJob: job.number)
    return try await service.read { fleet in
      fleet.rounds(of: job, rounds, units: units, openOnly: openOnly)
    }
  }

  package func waitReasons(
    ofFineTuningJob id: String, key: String?, now: Timestamp
  ) async throws -> WaitReasons? {
    try await service.read { try $0.waitReasons(ofTuningJob: id, key: key, at: now) }
  }

  package func isOfFineTuningJob(_ id: String, blob: Digest) async throws -> Bool {
    let job = try await requireJob(id, key: nil)
    let units = try await storage.units(ofJob: job.number)
    if job.names(blob, units: units) { return true }
    guard let model = job.record.plan?.model else { return false }
    return try await service.read { $0.index.clients.modelBlobs[blob].contains(model) }
  }

  package func openFineTuningJobs(limit: Int) async throws -> [FineTuningJobRecord] {
    try await service.read { $0.openJobs(limit: limit) }
  }

  package func beginFineTuning(
    _ id: String, plan: FineTuningPlan, base: ModelRecord, _ first: NewFineTuningRound,
    now: Timestamp
  ) async throws {
    try await service.handle(BeginTuning(id, plan: plan, base: base, first: first), now: now)
  }

  package func publish(
    _ next: NewFineTuningRound, joining round: JoinedRound, ofFineTuningJob id: String,
    now: Timestamp
  ) async throws {
    try await service.handle(PublishRound(next, joining: round, ofJob: id), now: now)
  }

  package func recordValidation(
    _ loss: Double, ofRound round: Int, ofFineTuningJob id: String, now: Timestamp
  ) async throws {
    try await service.handle(RecordValidation(loss, ofRound: round, ofJob: id), now: now)
  }

  package func end(_ ending: FineTuningEnding, ofFineTuningJob id: String, now: Timestamp)
    async throws
  {
    try await service.handle(EndTuning(ending, ofJob: id), now: now)
  }
}
