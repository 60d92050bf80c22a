import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation

/// What takes room on the coordinator's disk.
struct AdminStorageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storage", abstract: "Show what uses the disk, and delete what nothing needs.",
    discussion: """
      A running coordinator sweeps every hour by itself (`sweep_seconds`). Unused is what nothing \
      refers to: files that were deleted or expired, inputs and results of units \
      `result_retention_days` after their batches ended, and uploads that were cut short. What was \
      stored within the last day is always kept (`unused_grace_seconds`).

      EXAMPLES:
        tally admin storage
        tally admin storage --sweep
        tally admin storage --sweep --dry-run
      """)

  @Flag(help: "Delete what is unused now.")
  var sweep = false

  @Flag(help: "With --sweep: only say what would be deleted.")
  var dryRun = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Report: Encodable {
    struct Amount: Encodable {
      let blobs: Int
      let bytes: Int
    }
    let blobs: [String: Amount]
    let deleted: Amount
    let database_bytes: Int
    let free_bytes: Int?
    let free_bytes_minimum: Int
  }

  func run() async throws {
    let (folder, configuration) = try data.openConfigured()
    let calendar = APIEnvironment.systemTime()
    let report = try await StorageSweep(folder: folder, retention: configuration.retention).run(
      deletes: sweep && !dryRun, now: folder.now(calendar: calendar), calendar: calendar)
    let (database, free) = (databaseBytes(folder.url), folder.blobs.freeBytes())
    if json {
      let kinds = report.kinds.map {
        ($0.key.rawValue, Report.Amount(blobs: $0.value.blobs, bytes: $0.value.bytes))
      }
      return try printJSON(
        Report(
          blobs: Dictionary(uniqueKeysWithValues: kinds),
          deleted: .init(blobs: report.deleted.blobs, bytes: report.deleted.bytes),
          database_bytes: database, free_bytes: free,
          free_bytes_minimum: configuration.diskGuard.freeBytesMinimum))
    }
    var table = TextTable(.text("WHAT"), .number("BLOBS"), .number("SIZE"))
    for kind in BlobRetention.Kind.allCases {
      let amount = report.kinds[kind] ?? .init()
      table.add(kind.words, Spelled.count(amount.blobs), Spelled.bytes(amount.bytes))
    }
    table.add("database", "", Spelled.bytes(database))
    if let free { table.add("free", "", Spelled.bytes(free)) }
    Terminal.output.line(table.rendered())
    if sweep {
      let amount = dryRun ? report.kinds[.unused] ?? .init() : report.deleted
      Terminal.output.line(
        "\(Spelled.count(amount.blobs)) blobs, \(Spelled.bytes(amount.bytes)) "
          + (dryRun ? "would be deleted" : "deleted"))
    }
    if let shortage = configuration.diskGuard.shortage(freeBytes: free) {
      Terminal.error.line(Terminal.error.styled(shortage, .yellow))
    }
  }

  func validate() throws {
    guard sweep || !dryRun else { throw ValidationError("--dry-run belongs to --sweep") }
  }

  /// The database with what it has not merged yet.
  private func databaseBytes(_ folder: URL) -> Int {
    ["", "-wal", "-shm"].reduce(0) { sum, suffix in
      let file = folder.appending(path: "coordinator.sqlite" + suffix)
      let size = try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize
      return sum + (size ?? 0)
    }
  }
}

extension BlobRetention.Kind {
  fileprivate var words: String {
    switch self {
    case .models: "models"
    case .files: "files"
    case .openBatches: "inputs of open batches"
    case .openUnits: "units of open batches"
    case .endedUnits: "units kept as evidence"
    case .recent: "new, not named yet"
    case .unused: "unused"
    }
  }
}
