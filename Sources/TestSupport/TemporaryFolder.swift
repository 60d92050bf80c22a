import Foundation

/// A folder that exists for one test.
package final class TemporaryFolder: Sendable {
  package let url: URL

  /// Makes an empty folder; throws when the system's folder for temporary files cannot be written.
  package init(_ name: String = "tally-test") throws {
    url = FileManager.default.temporaryDirectory
      .appendingPathComponent("\(name)-\(UUID().uuidString)", isDirectory: true)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// The path of a file in the folder.
  package func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}
