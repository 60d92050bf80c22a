import CoordinatorCore
import CoordinatorStore
import Foundation

/// A folder of statistics files. A reader sees each file whole, old or new, and files of one time
/// together but for an instant: all are written beside the old ones, and then renamed one after the
/// other, in the export's order.
package struct StatisticsFolder: Sendable {
  package let url: URL

  package init(_ url: URL) { self.url = url }

  /// Names that are served.
  package static let names: Set<String> = [
    "tables.xml", "user.gz", "team.gz", "host.gz", "user_deleted.gz", "host_deleted.gz",
  ]

  /// - Throws: what the disk says, or `GzipError`.
  package func write(_ export: StatisticsExport) throws {
    let manager = FileManager.default
    try manager.createDirectory(at: url, withIntermediateDirectories: true)
    let new = url.appendingPathComponent(".new")
    try? manager.removeItem(at: new)
    try manager.createDirectory(at: new, withIntermediateDirectories: true)
    defer { try? manager.removeItem(at: new) }
    let files = BOINCExport(export).files
    for file in files {
      let text = Data(file.text.utf8)
      let bytes = file.isCompressed ? try Gzip.compress(text) : text
      try bytes.write(to: new.appendingPathComponent(file.name))
    }
    for file in files {
      let (from, to) = (
        new.appendingPathComponent(file.name), url.appendingPathComponent(file.name)
      )
      guard rename(from.path, to.path) == 0 else {
        throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: to.path])
      }
    }
  }

  /// The bytes of a file; nil when it is none of ours or was not written yet.
  package func read(_ name: String) -> Data? {
    guard Self.names.contains(name) else { return nil }
    return try? Data(contentsOf: url.appendingPathComponent(name))
  }
}
