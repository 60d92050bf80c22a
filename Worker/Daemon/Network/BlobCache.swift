import BoundedWork
import Foundation
import Glibc
import Logging
import WireProtocol
import WorkerCore
import WorkerEngine

/// The worker's blobs on disk, within a limit: `cache/blobs/ab/<digest>`, unfinished ones in
/// `cache/parts`. The file `cache/manifests/<digest>` (empty) says that a blob is a model's
/// manifest. `cache/packed/<digest>` is a model as the kernels want it, made from its blobs.
actor BlobCache {
  private let folder: String
  private var index: BlobCacheIndex
  /// The limit that the worker was started with.
  private let startedBytes: Int
  private var limits = DiskLimits()
  /// The setting that the limit comes from.
  private var setting = DiskLimits.Setting.start
  /// Blobs whose bytes were hashed since this process started: what a disk did to older ones is
  /// found at first use.
  private var verified: Set<Digest> = []
  /// Blobs that are being hashed, so that all who ask wait for one look.
  private var checks: [Digest: Task<Bool, Never>] = [:]
  private let hashing = HeavyWork(threads: 1)
  private var downloading: Set<Digest> = []
  private let traffic: TrafficMeter
  private let logger: Logger
  /// Blobs downloaded at one time; ranges of one large blob come beside that.
  static let parallelDownloads = 4

  /// Takes stock of what an earlier run left in `folder`.
  init(folder: String, limitBytes: Int, traffic: TrafficMeter, logger: Logger) throws {
    self.folder = folder
    startedBytes = limitBytes
    self.traffic = traffic
    self.logger = logger
    for name in ["blobs", "parts", "manifests", "packed"] {
      try DurableFile.makeFolder("\(folder)/\(name)")
    }
    var evict: [Digest] = []
    index = BlobCacheIndex(
      limitBytes: limitBytes, present: Self.stock(folder + "/blobs"),
      derived: Self.packedStock(folder + "/packed"), evict: &evict)
    for digest in evict { Self.removeFiles(of: digest, in: folder) }
    Self.dropStaleParts(folder + "/parts")
  }

  /// Where a blob is or would be.
  nonisolated func path(of digest: Digest) -> String { Self.path(of: digest, in: folder) }

  private static func path(of digest: Digest, in folder: String) -> String {
    "\(folder)/blobs/\(digest.hex.prefix(2))/\(digest.hex)"
  }

  private static func packedPath(of digest: Digest, in folder: String) -> String {
    "\(folder)/packed/\(digest.hex)"
  }

  /// Removes the files of a blob, or of what was derived from blobs.
  private static func removeFiles(of digest: Digest, in folder: String) {
    unlink(path(of: digest, in: folder))
    unlink(packedPath(of: digest, in: folder))
  }

  /// The size of the cache and of its limit.
  struct Usage: Sendable {
    /// Of all blobs and packed models.
    var usedBytes: Int
    /// And what they may take at most.
    var limitBytes: Int
    /// The setting that the limit comes from.
    var reason: String
  }

  /// The cache's present size and limit.
  var usage: Usage {
    Usage(
      usedBytes: index.totalBytes, limitBytes: index.limitBytes, reason: setting.words)
  }

  /// Room for another model, in bytes: what the limit leaves, and the disk with what can be
  /// evicted.
  var freeBytes: Int {
    makeUpLimit()
    guard let space else { return index.freeBytes }
    let evictable = max(0, index.totalBytes - (index.limitBytes - index.freeBytes))
    return min(
      index.freeBytes, space.availableBytes.addingReportingOverflow(evictable).partialValue)
  }

  /// Puts limits in force, and takes into account what others did to the disk since the last call.
  func hold(to limits: DiskLimits) {
    self.limits = limits
    makeUpLimit()
  }

  /// Works out the limit anew, and deletes what exceeds it and is not in use.
  private func makeUpLimit() {
    let limit: Int
    (limit, setting) = limits.cacheLimit(
      startedBytes: startedBytes, usedBytes: index.presentBytes + partBytes, space: space)
    guard limit != index.limitBytes else { return }
    let evicted = index.limit(to: limit)
    drop(evicted)
    if !evicted.isEmpty {
      logger.info(
        "made room on the disk", metadata: ["blobs": "\(evicted.count)", "limitBytes": "\(limit)"])
    }
  }

  /// Of the file system that the cache is on.
  private var space: DiskSpace? {
    var disk = statvfs()
    guard statvfs(folder, &disk) == 0 else { return nil }
    func bytes(_ blocks: UInt64) -> Int {
      let product = blocks.multipliedReportingOverflow(by: UInt64(disk.f_frsize))
      return product.overflow ? .max : Int(clamping: product.partialValue)
    }
    return DiskSpace(
      totalBytes: bytes(UInt64(disk.f_blocks)), availableBytes: bytes(UInt64(disk.f_bavail)))
  }

  /// What downloads under way have on disk.
  private var partBytes: Int {
    let parts = folder + "/parts"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: parts)) ?? []
    return names.reduce(0) { $0 + (DurableFile.size("\(parts)/\($1)") ?? 0) }
  }

  /// Deletes what the index has given up.
  private func drop(_ digests: [Digest]) {
    for digest in digests {
      verified.remove(digest)
      Self.removeFiles(of: digest, in: folder)
    }
  }

  /// Fetches the blobs that are missing and keeps all of them from eviction until `release`. Sizes
  /// that are nil are the coordinator's to tell.
  func acquire(
    _ blobs: [(digest: Digest, bytes: Int?)], from client: CoordinatorClient
  ) async throws(FetchFailure) {
    var missing: [(digest: Digest, bytes: Int?)] = []
    var pinned: [Digest] = []
    var seen: Set<Digest> = []
    for blob in blobs where seen.insert(blob.digest).inserted {
      if await isSound(blob.digest) {
        index.pin([blob.digest])
        pinned.append(blob.digest)
      } else {
        missing.append(blob)
      }
    }
    let fetched = await Parallel.map(
      missing, limit: traffic.parallel(Self.parallelDownloads)
    ) { blob in
      try await self.download(blob.digest, blob.bytes, from: client)
    }
    if let error = fetched.error {
      // Downloads that ended well while another failed stay in the cache.
      release(pinned + fetched.outputs)
      throw error as? FetchFailure ?? .permanent(.failed, detail: "\(error)")
    }
  }

  /// Ends one `acquire` of these blobs.
  func release(_ digests: [Digest]) { index.unpin(digests) }

  /// Removes a blob that will not be needed again, unless it is in use.
  func discard(_ digest: Digest) {
    guard !index.isPinned(digest) else { return }
    index.remove(digest)
    verified.remove(digest)
    unlink(path(of: digest))
  }

  /// Room for a packed model of this name and at most this size, kept until `releasePacked`: the
  /// path at which it is or may be made; nil if there is no room beside the blobs.
  func acquirePacked(_ packed: BlobReference) -> String? {
    makeUpLimit()
    // The cache is its owner's to clear while the worker runs; without a folder nothing is kept.
    try? DurableFile.makeFolder(folder + "/packed")
    switch index.reserve(packed.digest, bytes: packed.bytes, isDerived: true) {
    case .present, .underway: break
    case .reserved(let evicted): drop(evicted)
    case .refused(let refusal):
      logger.info(
        "no room for a packed model",
        metadata: ["reason": "\(refusal)", "limit": "\(setting.words)"])
      return nil
    }
    index.pin([packed.digest])
    return Self.packedPath(of: packed.digest, in: folder)
  }

  /// Ends one `acquirePacked`.
  func releasePacked(_ packed: BlobReference) {
    index.unpin([packed.digest])
    guard !index.isPinned(packed.digest) else { return }
    let path = Self.packedPath(of: packed.digest, in: folder)
    if let size = DurableFile.size(path), size <= packed.bytes {
      index.commit(packed.digest, bytes: size)
      // The next start orders by this time.
      utimes(path, nil)
    } else {
      index.remove(packed.digest)
      unlink(path)
    }
  }

  /// Remembers that a blob is a manifest.
  func markManifest(_ digest: Digest) {
    try? DurableFile.makeFolder(folder + "/manifests")
    close(open("\(folder)/manifests/\(digest.hex)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
  }

  /// The manifests that are in the cache.
  var manifests: [Digest] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/manifests")) ?? []
    return names.compactMap(Digest.init(hex:)).filter(index.contains).sorted { $0.hex < $1.hex }
  }

  /// True when the cache holds all of these.
  func contains(_ digests: some Sequence<Digest> & Sendable) -> Bool {
    digests.allSatisfy(index.contains)
  }

  // MARK: Details

  /// True when the blob is there and its bytes are right; a damaged one is dropped. Hashing a model
  /// takes long: others are answered meanwhile, and nothing evicts the blob.
  private func isSound(_ digest: Digest) async -> Bool {
    guard index.contains(digest) else { return false }
    let path = path(of: digest)
    if verified.contains(digest) {
      if access(path, R_OK) == 0 { return true }
      verified.remove(digest)
    }
    let check =
      checks[digest]
      ?? Task { [hashing] in
        (try? await hashing.run { try BlobFile.digest(path) }) == digest
      }
    checks[digest] = check
    index.pin([digest])
    let isRight = await check.value
    index.unpin([digest])
    checks[digest] = nil
    // Who waited for the same look may have begun to fetch it again.
    guard !downloading.contains(digest), index.contains(digest) else { return false }
    if isRight || verified.contains(digest) {
      verified.insert(digest)
      // The next start orders by this time.
      utimes(path, nil)
      return true
    }
    logger.warning("dropped a damaged blob", metadata: ["blob": "\(digest)"])
    index.remove(digest)
    verified.remove(digest)
    unlink(path)
    return false
  }

  /// Downloads and pins one blob.
  private func download(
    _ digest: Digest, _ bytes: Int?, from client: CoordinatorClient
  ) async throws(FetchFailure) -> Digest {
    // A cancelled download may still be ending: two would write to the same parts.
    guard downloading.insert(digest).inserted else {
      throw .request(.unreachable(detail: "an earlier download of the blob is still ending"))
    }
    defer { downloading.remove(digest) }
    let path = path(of: digest)
    do {
      try DurableFile.makeFolder((path as NSString).deletingLastPathComponent)
    } catch {
      throw .permanent(.failed, detail: "\(error)")
    }
    let download = BlobDownload(
      client: client, traffic: traffic, digest: digest, partsFolder: folder + "/parts",
      destination: path, hashing: hashing)
    do {
      _ = try await download.run(expectedBytes: bytes) { size throws(FetchFailure) in
        try await self.reserve(digest, size)
      }
    } catch {
      index.remove(digest)
      throw error
    }
    index.commit(digest)
    index.pin([digest])
    verified.insert(digest)
    return digest
  }

  private func reserve(_ digest: Digest, _ bytes: Int) throws(FetchFailure) {
    makeUpLimit()
    switch index.reserve(digest, bytes: bytes) {
    case .present, .underway: break
    case .reserved(let evicted): drop(evicted)
    case .refused(let refusal):
      throw .permanent(.blobUnavailable, detail: "blob \(digest): \(refusal) (\(setting.words))")
    }
  }

  /// The blobs on disk, least recently used first.
  private static func stock(_ folder: String) -> [(digest: Digest, bytes: Int)] {
    let prefixes = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return byUse(
      prefixes.flatMap { prefix in
        let names = try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(prefix)")
        return (names ?? []).map { "\(folder)/\(prefix)/\($0)" }
      })
  }

  /// The packed models on disk, least recently used first. What a killed process did not finish
  /// goes.
  private static func packedStock(_ folder: String) -> [(digest: Digest, bytes: Int)] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    for name in names where Digest(hex: name) == nil { unlink("\(folder)/\(name)") }
    return byUse(names.map { "\(folder)/\($0)" })
  }

  /// The files whose names are digests, least recently used first.
  private static func byUse(_ paths: [String]) -> [(digest: Digest, bytes: Int)] {
    let found = paths.compactMap { path -> (digest: Digest, bytes: Int, used: Int)? in
      var status = stat()
      guard let digest = Digest(hex: (path as NSString).lastPathComponent), stat(path, &status) == 0
      else { return nil }
      return (digest, Int(status.st_size), Int(status.st_mtim.tv_sec))
    }
    return found.sorted { ($0.used, $0.digest.hex) < ($1.used, $1.digest.hex) }
      .map { ($0.digest, $0.bytes) }
  }

  /// Parts that nobody resumed for a week are dropped.
  private static func dropStaleParts(_ folder: String) {
    let oldest = time(nil) - 7 * 86400
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      var status = stat()
      if stat("\(folder)/\(name)", &status) == 0, status.st_mtim.tv_sec < oldest {
        unlink("\(folder)/\(name)")
      }
    }
  }
}
