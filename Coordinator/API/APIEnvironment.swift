import BoundedWork
import CoordinatorCore
import CoordinatorStatistics
import CoordinatorStore
import Foundation
import Hummingbird

/// Everything that handlers reach for.
package struct APIEnvironment: Sendable {
  package var store: any Store
  package var blobs: any BlobStore
  package var authority: Authority
  package var catalog: ModelCatalog
  package var wakeups: Wakeups
  /// Blobs that came from outside and are about to be named.
  package let claims: BlobClaims
  /// What uploads under way take of their keys' quotas.
  package let uploadBudget = UploadBudget()
  /// Statistics that anybody may ask for, made once in a moment.
  package var shared = SharedAnswers(interval: .seconds(2))
  package var limits: APILimits
  package var metrics: RequestMetrics
  /// Where BOINC's statistics files are; nil: none are served.
  package var statistics: StatisticsFolder?
  package var diskGuard = DiskGuard()
  /// What units are verified by.
  package var policy = CoordinatorPolicy()
  /// Where everything is computed that takes long.
  package let heavy = HeavyWork(threads: 2)
  /// For batch files, of which one line may take seconds: results do not wait behind them.
  package let validation = HeavyWork(threads: 2)
  /// Where downloads are coded: beside what is computed, so that neither waits for the other.
  package let coding = HeavyWork(threads: 2)
  /// Downloads that are coded for one reader at a time.
  package let codedDownloads = Turns(limit: 4)
  /// For results on their way, and the inputs of their units.
  package let resultMemory = ByteBudget(limitBytes: 320 << 20, waiting: 512)
  /// For datasets and adapters of jobs.
  package let tuningMemory = ByteBudget(limitBytes: 512 << 20, waiting: 16)
  /// For estimates and files of adapters, which clients wait for: they never hold up a job.
  package let askedMemory = ByteBudget(limitBytes: 256 << 20, waiting: 16)
  /// Estimates that one key may ask for at a time.
  package let estimates = Turns(limit: 1)
  /// Files of adapters that one key may ask for at a time.
  package let adapterFiles = Turns(limit: 4)
  /// What this process failed at and tries again.
  package let setbacks = Setbacks()
  /// Who may send a result.
  package let uploads = UploadAdmission()
  /// Bytes that are free where blobs and database are; nil where nobody can tell.
  package var freeDiskBytes: @Sendable () -> Int? = { nil }
  /// Whether this process replays disputed units.
  package var replays = true
  /// Seconds that the system's clock is ahead by and not believed; nil while it is right.
  package var clockJumpSeconds: @Sendable () -> Double? = { nil }
  /// When the server's certificate ends; nil where nobody knows.
  package var serverCertificateEnd: @Sendable () -> Timestamp? = { nil }
  package var now: @Sendable () -> Timestamp

  package init(
    store: any Store, blobs: any BlobStore, authority: Authority, catalog: ModelCatalog,
    wakeups: Wakeups = Wakeups(), limits: APILimits = APILimits(),
    metrics: RequestMetrics = RequestMetrics(), statistics: StatisticsFolder? = nil,
    now: @escaping @Sendable () -> Timestamp = APIEnvironment.systemTime
  ) {
    self.store = store
    self.blobs = blobs
    self.authority = authority
    self.catalog = catalog
    self.wakeups = wakeups
    self.limits = limits
    self.metrics = metrics
    self.statistics = statistics
    self.now = now
    claims = BlobClaims(store: store, blobs: blobs, now: now)
  }

  /// Why nothing more can be stored, in a sentence; nil while there is room.
  var diskShortage: String? { diskGuard.shortage(freeBytes: freeDiskBytes()) }

  /// - Throws: `APIError` 507 when the disk is too full to take what a client sends.
  func requireDisk() throws {
    if let diskShortage { throw APIError.diskFull(diskShortage) }
  }

  /// How far a batch is, and why it waits, also where only the process knows that.
  ///
  /// - Parameter key: the asking API key; nil for everyone's pages.
  /// - Throws: `StoreError.notFound`.
  package func progress(ofBatch id: String, key: String?) async throws -> BatchProgress {
    var progress = try await store.progress(of: id, key: key, now: now())
    guard !progress.batch.state.hasEnded else { return progress }
    progress.waitReasons = reasons(
      id, progress.waitReasons, awaitingReplay: progress.units.awaitingReplay)
    return progress
  }

  /// Why a fine-tuning job waits; empty when it does not, or is not there.
  ///
  /// - Parameter key: the asking API key; nil for everyone's pages.
  package func waitReasons(ofFineTuningJob id: String, key: String?) async throws -> [String] {
    guard let job = try await store.fineTuningJob(id, key: key), !job.state.hasEnded else {
      return []
    }
    let stored = try await store.waitReasons(ofFineTuningJob: id, key: key, now: now())
    return reasons(id, stored?.sentences() ?? [], awaitingReplay: stored?.awaitingReplay ?? 0)
  }

  /// What the store knows, and what only the process does.
  private func reasons(_ id: String, _ stored: [String], awaitingReplay: Int) -> [String] {
    var sentences = [diskShortage, setbacks[id]].compactMap(\.self) + stored
    if awaitingReplay > 0, !replays {
      sentences.append(
        "This coordinator replays nothing itself (`replay_threads` is 0): units that are disputed, "
          + "lost or called invalid wait until its operator changes that, or another process "
          + "replays them.")
    }
    return sentences
  }

  /// The system's clock.
  package static let systemTime: @Sendable () -> Timestamp = {
    Timestamp(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
  }
}

/// What clients and workers may send at most.
package struct APILimits: Sendable {
  /// Bytes of a file that is uploaded; OpenAI's limit for batches is 200 MB.
  package var uploadBytes = 200 << 20
  /// Lines of a batch; OpenAI's limit.
  package var batchLines = 50_000
  /// Bytes of one line of a batch.
  package var lineBytes = 4 << 20
  /// Bytes of a JSON body.
  package var messageBytes = 1 << 20
  /// Bytes of an uncompressed result, whatever its unit would allow: the change of an adapter of
  /// 128 million parameters.
  package var resultBytes = 256 << 20
  /// Seconds that a worker's certificate is valid; workers renew it in time.
  package var certificateSeconds = 30 * 86400
  /// Tokens that a chat request without `max_tokens` may generate, within the model's context.
  package var defaultChatTokens = 1024
  /// The longest completion window in seconds.
  package var completionWindowSeconds = 90 * 86400

  package init() {}
}

extension Timestamp {
  package var date: Date { Date(timeIntervalSince1970: Double(milliseconds) / 1000) }
}
