import Foundation
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerEngine

/// Brings everything that a leased unit needs onto this machine.
struct UnitPreparation: Sendable {
  let cache: BlobCache
  let client: CoordinatorClient
  let runner: any UnitRunning
  /// Bytes of the largest manifest, inputs or vocabulary that is read.
  static let limitBytes = 256 << 20

  /// Fetches and pins the unit's blobs.
  func run(_ lease: Lease) async throws(FetchFailure) -> PreparedUnit {
    try check(lease)
    let specification = lease.specification
    var pinned: [Digest] = []
    do {
      try await cache.acquire([(specification.model, nil)], from: client)
      pinned.append(specification.model)
      let manifest = try read(specification.model)
      let chunks = try chunks(of: manifest, for: specification)
      await cache.markManifest(specification.model)
      let small =
        [specification.inputs]
        + [specification.vocabulary, specification.adapter].compactMap { $0 }
      let blobs =
        small.map { (digest: $0, bytes: Int?.none) } + chunks.map { ($0.digest, $0.bytes) }
      try await cache.acquire(blobs, from: client)
      pinned += Self.distinct(blobs.map(\.digest))
      if Task.isCancelled { throw FetchFailure.request(.unreachable(detail: "cancelled")) }
      let inputs = try read(specification.inputs)
      let vocabulary = try specification.vocabulary.map { try read($0) }
      return PreparedUnit(
        lease: lease, manifest: manifest, inputs: inputs, vocabulary: vocabulary,
        adapter: try specification.adapter.map { try read($0) }, blobs: pinned,
        packed: await packed(manifest, specification))
    } catch {
      await cache.release(pinned)
      throw error as? FetchFailure ?? .permanent(.failed, detail: "\(error)")
    }
  }

  private func check(_ lease: Lease) throws(FetchFailure) {
    guard (try? BlobDigest.unit(lease.specification)) == lease.unit else {
      throw .permanent(.invalidUnit, detail: "the unit's digest is not its specification's")
    }
    guard lease.specification.profile == ProtocolVersion.numericsProfile else {
      throw .permanent(
        .invalidUnit, detail: "the unit wants numerics profile \(lease.specification.profile)")
    }
    guard (lease.specification.kind == .stageForward) == (lease.specification.part != nil) else {
      throw .permanent(
        .invalidUnit, detail: "a unit names a part of its model exactly when it is a stage")
    }
    let hasAdapter = lease.specification.adapter != nil
    let isSound =
      switch lease.specification.kind {
      case .generate: true
      case .train, .validate: hasAdapter
      case .stageForward: !hasAdapter
      }
    guard isSound else {
      throw .permanent(
        .invalidUnit,
        detail: "a unit that trains or validates names an adapter, a stage names none")
    }
  }

  private func chunks(
    of manifest: Data, for specification: UnitSpecification
  ) throws(FetchFailure) -> [BlobReference] {
    do {
      return try runner.chunks(ofManifest: manifest, part: specification.part)
    } catch {
      throw .permanent(.invalidUnit, detail: "the model's manifest: \(error)")
    }
  }

  /// Room for the packed model, if there is such a thing and room beside the blobs.
  private func packed(
    _ manifest: Data, _ specification: UnitSpecification
  ) async -> PreparedUnit.Packed? {
    guard
      let packed = try? runner.packedModel(
        ofManifest: manifest, digest: specification.model, part: specification.part),
      let path = await cache.acquirePacked(packed)
    else { return nil }
    return PreparedUnit.Packed(model: packed, path: path)
  }

  private func read(_ digest: Digest) throws(FetchFailure) -> Data {
    let path = cache.path(of: digest)
    if let size = DurableFile.size(path), size > Self.limitBytes {
      throw .permanent(
        .invalidUnit, detail: "blob \(digest): \(size) bytes are more than \(Self.limitBytes)")
    }
    do {
      if let data = try DurableFile.read(path, limitBytes: Self.limitBytes) { return data }
    } catch {
      throw .permanent(.failed, detail: "\(error)")
    }
    throw .permanent(.failed, detail: "blob \(digest) left the cache")
  }

  private static func distinct(_ digests: [Digest]) -> [Digest] {
    var seen: Set<Digest> = []
    return digests.filter { seen.insert($0).inserted }
  }
}
