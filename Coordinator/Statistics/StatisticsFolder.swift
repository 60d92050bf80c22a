import CoordinatorStore
import Foundation

/// A folder of statistics files. A reader sees each file whole, old or new: files are written beside
/// it and renamed.
package struct StatisticsFolder: Sendable {
  package let url: URL

  package init(_ url: URL) { self.url = url }

  /// Names that are served.
  package static let names: Set<String> = [
    "tables.xml", "user.gz", "team.gz", "host.gz", "user_deleted.gz", "host_deleted.gz",
  ]

  /// - Throws: what the disk says, or `GzipError`.
  package func write(_ export: StatisticsExport) throws {
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    for file in BOINCExport(export).files {
      let text = Data(file.text.utf8)
      let bytes = file.isCompressed ? try Gzip.compress(text) : text
      try bytes.write(to: url.appendingPathComponent(file.name), options: .atomic)
    }
  }

  /// The bytes of a file; nil when it is none of ours or was not written yet.
  package func read(_ name: String) -> Data? {
    guard Self.names.contains(name) else { return nil }
    return try? Data(contentsOf: url.appendingPathComponent(name))
  }
}
